"""The PC's side of HELLO and WELCOME: who speaks of which session. Pure decisions; link/host_end.py acts on them.

A PC believes only a WELCOME that echoes an attempt of the present opening, so one left over in a buffer means nothing.
"""

from kline.protocol.link.framing import PAYLOAD_AT, RAW_AT, finish
from kline.protocol.link.records import (
    HELLO,
    HELLO_ATTEMPT,
    HELLO_SESSION,
    HELLO_SIZE,
    HELLO_WINDOW,
    PROTOCOL,
    WELCOME_ATTEMPT,
    WELCOME_BOOT_ID,
    WELCOME_FIXED,
    WELCOME_RESUMED,
    WELCOME_SESSION,
    get_u32,
    put_u16,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

IGNORE = 0  # a leftover, or damaged
FRESH = 1  # both sides start at sequence 0
RESUMED = 2  # both sides still have the session's state
ANNOUNCED = 3  # the device has restarted, or has no session
STALE = 4  # the device has state of a session with this number that we don't have: take another number
INCOMPATIBLE = 5  # another protocol version

_MAX_ATTEMPTS = 100  # echoes older than so many HELLOs are not believed


class Handshake:
    """The number of the session, the attempts to open it, and which start of the device it was opened with."""

    def __init__(self) -> None:
        self._session = bytearray(4)
        self._boot_id = bytearray(4)
        self._attempt = 0
        self._first_attempt = 0

    def number(self) -> int:
        """The session's number; 0 = none."""
        return get_u32(self._session, 0)

    def _same(self, mine: bytearray, buf: "Buffer", at: int) -> bool:
        for i in range(4):
            if mine[i] != buf[at + i]:
                return False
        return True

    def choose(self, number: int) -> bool:
        """Use that number, with the bytes 00, 03, 04 changed; True when it differs from the one in use."""
        was = self.number()
        for i in range(4):
            byte = (number >> (8 * i)) & 0xFF
            self._session[i] = byte | 0x80 if byte in (0, 3, 4) else byte
        return self.number() != was

    def another(self) -> None:
        """Use some other number."""
        self.choose((self.number() + 0x01010101) & 0xFFFFFFFF)  # big int: only the PC comes here

    def begin(self) -> None:
        """From now on only answers to HELLOs still to be sent count."""
        self._first_attempt = (self._attempt + 1) & 0xFF

    def put_hello(self, out: bytearray, window: int) -> int:
        """Encode the next HELLO into out; returns its size.

        Its attempt number is chosen so that no 03 or 04 is among its bytes: they may reach a MicroPython prompt, or a
        program that can still be interrupted.
        """
        n = 0
        for _ in range(32):
            self._attempt = (self._attempt + 1) & 0xFF
            out[RAW_AT] = HELLO
            for i in range(RAW_AT + 1, PAYLOAD_AT):
                out[i] = 0
            out[PAYLOAD_AT] = PROTOCOL
            for i in range(4):
                out[PAYLOAD_AT + HELLO_SESSION + i] = self._session[i]
            put_u16(out, PAYLOAD_AT + HELLO_WINDOW, window)
            out[PAYLOAD_AT + HELLO_ATTEMPT] = self._attempt
            n = finish(out, PAYLOAD_AT + HELLO_SIZE)
            if not contains(out, n, 3) and not contains(out, n, 4):
                break
        if (self._attempt - self._first_attempt) & 0xFF > _MAX_ATTEMPTS:
            self._first_attempt = (self._attempt - _MAX_ATTEMPTS) & 0xFF
        return n

    def judge_welcome(self, buf: "Buffer", at: int, end: int, opening: bool, known: bool) -> int:
        """What the WELCOME with payload buf[at:end] means to us. known: we have state of the session."""
        if end - at >= 1 and buf[at] != PROTOCOL:
            return INCOMPATIBLE
        if end - at < WELCOME_FIXED:
            return IGNORE
        rebooted = not self._same(self._boot_id, buf, at + WELCOME_BOOT_ID)
        i = at + WELCOME_SESSION
        if not (buf[i] or buf[i + 1] or buf[i + 2] or buf[i + 3]):
            return ANNOUNCED
        if not self._same(self._session, buf, i):
            return IGNORE
        if not opening:
            return ANNOUNCED if rebooted else IGNORE
        attempts = (self._attempt - self._first_attempt) & 0xFF
        if (buf[at + WELCOME_ATTEMPT] - self._first_attempt) & 0xFF > attempts:
            return IGNORE
        if buf[at + WELCOME_RESUMED]:
            return RESUMED if known and not rebooted else STALE
        if known and not rebooted:
            # The device has heard nothing of us since it adopted the session, but we may have heard its records.
            return STALE
        for i in range(4):
            self._boot_id[i] = buf[at + WELCOME_BOOT_ID + i]
        return FRESH


def contains(buf: bytearray, n: int, byte: int) -> bool:
    """Is `byte` among buf[0:n]?"""
    for i in range(n):
        if buf[i] == byte:
            return True
    return False
