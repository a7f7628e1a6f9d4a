"""Link: one end of the record link over USB serial, without I/O and without a clock. Both ends are this class.

    bytes in   feed(buf, n, now_us)       -> on_record(type, channel, buf, start, end), on_text(buf, n)
    bytes out  pump(now_us, write, limit) -> write(buf, n)
    records    queue(..) exactly once and in order within a session; send_now(..) once, perhaps lost

Call pump() after each feed() and queue() and at least every 50 ms (a PC that only listens: 200 ms); times are ticks
(see ticks.py) and never run backwards. Nothing allocates after construction, but for open(). The rules are in
docs/link-protocol.md; in short: the PC opens a session with HELLO, the device answers WELCOME; sequenced records are
acknowledged cumulatively by any record of the other direction, repeated by go-back-N, and limited by the peer's window;
a session outlives silence, noise and an unplugged cable, but not a restart of either side.

    PC      CLOSED --open()--> OPENING --WELCOME--> OPEN --silence, or WELCOME of a restarted device--> OPENING
    device  CLOSED --HELLO--> OPEN --silence--> LOST --any record--> OPEN
"""

from kline.protocol.framing import HEADER, Deframer
from kline.protocol.handshake import ANNOUNCED, FRESH, IGNORE, INCOMPATIBLE, RESUMED, STALE, Handshake
from kline.protocol.outbox import Outbox
from kline.protocol.record_ring import OVERHEAD
from kline.protocol.records import (
    HELLO,
    HELLO_WINDOW,
    LAST_UNSEQUENCED,
    LOG,
    NAK,
    QUIT,
    WELCOME,
    WELCOME_WINDOW,
    get_u16,
    pack_welcome,
)
from kline.protocol.speaker import Speaker
from kline.protocol.ticks import count_up, ticks_add, ticks_diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer, OnRecord, OnState, OnText, Write

HELLO_US = 250_000  # between two HELLOs
HEARTBEAT_US = 1_000_000
PEER_LOST_US = 5_000_000  # five heartbeats
TEXT_IDLE_US = 300_000  # text without a delimiter behind it is handed out after this
ANNOUNCE_US = 1_000_000  # between two WELCOMEs to a PC that talks without a session

DEVICE_WINDOW = 192  # MicroPython's stdin ring holds 259 bytes and drops what is beyond: this and some acks fit
HOST_WINDOW = 2048  # half of a Linux tty buffer
BAD_ACKS = 8  # in a row: the two sides no longer speak of the same records

CLOSED = 0
OPENING = 1
OPEN = 2
LOST = 3


class Link:
    """`Link(is_device)`; attributes to set: on_record, on_text, on_state(state), and on a device identity.

    ring_size    bytes for sequenced records that wait or are un-acknowledged (each: payload + 4)
    rx_size      longest encoded record that is understood
    max_payload  longest payload that is sent (FRAME with a frame of 257 bytes: 262)
    window       bytes on the stream that the peer may have un-acknowledged
    held         set by the owner: sequenced records can't be taken now, the peer shall repeat them (rx_held counts)
    identity     (device) payload from records.pack_welcome(); its boot_id must differ from start to start
    Counters (modulo 2**30): rx_records, tx_records (sequenced ones, each once), rx_bad, rx_gaps, rx_duplicates,
    tx_resent, abandoned (queued, then given up with their session), queue_full and no_session (refused by queue()),
    now_refused (by send_now()), text_bytes, losses (times that the peer fell silent).
    on_record gets the sequenced records, and HEARTBEAT, LOG, QUIT, HELLO of a new session, WELCOME that opens one.
    """

    def __init__(
        self,
        is_device: bool,
        ring_size: int = 2048,
        rx_size: int = 320,
        max_payload: int = 272,
        window: int = 0,
        now_size: int = 256,
    ) -> None:
        self.is_device = is_device
        self.window = window or (DEVICE_WINDOW if is_device else HOST_WINDOW)
        self.max_payload = max_payload
        self.identity = pack_welcome(0, 64, 0, (0, 0, 0), (0, 0, 0), "", b"")
        self.on_record: "OnRecord | None" = None
        self.on_text: "OnText | None" = None
        self.on_state: "OnState | None" = None
        self.held = False
        self.rx_held = 0
        self.state = CLOSED
        self.handshake = Handshake()
        self.outbox = Outbox(ring_size)
        self._speaker = Speaker(is_device, max_payload, now_size)
        self._deframer = Deframer(rx_size)
        self._deframer.on_frame = self._on_frame
        self._deframer.on_text = self._on_text
        self._rx_seq = 0
        self._gap = False
        self._nak_due = False
        self._ack_due = False
        self._beat_due = False
        self._greet_due = is_device  # a device announces itself
        self._bad_acks = 0
        self._now_us = 0
        self._fed_us = 0
        self._pumped_us = 0
        self._heard_us = 0
        self._beat_us = 0
        self._greeted_us = 0
        self.rx_records = 0
        self.rx_gaps = 0
        self.rx_duplicates = 0
        self.abandoned = 0
        self.queue_full = 0
        self.no_session = 0
        self.now_refused = 0
        self.losses = 0

    # -- for its owner -----------------------------------------------------------------------------------------------

    @property
    def session(self) -> int:
        """The session's number, 0 = none."""
        return self.handshake.number()

    @property
    def rx_bad(self) -> int:
        return self._deframer.bad

    @property
    def text_bytes(self) -> int:
        return self._deframer.text_bytes

    @property
    def tx_records(self) -> int:
        return self.outbox.sent_first

    @property
    def tx_resent(self) -> int:
        return self.outbox.sent_again

    def open(self, session: int) -> None:
        """(PC) Say HELLO until the device answers. `session`: 32 random bits; those of the last session resume it.

        Bytes 00, 03, 04 in it are changed (see Handshake.choose); `.session` is the number in use.
        """
        if self.handshake.choose(session):
            self._reset()
        self._start_opening()

    def close(self) -> None:
        """(PC) Say nothing any more; open() with the same number resumes the session."""
        self._set_state(CLOSED)

    def queue(self, kind: int, channel: int, buf: "Buffer", n: int, reserve: int = 0) -> bool:
        """Queue a sequenced record with payload buf[0:n]. False: no session, or no room (counted).

        `reserve`: bytes of the ring that it must leave to others.
        """
        if not self.handshake.known:
            self.no_session = count_up(self.no_session)
            return False
        ring = self.outbox.ring
        if n > self.max_payload or n + reserve > ring.size - ring.used or not ring.push(kind, channel, buf, 0, n):
            self.queue_full = count_up(self.queue_full)
            return False
        return True

    def room(self) -> int:
        """Payload bytes that queue() takes now."""
        ring = self.outbox.ring
        return max(0, min(ring.size - ring.used - OVERHEAD, self.max_payload))

    def send_now(self, kind: int, channel: int, buf: "Buffer", n: int) -> bool:
        """Send an unsequenced record (LOG, QUIT) with the next pump(); a device keeps it until a PC is there."""
        if n <= self.max_payload and self._speaker.now_ring.push(kind, channel, buf, 0, n):
            return True
        self.now_refused = count_up(self.now_refused)
        return False

    def feed(self, buf: "Buffer", n: int, now_us: int) -> None:
        """Take in buf[0:n] from the stream."""
        self._now_us = now_us
        self._fed_us = now_us
        self._deframer.feed(buf, n)

    def urgent(self) -> bool:
        """More than an acknowledgement is due, so that pump() shouldn't wait for its next regular turn."""
        return self._greet_due or self._nak_due or self._beat_due or self.outbox.next_size() > 0

    def pump(self, now_us: int, write: "Write", limit: int) -> int:
        """Send what is due with write(buf, n): at most `limit` bytes, but a first record of any size; returns bytes."""
        self._now_us = now_us
        self._watch()
        if limit <= 0:
            return 0
        speaker = self._speaker
        speaker.begin(write, limit, self._rx_seq, now_us)
        if self._greet_due:
            self._greet(speaker)
        if self.state == OPEN or not self.is_device:
            speaker.waiting()
        if self.state == OPEN:
            self._speak(speaker)
        return speaker.written

    def _greet(self, speaker: Speaker) -> None:
        self._greet_due = False
        self._greeted_us = self._now_us
        if self.is_device:
            speaker.welcome(self.handshake, self.identity, self.window)
        else:
            speaker.hello(self.handshake, self.window)

    def _speak(self, speaker: Speaker) -> None:
        """What belongs to an open session. Every record carries the ack, so a bare one is the last resort."""
        before = speaker.written
        if self._nak_due and speaker.nak():
            self._nak_due = False
        speaker.sequenced(self.outbox)
        if speaker.written > before:
            self._ack_due = False
        if (self._beat_due or self._ack_due) and speaker.heartbeat():
            self._beat_due = False
            self._ack_due = False
            self._beat_us = self._now_us

    # -- time --------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Everything that comes with time alone."""
        now_us = self._now_us
        passed_us = ticks_diff(now_us, self._pumped_us)
        self._pumped_us = now_us
        if passed_us < 0 or passed_us >= PEER_LOST_US:
            self._slept()
        if self._deframer.pending() and ticks_diff(now_us, self._fed_us) >= TEXT_IDLE_US:
            self._deframer.flush_text()
        if self.state == OPEN:
            if ticks_diff(now_us, self._heard_us) >= PEER_LOST_US:
                self._peer_lost()
                return
            self.outbox.watch(now_us)
            if ticks_diff(now_us, self._beat_us) >= HEARTBEAT_US:
                self._beat_due = True
        elif self.state == OPENING and ticks_diff(now_us, self._greeted_us) >= HELLO_US:
            self._greet_due = True

    def _slept(self) -> None:
        """We were not called for so long that no time noted before means anything: the peer's silence may be ours."""
        self._heard_us = self._now_us
        self._beat_us = self._now_us
        self._beat_due = True
        self._greeted_us = self._now_us
        self._greet_due = self._greet_due or self.state == OPENING
        self.outbox.repeat()

    def _peer_lost(self) -> None:
        self.losses = count_up(self.losses)
        if self.is_device:
            self._set_state(LOST)
        else:
            self._start_opening()

    def _set_state(self, state: int) -> None:
        if state != self.state:
            self.state = state
            if self.on_state is not None:
                self.on_state(state)

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _on_text(self, buf: bytearray, n: int) -> None:
        if self.on_text is not None:
            self.on_text(buf, n)

    def _deliver(self, buf: bytearray, start: int, end: int) -> None:
        if self.on_record is not None:
            self.on_record(buf[start], buf[start + 1], buf, start + HEADER, end)

    def _on_frame(self, buf: bytearray, start: int, end: int) -> None:
        kind = buf[start]
        if kind == HELLO or kind == WELCOME:
            if (kind == HELLO) == self.is_device:
                self._on_greeting(kind, buf, start, end)
            return
        if self.state == LOST:
            self._set_state(OPEN)
            self.outbox.repeat()
            self._beat_due = True
        elif self.state != OPEN:
            self._on_stray(kind, buf, start, end)
            return
        self._heard_us = self._now_us
        if not self.outbox.acknowledge(buf[start + 3], self._now_us):
            self._bad_ack()
            return
        self._bad_acks = 0
        if kind != QUIT:
            self.handshake.fresh = False
        if kind > LAST_UNSEQUENCED:
            self._on_sequenced(buf, start, end)
        elif kind == NAK:
            self.outbox.repeat()
        else:
            self._deliver(buf, start, end)

    def _on_sequenced(self, buf: bytearray, start: int, end: int) -> None:
        ahead = (buf[start + 2] - self._rx_seq) & 0xFF
        if ahead == 0 and self.held:
            self.rx_held = count_up(self.rx_held)
        elif ahead == 0:
            self._rx_seq = (self._rx_seq + 1) & 0xFF
            self._gap = False
            self._nak_due = False
            self._ack_due = True
            self.rx_records = count_up(self.rx_records)
            self._deliver(buf, start, end)
        elif ahead < 128:
            if not self._gap:  # one NAK a gap; should it get lost, the peer repeats by itself
                self._gap = True
                self._nak_due = True
                self.rx_gaps = count_up(self.rx_gaps)
        else:
            self._ack_due = True
            self.rx_duplicates = count_up(self.rx_duplicates)

    def _on_stray(self, kind: int, buf: bytearray, start: int, end: int) -> None:
        """A record outside of a session."""
        if kind == LOG or kind == QUIT:
            self._deliver(buf, start, end)
        if self.is_device and ticks_diff(self._now_us, self._greeted_us) >= ANNOUNCE_US:
            self._greet_due = True

    def _bad_ack(self) -> None:
        """The peer acknowledges what was never sent. Once is a leftover; again and again, the session is broken."""
        self._bad_acks += 1
        if self._bad_acks < BAD_ACKS:
            return
        self._reset()
        if self.is_device:
            self.handshake.forget()
            self._set_state(CLOSED)
            self._greet_due = True
        else:
            self.handshake.another()
            self._start_opening()

    # -- session -----------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        """Both directions start at sequence 0."""
        self.abandoned = ticks_add(self.abandoned, self.outbox.reset())
        self._rx_seq = 0
        self._gap = False
        self._nak_due = False
        self._ack_due = False
        self._bad_acks = 0

    def _start_opening(self) -> None:
        self.handshake.begin()
        self._greet_due = True
        self._set_state(OPENING)

    def _now_open(self, window: int) -> None:
        self.outbox.window = window
        self.outbox.repeat()
        self._heard_us = self._now_us
        self._beat_due = True
        self._set_state(OPEN)

    def _on_greeting(self, kind: int, buf: bytearray, start: int, end: int) -> None:
        if kind == HELLO:
            self._on_hello(buf, start, end)
        elif self.state != CLOSED:
            self._on_welcome(buf, start, end)

    def _on_hello(self, buf: bytearray, start: int, end: int) -> None:
        verdict = self.handshake.judge_hello(buf, start + HEADER, end)
        if verdict == IGNORE:
            return
        self._greet_due = True
        if verdict == INCOMPATIBLE:
            return
        if verdict == FRESH:
            self._reset()
        self._now_open(get_u16(buf, start + HEADER + HELLO_WINDOW))
        if verdict == FRESH:
            self._deliver(buf, start, end)

    def _on_welcome(self, buf: bytearray, start: int, end: int) -> None:
        verdict = self.handshake.judge_welcome(buf, start + HEADER, end, self.state == OPENING)
        if verdict == FRESH or verdict == RESUMED:
            if verdict == FRESH:
                self._reset()
            self._now_open(get_u16(buf, start + HEADER + WELCOME_WINDOW))
            self._deliver(buf, start, end)
        elif verdict == ANNOUNCED:
            if self.state == OPEN:
                self._start_opening()
            self._greet_due = True
        elif verdict == STALE:
            self._reset()
            self.handshake.another()
            self._start_opening()
        elif verdict == INCOMPATIBLE:
            self._set_state(CLOSED)
            self._deliver(buf, start, end)
