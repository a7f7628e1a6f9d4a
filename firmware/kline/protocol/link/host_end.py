"""HostLink: the PC's end of the record link. It says HELLO until the device answers, and again when that falls silent.

What it says on its own account keeps clear of 03: a device that has just restarted would take that for Ctrl-C.
"""

from kline.protocol.link.framing import HEADER, PAYLOAD_AT, RAW_AT, finish
from kline.protocol.link.handshake import ANNOUNCED, FRESH, INCOMPATIBLE, RESUMED, STALE, Handshake, contains
from kline.protocol.link.link import CLOSED, OPEN, OPENING, Link
from kline.protocol.link.records import HEARTBEAT, WELCOME, WELCOME_WINDOW, get_u16
from kline.protocol.ticks import ticks_diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer, OnText
    from kline.protocol.link.speaker import Speaker

HELLO_US = 250_000  # between two HELLOs
TEXT_IDLE_US = 300_000  # text without a delimiter behind it is handed out after this
HOST_WINDOW = 2048  # half of a Linux tty buffer


class HostLink(Link):
    """on_text(buf, n)  to be set: gets what is no record, but printable; `handshake`: has the session's number"""

    def __init__(self, ring_size: int = 2048, rx_size: int = 320, max_payload: int = 272) -> None:
        super().__init__(ring_size, rx_size, max_payload)
        self.on_text: "OnText | None" = None
        self.handshake = Handshake()
        self.deframer.on_text = self._on_text
        self._unasked = True  # QUIT needs no session
        self._fed_us = 0
        self._salt = 0

    def open(self, session: int) -> None:
        """Say HELLO until the device answers. `session`: 32 random bits; those of the last session resume it.

        Bytes 00, 03, 04 in it are changed (see Handshake.choose).
        """
        if self.handshake.choose(session):
            self._reset(False)
        self._start_opening()

    def close(self) -> None:
        """Say nothing any more; open() with the same number resumes the session."""
        self._set_state(CLOSED)

    def urgent(self) -> bool:
        """More than an acknowledgement is due, so that pump() shouldn't wait for its next regular turn."""
        due = self._greet_due or self._nak_due or self._beat_due
        return due or (self.outbox.ring.count > 0 and self.outbox.next_size() > 0)

    def feed(self, buf: "Buffer", n: int, now_us: int) -> None:
        self._fed_us = self._now_us = now_us
        self.deframer.feed(buf, n)

    def _on_text(self, buf: bytearray, n: int) -> None:
        if self.on_text is not None:
            self.on_text(buf, n)

    # -- time --------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self.deframer.pending and not 0 <= ticks_diff(self._now_us, self._fed_us) < TEXT_IDLE_US:
            self.deframer.flush_text()
        super()._watch()
        if self.state == OPENING and not 0 <= ticks_diff(self._now_us, self._greeted_us) < HELLO_US:
            self._greet_due = True

    def _slept(self) -> None:
        super()._slept()
        if self.state == OPENING:
            self._greet_due = True

    def _peer_lost(self) -> None:
        self._start_opening()

    # -- speaking ----------------------------------------------------------------------------------------------------

    def _greet(self, speaker: "Speaker") -> None:
        speaker.put(self.handshake.put_hello(speaker.out, HOST_WINDOW))

    def _beat(self, speaker: "Speaker") -> None:
        """A salt alone, so chosen that no byte is 03 (if the ack is not)."""
        out = speaker.out
        n = 0
        for _ in range(8):
            out[RAW_AT] = HEARTBEAT
            out[RAW_AT + 1] = 0
            out[RAW_AT + 2] = 0
            out[RAW_AT + 3] = speaker.ack
            out[PAYLOAD_AT] = self._salt
            n = finish(out, PAYLOAD_AT + 1)
            if not contains(out, n, 3):
                break
            self._salt = (self._salt + 1) & 0xFF
        speaker.put(n)

    # -- session -----------------------------------------------------------------------------------------------------

    def _start_opening(self) -> None:
        self.handshake.begin()
        self._greet_due = True
        self._set_state(OPENING)

    def _begin_anew(self) -> None:
        self.handshake.another()
        self._start_opening()

    def _on_greeting(self, buf: bytearray, start: int, end: int) -> None:
        if buf[start] != WELCOME or self.state == CLOSED:
            return
        verdict = self.handshake.judge_welcome(buf, start + HEADER, end, self.state == OPENING, self.known)
        if verdict == FRESH or verdict == RESUMED:
            if verdict == FRESH:
                self._reset(True)
            self._now_open(get_u16(buf, start + HEADER + WELCOME_WINDOW))
            self._deliver(buf, start, end)
        elif verdict == ANNOUNCED:
            if self.state == OPEN:
                self._start_opening()
            self._greet_due = True
        elif verdict == STALE:
            self._reset(False)
            self._begin_anew()
        elif verdict == INCOMPATIBLE:
            self._set_state(CLOSED)
            self._deliver(buf, start, end)
