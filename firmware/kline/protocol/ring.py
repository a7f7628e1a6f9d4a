"""RingBuffer: a preallocated circular byte buffer that never grows and never raises on data.

All `size` bytes are usable. Nothing allocates after construction. One writer and one reader in the same thread (or a
reader that a soft interrupt cannot enter): operations are not atomic against each other.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer


class RingBuffer:
    """`RingBuffer(size)`; where the memory cannot be had, `.size` is 0 and everything is refused."""

    def __init__(self, size: int) -> None:
        try:
            self._buf = bytearray(size)
            self.size = size
        except MemoryError:
            self._buf = bytearray(0)
            self.size = 0
        self._head = 0  # index of the oldest byte
        self._used = 0

    def available(self) -> int:
        return self._used

    def free(self) -> int:
        return self.size - self._used

    def peek(self, n: int) -> int:
        """Byte n counted from the oldest (0), or -1 outside the contents."""
        if 0 <= n < self._used:
            n += self._head
            if n >= self.size:
                n -= self.size
            return self._buf[n]
        return -1

    def read(self) -> int:
        """Take the oldest byte; -1 when empty."""
        if not self._used:
            return -1
        head = self._head
        byte = self._buf[head]
        head += 1
        self._head = head if head < self.size else 0
        self._used -= 1
        return byte

    def put(self, byte: int) -> bool:
        """Append one byte (its low 8 bits); False when full."""
        used = self._used
        if used >= self.size:
            return False
        i = self._head + used
        if i >= self.size:
            i -= self.size
        self._buf[i] = byte & 0xFF
        self._used = used + 1
        return True

    def write(self, buf: "Buffer", n: int = -1, start: int = 0) -> bool:
        """Append n bytes of buf from `start` on (n < 0: to its end); when they do not all fit: nothing, and False."""
        if n < 0:
            n = len(buf) - start
        if n < 0 or start < 0 or start + n > len(buf) or n > self.size - self._used:
            return False
        i = self._head + self._used
        if i >= self.size:
            i -= self.size
        self._used += n
        n += start
        ring = self._buf
        for start in range(start, n):  # a name less: the frame stays on the stack
            ring[i] = buf[start]
            i += 1
            if i == self.size:
                i = 0
        return True

    def remove(self, n: int) -> int:
        """Drop the n oldest bytes, at most what is there; returns how many went."""
        if n <= 0:
            return 0
        if n >= self._used:
            n = self._used
            self.clear()
            return n
        head = self._head + n
        self._head = head if head < self.size else head - self.size
        self._used -= n
        return n

    def copy_to(self, buf: bytearray | memoryview, n: int, start: int = 0) -> int:
        """Copy up to n bytes, from byte `start` of the contents on, to buf[0:n] without removing; returns how many."""
        if start < 0:
            return 0
        if n > self._used - start:
            n = self._used - start
        if n > len(buf):
            n = len(buf)
        if n <= 0:
            return 0
        size = self.size
        i = self._head + start
        if i >= size:
            i -= size
        ring = self._buf
        for k in range(n):
            buf[k] = ring[i]
            i += 1
            if i == size:
                i = 0
        return n

    def xor8(self, n: int, start: int = 0) -> int:
        """XOR of n bytes from byte `start` of the contents on (start + n <= available)."""
        ring = self._buf
        start += self._head
        if start >= self.size:
            start -= self.size
        n += start
        x = 0
        if n > self.size:  # the rest lies in front again
            n -= self.size
            for i in range(n):
                x ^= ring[i]
            n = self.size
        for i in range(start, n):
            x ^= ring[i]
        return x

    def clear(self) -> None:
        self._head = 0
        self._used = 0
