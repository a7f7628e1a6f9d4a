"""Conformance with the OpenBM gateway protocol, over real sockets.

README.md says which test shows which fact.

pytest tests/host/openbm                              our own gateway, in this process, on a fake bus
pytest tests/host/openbm --gateway 127.0.0.1:4287     any gateway with a bus behind it; what needs our own is skipped

Another gateway needs a bus that is quiet and echoes, and no other clients. Tests with `options` wait for its alive
timeout or fill it with clients; those that ask for `bus`, `server` or `own` need our own.
"""
