"""Speaker: puts the records of one end on the stream, within the limit of one turn. It decides nothing but order.

A turn is begin(..), then any of the others. All of them assemble in one buffer and allocate nothing.
"""

from kline.protocol.link.framing import PAYLOAD_AT, RAW_AT, buffer_size, finish, wire_size
from kline.protocol.link.outbox import Outbox
from kline.protocol.link.record_ring import RecordRing
from kline.protocol.link.records import NAK, WELCOME_FIXED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Write

_NOW_SIZE = 256  # for unsequenced records


class Speaker:
    """`written`: bytes of this turn. `ack`: the number that goes out with every record. `out`: where they are made."""

    def __init__(self, max_payload: int) -> None:
        self.now_ring = RecordRing(_NOW_SIZE)  # unsequenced records that wait
        self.written = 0
        self.ack = 0
        self.out = bytearray(buffer_size(max(max_payload, WELCOME_FIXED + 50)))
        self._write: "Write | None" = None
        self._limit = 0
        self._now_us = 0

    def begin(self, write: "Write", limit: int, ack: int, now_us: int) -> None:
        self._write = write
        self._limit = limit
        self._now_us = now_us
        self.ack = ack
        self.written = 0

    def fits(self, size: int) -> bool:
        return not self.written or self.written + size <= self._limit

    def put(self, n: int) -> None:
        self.written += n
        if self._write is not None:
            self._write(self.out, n)

    def send(self, end: int, seq: int) -> None:
        """Encode and write the record whose type, channel and payload stand in the buffer up to `end`."""
        out = self.out
        out[RAW_AT + 2] = seq
        out[RAW_AT + 3] = self.ack
        self.put(finish(out, end))

    def waiting(self) -> None:
        """The unsequenced records that wait, as many as fit."""
        ring = self.now_ring
        while ring.count and self.fits(wire_size(ring.length(ring.head))):
            end = ring.load(ring.head, self.out)
            ring.drop()
            self.send(end, 0)

    def nak(self) -> bool:
        if not self.fits(wire_size(0)):
            return False
        self.out[RAW_AT] = NAK
        self.out[RAW_AT + 1] = 0
        self.send(PAYLOAD_AT, 0)
        return True

    def sequenced(self, outbox: Outbox) -> None:
        """The records that the peer's window allows, as many as fit."""
        size = outbox.next_size()
        while size and self.fits(size):
            seq = outbox.next_seq()
            self.send(outbox.load(self.out, self._now_us), seq)
            size = outbox.next_size()
