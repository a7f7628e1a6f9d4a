"""Outbox: the sequenced records of one direction, from queue() to their acknowledgement (go-back-N).

    oldest                     cursor                  newest
    |--- sent, un-acknowledged ---|--- waiting (or to be repeated) ---|

Sequence numbers are 8 bits and belong to a record when it is sent first; `base` is that of the oldest. An ack is
cumulative: the number that the peer expects next. Records are repeated after a NAK, or when nothing was acknowledged
for the resend time (which doubles up to its cap). A repetition starts with the oldest record alone: the rest follows
when that is acknowledged, so what is still under way to a slow peer doesn't pile up in its input buffer.
"""

from kline.protocol.link.framing import wire_size
from kline.protocol.link.record_ring import RecordRing
from kline.protocol.ticks import count_up, ticks_diff

MAX_OUTSTANDING = 100  # records; below 128, so that "behind" and "ahead" are told apart
RESEND_US = 500_000  # a PC that only listens takes 400 ms for an acknowledgement; a gap is reported at once, by NAK
RESEND_CAP_US = 2_000_000


class Outbox:
    """`window`: bytes on the stream that may be un-acknowledged (one record alone may be longer)."""

    def __init__(self, ring_size: int) -> None:
        self.ring = RecordRing(ring_size)
        self.window = 0
        self.sent_first = 0  # counters, modulo 2**30
        self.sent_again = 0
        self.reset()

    def reset(self) -> int:
        """Forget everything, sequence 0 is next; returns how many records were dropped."""
        dropped = self.ring.count
        self.ring.clear()
        self.base = 0
        self.outstanding = 0  # records between the oldest and the cursor
        self.outstanding_bytes = 0
        self._sent = 0  # records from the oldest on that have been sent at least once (>= outstanding)
        self._cursor = 0
        self._probing = False
        self._wait_us = RESEND_US
        self._since_us = 0
        return dropped

    def acknowledge(self, ack: int, now_us: int) -> bool:
        """The peer expects `ack` next. False when that cannot be: it is not of this session."""
        n = (ack - self.base) & 0xFF
        if n > self._sent:
            return False
        if n:
            self.base = ack
            self._sent -= n
            self._probing = False
            self._wait_us = RESEND_US
            self._since_us = now_us
            while n:
                self._drop_oldest()
                n -= 1
        return True

    def _drop_oldest(self) -> None:
        ring = self.ring
        if self.outstanding:
            self.outstanding -= 1
            self.outstanding_bytes -= wire_size(ring.length(ring.head))
            ring.drop()
        else:
            ring.drop()
            self._cursor = ring.head

    def repeat(self) -> None:
        """Go back to the oldest record."""
        if self._sent:
            self._cursor = self.ring.head
            self.outstanding = 0
            self.outstanding_bytes = 0
            self._probing = True

    def watch(self, now_us: int) -> None:
        """Go back when nothing was acknowledged for too long."""
        if self.outstanding and ticks_diff(now_us, self._since_us) >= self._wait_us:
            if self._wait_us < RESEND_CAP_US:
                self._wait_us *= 2
            self.repeat()

    def next_size(self) -> int:
        """Bytes on the stream of the record that may be sent now; 0 when there is none."""
        n = self.outstanding
        if n >= self.ring.count or n >= MAX_OUTSTANDING or (n and self._probing):
            return 0
        size = wire_size(self.ring.length(self._cursor))
        if n and self.outstanding_bytes + size > self.window:
            return 0
        return size

    def next_seq(self) -> int:
        return (self.base + self.outstanding) & 0xFF

    def load(self, out: bytearray, now_us: int) -> int:
        """After next_size(): put that record where framing.finish() wants it, count it as sent; returns its end."""
        ring = self.ring
        at = self._cursor
        end = ring.load(at, out)
        if not self.outstanding:
            self._since_us = now_us
        self.outstanding += 1
        self.outstanding_bytes += wire_size(ring.length(at))
        self._cursor = ring.after(at)
        if self.outstanding > self._sent:
            self._sent = self.outstanding
            self.sent_first = count_up(self.sent_first)
        else:
            self.sent_again = count_up(self.sent_again)
        return end
