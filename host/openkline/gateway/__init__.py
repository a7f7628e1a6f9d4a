"""The OpenBM gateway protocol over TCP: codec, sessions, limits. docs/gateway-protocol.md describes the wire."""
