"""Speaker: puts the records of one end on the stream, within the limit of one turn. It decides nothing but order.

A turn is begin(..), then any of the others. All of them assemble in one buffer and allocate nothing.
"""

from kline.protocol.framing import HEADER, RAW_AT, buffer_size, finish, wire_size
from kline.protocol.handshake import Handshake, contains
from kline.protocol.outbox import Outbox
from kline.protocol.record_ring import RecordRing
from kline.protocol.records import HEARTBEAT, NAK, WELCOME_FIXED, put_u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer, Write

_AT = RAW_AT + HEADER  # where a payload is assembled


class Speaker:
    """`written`: bytes of this turn. `ack`: the number that goes out with every record."""

    def __init__(self, is_device: bool, max_payload: int, now_size: int) -> None:
        self.is_device = is_device
        self.now_ring = RecordRing(now_size)  # unsequenced records that wait
        self.written = 0
        self.ack = 0
        self._out = bytearray(buffer_size(max(max_payload, WELCOME_FIXED + 50)))
        self._write: "Write | None" = None
        self._limit = 0
        self._now_us = 0
        self._salt = 0

    def begin(self, write: "Write", limit: int, ack: int, now_us: int) -> None:
        self._write = write
        self._limit = limit
        self._now_us = now_us
        self.ack = ack
        self.written = 0

    def _fits(self, size: int) -> bool:
        return not self.written or self.written + size <= self._limit

    def _put(self, n: int) -> None:
        self.written += n
        if self._write is not None:
            self._write(self._out, n)

    def _send(self, end: int, seq: int) -> None:
        """Encode and write the record whose type, channel and payload stand in the buffer up to `end`."""
        out = self._out
        out[RAW_AT + 2] = seq
        out[RAW_AT + 3] = self.ack
        self._put(finish(out, end))

    def welcome(self, handshake: Handshake, identity: "Buffer", window: int) -> None:
        end = handshake.put_welcome(self._out, identity, self._now_us, window)
        self._out[RAW_AT + 2] = 0
        self._out[RAW_AT + 3] = 0
        self._put(finish(self._out, end))

    def hello(self, handshake: Handshake, window: int) -> None:
        self._put(handshake.put_hello(self._out, window))

    def waiting(self) -> None:
        """The unsequenced records that wait, as many as fit."""
        ring = self.now_ring
        while ring.count and self._fits(wire_size(ring.length(ring.head))):
            end = ring.load(ring.head, self._out)
            ring.drop()
            self._send(end, 0)

    def nak(self) -> bool:
        if not self._fits(wire_size(0)):
            return False
        self._out[RAW_AT] = NAK
        self._out[RAW_AT + 1] = 0
        self._send(_AT, 0)
        return True

    def sequenced(self, outbox: Outbox) -> None:
        """The records that the peer's window allows, as many as fit."""
        size = outbox.next_size()
        while size and self._fits(size):
            seq = outbox.next_seq()
            self._send(outbox.load(self._out, self._now_us), seq)
            size = outbox.next_size()

    def heartbeat(self) -> bool:
        """Also the bare acknowledgement. A PC's is a salt alone, so chosen that no byte is 03 (if the ack is not): a
        board that has just restarted would take that for Ctrl-C."""
        if not self._fits(wire_size(5)):
            return False
        out = self._out
        n = 0
        for _ in range(8):
            out[RAW_AT] = HEARTBEAT
            out[RAW_AT + 1] = 0
            out[RAW_AT + 2] = 0
            out[RAW_AT + 3] = self.ack
            out[_AT] = self._salt
            n = finish(out, put_u32(out, _AT + 1, self._now_us) if self.is_device else _AT + 1)
            if self.is_device or not contains(out, n, 3):
                break
            self._salt = (self._salt + 1) & 0xFF
        self._put(n)
        return True
