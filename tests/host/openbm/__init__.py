"""Conformance with the OpenBM gateway protocol, over real sockets.

README.md says which test shows which fact.

pytest tests/host/openbm                              our own gateway, in this process, on a fake bus
pytest tests/host/openbm --gateway 127.0.0.1:4287     any gateway with a bus behind it; what needs our own is skipped
"""
