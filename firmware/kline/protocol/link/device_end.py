"""DeviceLink: the board's end of the record link. It waits for HELLO, and adopts the session that it names.

Until something else has come within that session, each WELCOME says resumed = 0; from then on resumed = 1.
"""

from kline.protocol.link.framing import HEADER, PAYLOAD_AT, RAW_AT, finish
from kline.protocol.link.link import CLOSED, LOST, OPEN, Link
from kline.protocol.link.records import (
    HEARTBEAT,
    HELLO,
    HELLO_ATTEMPT,
    HELLO_SESSION,
    HELLO_SIZE,
    HELLO_WINDOW,
    PROTOCOL,
    WELCOME,
    WELCOME_ATTEMPT,
    WELCOME_RESUMED,
    WELCOME_SESSION,
    WELCOME_TIME,
    WELCOME_WINDOW,
    get_u16,
    pack_welcome,
    put_u16,
    put_u32,
)
from kline.protocol.ticks import ticks_diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol.link.speaker import Speaker

ANNOUNCE_US = 1_000_000  # between two WELCOMEs to a PC that talks without a session
DEVICE_WINDOW = 192  # MicroPython's stdin ring holds 259 bytes and drops what is beyond: this and some acks fit
RESERVED = 96  # bytes of the ring that frames from the bus leave to results and events


class DeviceLink(Link):
    """identity  payload from records.pack_welcome(); its boot_id must differ from start to start"""

    def __init__(self, ring_size: int = 2048, rx_size: int = 320, max_payload: int = 272) -> None:
        super().__init__(ring_size, rx_size, max_payload)
        self.identity = pack_welcome(0, 64, 0, (0, 0, 0), (0, 0, 0), "", b"")
        self._session = bytearray(4)  # 0 = none
        self._attempt = 0
        self._greet_due = True  # it announces itself

    def _greet(self, speaker: "Speaker") -> None:
        out = speaker.out
        out[RAW_AT] = WELCOME
        for i in range(RAW_AT + 1, PAYLOAD_AT):
            out[i] = 0
        identity = self.identity
        for i in range(len(identity)):
            out[PAYLOAD_AT + i] = identity[i]
        for i in range(4):
            out[PAYLOAD_AT + WELCOME_SESSION + i] = self._session[i]
        out[PAYLOAD_AT + WELCOME_RESUMED] = 1 if self.known and not self._fresh else 0
        out[PAYLOAD_AT + WELCOME_ATTEMPT] = self._attempt
        put_u32(out, PAYLOAD_AT + WELCOME_TIME, self._now_us)
        put_u16(out, PAYLOAD_AT + WELCOME_WINDOW, DEVICE_WINDOW)
        speaker.put(finish(out, PAYLOAD_AT + len(identity)))

    def _beat(self, speaker: "Speaker") -> None:
        out = speaker.out
        out[RAW_AT] = HEARTBEAT
        out[RAW_AT + 1] = 0
        out[PAYLOAD_AT] = 0
        speaker.send(put_u32(out, PAYLOAD_AT + 1, self._now_us), 0)

    def _peer_lost(self) -> None:
        self._set_state(LOST)

    def _begin_anew(self) -> None:
        put_u32(self._session, 0, 0)
        self._set_state(CLOSED)
        self._greet_due = True

    def _on_stray(self, kind: int, buf: bytearray, start: int, end: int) -> bool:
        if self.state == LOST:
            self._set_state(OPEN)
            self.outbox.repeat()
            self._beat_due = True
            return True
        if not 0 <= ticks_diff(self._now_us, self._greeted_us) < ANNOUNCE_US:
            self._greet_due = True
        return super()._on_stray(kind, buf, start, end)

    def _on_greeting(self, buf: bytearray, start: int, end: int) -> None:
        at = start + HEADER
        if buf[start] != HELLO or end == at:
            return
        if buf[at] != PROTOCOL:
            self._greet_due = True  # ours tells the PC why nothing comes of it
            return
        if end - at < HELLO_SIZE:
            return
        i = at + HELLO_SESSION
        if not (buf[i] or buf[i + 1] or buf[i + 2] or buf[i + 3]):
            return
        self._attempt = buf[at + HELLO_ATTEMPT]
        self._greet_due = True
        resumes = self.known and self._is_session(buf, i)
        if not resumes:
            for k in range(4):
                self._session[k] = buf[i + k]
            self._reset(True)
        self._now_open(get_u16(buf, at + HELLO_WINDOW))
        if not resumes:
            self._deliver(buf, start, end)

    def _is_session(self, buf: bytearray, at: int) -> bool:
        for i in range(4):
            if self._session[i] != buf[at + i]:
                return False
        return True
