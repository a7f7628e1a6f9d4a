"""RecordRing: records that wait or await their acknowledgement, in one preallocated ring of bytes.

Each takes payload + 4 bytes: n low | n high | type | channel | payload (n bytes). Nothing allocates after construction.
A place in the ring is its byte index; `head` is that of the oldest record.
"""

from kline.protocol.link.framing import HEADER, RAW_AT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

OVERHEAD = 4


class RecordRing:
    """`count` records in `used` of `size` bytes. A failed allocation leaves size 0, which refuses everything."""

    def __init__(self, size: int) -> None:
        try:
            self._buf = bytearray(size)
            self.size = size
        except MemoryError:
            self._buf = bytearray(0)
            self.size = 0
        self.clear()

    def clear(self) -> None:
        self.head = 0
        self.used = 0
        self.count = 0

    def push(self, kind: int, channel: int, buf: "Buffer", start: int, n: int) -> bool:
        """Append a record with payload buf[start:start + n]; False when it does not fit."""
        size = self.size
        if n + OVERHEAD > size - self.used:
            return False
        i = self._put(self.head + self.used, n & 0xFF)
        i = self._put(i, n >> 8)
        i = self._put(i, kind)
        i = self._put(i, channel)
        if i == size:
            i = 0
        ring = self._buf
        for k in range(start, start + n):
            ring[i] = buf[k]
            i += 1
            if i == size:
                i = 0
        self.used += n + OVERHEAD
        self.count += 1
        return True

    def _put(self, i: int, byte: int) -> int:
        if i >= self.size:
            i -= self.size
        self._buf[i] = byte
        return i + 1

    def _wrap(self, i: int) -> int:
        return i if i < self.size else i - self.size

    def length(self, at: int) -> int:
        """Payload bytes of the record at `at`."""
        return self._buf[at] | self._buf[self._wrap(at + 1)] << 8

    def after(self, at: int) -> int:
        """Place of the record behind the one at `at`."""
        return self._wrap(at + OVERHEAD + self.length(at))

    def load(self, at: int, out: bytearray) -> int:
        """Put type, channel and payload of the record at `at` where framing.finish() wants them; returns their end."""
        size = self.size
        n = self.length(at)
        out[RAW_AT] = self._buf[self._wrap(at + 2)]
        out[RAW_AT + 1] = self._buf[self._wrap(at + 3)]
        i = self._wrap(at + OVERHEAD)
        ring = self._buf
        for k in range(RAW_AT + HEADER, RAW_AT + HEADER + n):
            out[k] = ring[i]
            i += 1
            if i == size:
                i = 0
        return RAW_AT + HEADER + n

    def drop(self) -> None:
        """Forget the oldest record."""
        if self.count:
            n = self.length(self.head) + OVERHEAD
            self.head = self._wrap(self.head + n)
            self.used -= n
            self.count -= 1
