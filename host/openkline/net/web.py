"""Web browsers at ports that are not for them.

Any web page may have the browser connect to a port of this computer and send a request whose body the page chooses. The
request line comes first, and a page can't put a line end into it; so what is behind it is never read.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"[\r\n]")
_REQUEST_LINE = re.compile(rb" HTTP/\d(\.\d)?\s*$")  # RFC 9112 3; also RFC 9113 3.4, `PRI * HTTP/2.0`
_TAIL = 16  # bytes of a line that the pattern needs
# RFC 8446 5.1, 4: type handshake, version 3.x, length, ClientHello.
_CLIENT_HELLO = re.compile(rb"\x16\x03[\x00-\x04]..\x01", re.DOTALL)
_HELLO_SIZE = 6
_MAX_REQUEST_LINE = 8192  # RFC 9112 3 asks for 8000


class WebWatch:
    """The bytes of one connection, in any pieces: found() says whether a browser's greeting is among them."""

    __slots__ = ("_head", "_tail")

    def __init__(self) -> None:
        self._head = self._tail = b""

    def found(self, data: bytes) -> bool:
        """Whether `data` completes a line that looks like HTTP, or is the beginning of TLS."""
        if len(self._head) < _HELLO_SIZE:
            self._head += data[: _HELLO_SIZE - len(self._head)]
            if _CLIENT_HELLO.match(self._head):
                return True
        *ended, rest = _LINE_END.split(data)
        for line in ended:
            if _REQUEST_LINE.search((self._tail + line)[-_TAIL:]):
                return True
            self._tail = b""
        self._tail = (self._tail + rest)[-_TAIL:]
        return False


class WebGuard:
    """For binary protocols: keeps back how a connection begins while that may still be a browser's greeting.

    decided: no longer; found: it is one.
    """

    __slots__ = ("_held", "_watch", "decided", "found")

    def __init__(self) -> None:
        self._held = b""
        self._watch = WebWatch()
        self.decided = self.found = False

    def admit(self, data: bytes) -> bytes:
        """What may be looked at now: nothing before it is decided, then all that was kept back."""
        self._held += data
        self.found = self._watch.found(data)
        self.decided = self.found or not _may_become_web(self._held)
        return b"" if self.found or not self.decided else self._held


def _may_become_web(start: bytes) -> bool:
    if len(start) < _HELLO_SIZE and b"\x16\x03".startswith(start[:2]):
        return True
    return len(start) <= _MAX_REQUEST_LINE and start.isascii() and start.decode("ascii").isprintable()
