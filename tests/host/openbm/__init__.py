"""Conformance with the OpenBM gateway protocol, over real sockets.

pytest tests/host/openbm                              our own gateway, in this process, on a fake bus
pytest tests/host/openbm --gateway 127.0.0.1:4287     any gateway with a bus behind it; what needs our own is skipped
"""
