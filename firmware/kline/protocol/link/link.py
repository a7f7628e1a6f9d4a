"""Link: the rules that both ends of the record link over USB serial share, without I/O and without a clock.

DeviceLink (link/device_end.py) and HostLink (link/host_end.py) add how a session begins and what silence means to each.

    bytes in   feed(buf, n, now_us)       -> on_record(type, channel, buf, start, end)
    bytes out  pump(now_us, write, limit) -> write(buf, n)
    records    queue(..) exactly once and in order within a session; send_now(..) once, perhaps lost

Call pump() after each feed() and queue() and at least every 50 ms (a PC that only listens: 400 ms); times are ticks
(see ticks.py) and never run backwards. Nothing allocates after construction, but for HostLink.open(). The rules are in
docs/link-protocol.md; in short: the PC opens a session with HELLO, the device answers WELCOME; sequenced records are
acknowledged cumulatively by any record of the other direction, repeated by go-back-N, and limited by the peer's window;
a session outlives silence, noise and an unplugged cable, but not a restart of either side.

    PC      CLOSED --open()--> OPENING --WELCOME--> OPEN --silence, or WELCOME of a restarted device--> OPENING
    device  CLOSED --HELLO--> OPEN --silence--> LOST --any record--> OPEN
"""

from kline.protocol.link.framing import HEADER, Deframer, wire_size
from kline.protocol.link.outbox import Outbox
from kline.protocol.link.record_ring import OVERHEAD
from kline.protocol.link.records import HELLO, LAST_UNSEQUENCED, LOG, NAK, QUIT, WELCOME
from kline.protocol.link.speaker import Speaker
from kline.protocol.ticks import count_up, ticks_add, ticks_diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kline.protocol._types import Buffer, OnFrame, OnRecord, OnState, Write

HEARTBEAT_US = 1_000_000
PEER_LOST_US = 5_000_000  # five heartbeats
BAD_ACKS = 8  # in a row: the two sides no longer speak of the same records

CLOSED = 0
OPENING = 1
OPEN = 2
LOST = 3


class Link:
    """Attributes to set: on_record, on_state(state).

    ring_size    bytes for sequenced records that wait or are un-acknowledged (each: payload + 4)
    rx_size      longest encoded record that is understood
    max_payload  longest payload that is sent (FRAME with a frame of 257 bytes: 262)
    held         set by the owner: sequenced records can't be taken now, the peer shall repeat them (rx_held counts)
    known        there is a session, with state, on this side
    Counters (modulo 2**30): rx_records (sequenced ones, each once), rx_gaps, rx_duplicates, abandoned (queued, then
    given up with their session), queue_full and no_session (refused by queue()), now_refused (by send_now()), losses
    (times that the peer fell silent); more in `deframer` and `outbox`.
    on_record gets the sequenced records, and HEARTBEAT, LOG, QUIT, HELLO of a new session, WELCOME that opens one.

    No properties: with one in a class, MicroPython searches that class and those above it whenever an attribute is
    stored, and a received record took three times as long (unix port).
    """

    # What each end does in its own way.
    _greet: "Callable[[Speaker], None]"  # say HELLO or WELCOME
    _beat: "Callable[[Speaker], None]"  # say HEARTBEAT; there is room for it
    _peer_lost: "Callable[[], None]"  # nothing has come for PEER_LOST_US
    _begin_anew: "Callable[[], None]"  # the session was broken, and is forgotten
    _on_greeting: "OnFrame"  # HELLO or WELCOME has come

    def __init__(self, ring_size: int, rx_size: int, max_payload: int) -> None:
        self.max_payload = max_payload
        self.on_record: "OnRecord | None" = None
        self.on_state: "OnState | None" = None
        self.held = False
        self.rx_held = 0
        self.state = CLOSED
        self.known = False
        self.outbox = Outbox(ring_size)
        self._speaker = Speaker(max_payload)
        self.deframer = Deframer(rx_size)
        self.deframer.on_frame = self._on_frame
        self._rx_seq = 0
        self._fresh = False  # nothing of the peer has come in this session yet, but what opened it
        self._gap = False
        self._nak_due = False
        self._ack_due = False
        self._beat_due = False
        self._greet_due = False
        self._unasked = False  # unsequenced records may go out without a session
        self._bad_acks = 0
        self._now_us = 0
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

    def queue(self, kind: int, channel: int, buf: "Buffer", n: int, reserve: int = 0) -> bool:
        """Queue a sequenced record with payload buf[0:n]. False: no session, or no room (counted).

        `reserve`: bytes of the ring that it must leave to others.
        """
        if not self.known:
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
        """Send an unsequenced record (LOG, QUIT) with the next pump() that may."""
        if n <= self.max_payload and self._speaker.now_ring.push(kind, channel, buf, 0, n):
            return True
        self.now_refused = count_up(self.now_refused)
        return False

    def feed(self, buf: "Buffer", n: int, now_us: int) -> None:
        """Take in buf[0:n] from the stream."""
        self._now_us = now_us
        self.deframer.feed(buf, n)

    def pump(self, now_us: int, write: "Write", limit: int) -> int:
        """Send what is due with write(buf, n): at most `limit` bytes, but a first record of any size; returns bytes."""
        self._now_us = now_us
        self._watch()
        if limit <= 0:
            return 0
        speaker = self._speaker
        speaker.begin(write, limit, self._rx_seq, now_us)
        if self._greet_due:
            self._greet_due = False
            self._greeted_us = now_us
            self._greet(speaker)
        if self.state == OPEN or self._unasked:
            speaker.waiting()
        if self.state == OPEN:
            self._speak(speaker)
        return speaker.written

    def _speak(self, speaker: Speaker) -> None:
        """What belongs to an open session. Every record carries the ack, so a bare one is the last resort."""
        before = speaker.written
        if self._nak_due and speaker.nak():
            self._nak_due = False
        speaker.sequenced(self.outbox)
        if speaker.written > before:
            self._ack_due = False
            self._beat_us = self._now_us
        if (self._beat_due or self._ack_due) and speaker.fits(wire_size(5)):
            self._beat(speaker)
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
        if self.state == OPEN:
            if ticks_diff(now_us, self._heard_us) >= PEER_LOST_US:
                self.losses = count_up(self.losses)
                self._peer_lost()
                return
            self.outbox.watch(now_us)
            if ticks_diff(now_us, self._beat_us) >= HEARTBEAT_US:
                self._beat_due = True

    def _slept(self) -> None:
        """We were not called for so long that no time noted before means anything: the peer's silence may be ours."""
        self._heard_us = self._now_us
        self._beat_us = self._now_us
        self._beat_due = True
        self._greeted_us = self._now_us
        self.outbox.repeat()

    def _set_state(self, state: int) -> None:
        if state != self.state:
            self.state = state
            if self.on_state is not None:
                self.on_state(state)

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _deliver(self, buf: bytearray, start: int, end: int) -> None:
        if self.on_record is not None:
            self.on_record(buf[start], buf[start + 1], buf, start + HEADER, end)

    def _on_frame(self, buf: bytearray, start: int, end: int) -> None:
        kind = buf[start]
        if kind == HELLO or kind == WELCOME:
            self._on_greeting(buf, start, end)
            return
        if self.state != OPEN and not self._on_stray(kind, buf, start, end):
            return
        self._heard_us = self._now_us
        ack = buf[start + 3]
        if ack != self.outbox.base and not self.outbox.acknowledge(ack, self._now_us):
            self._bad_ack()
            return
        self._bad_acks = 0
        if kind != QUIT:
            self._fresh = False
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
            if self.on_record is not None:  # as _deliver, a call less for each frame
                self.on_record(buf[start], buf[start + 1], buf, start + HEADER, end)
        elif ahead < 128:
            if not self._gap:  # one NAK a gap; should it get lost, the peer repeats by itself
                self._gap = True
                self._nak_due = True
                self.rx_gaps = count_up(self.rx_gaps)
        else:
            self._ack_due = True
            self.rx_duplicates = count_up(self.rx_duplicates)

    def _on_stray(self, kind: int, buf: bytearray, start: int, end: int) -> bool:
        """A record while no session is open. True: one is open again now, and this is its first record."""
        if kind == LOG or kind == QUIT:
            self._deliver(buf, start, end)
        return False

    def _bad_ack(self) -> None:
        """The peer acknowledges what was never sent. Once is a leftover; again and again, the session is broken."""
        self._bad_acks += 1
        if self._bad_acks >= BAD_ACKS:
            self._reset(False)
            self._begin_anew()

    # -- session -----------------------------------------------------------------------------------------------------

    def _reset(self, known: bool) -> None:
        """Both directions start at sequence 0."""
        self.known = known
        self._fresh = True
        self.abandoned = ticks_add(self.abandoned, self.outbox.reset())
        self._rx_seq = 0
        self._gap = False
        self._nak_due = False
        self._ack_due = False
        self._bad_acks = 0

    def _now_open(self, window: int) -> None:
        self.outbox.window = window
        self.outbox.repeat()
        self._heard_us = self._now_us
        self._beat_due = True
        self._set_state(OPEN)
