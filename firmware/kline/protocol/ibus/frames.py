"""BMW I/K-Bus frames: encoding, and the scanner that finds frames in a noisy stream.

Frame:  source | length | destination | data.. | checksum
        length counts destination, data and checksum: 3..255, so a frame has 5..257 bytes; XOR over all of it is 0.

Decoder rule: the candidate that starts first wins until it is a whole frame, or fails its checksum, or claims a length
outside 3..max, or stalls (no new byte for `stall_us`); then one byte is dropped and the search goes on from the next.
When input stalls, every incomplete candidate in the ring has stalled, those that start later too.

A sender wants to know when the frame that is under way will be over, before frames that came earlier are taken:
missing() looks behind whole frames at the head of the ring, and sums up each byte once.

The scanner reads any object with `available() peek(n) remove(n)` and allocates nothing. A ring of at least twice
`max_frame` bytes always makes progress: once `max_frame` bytes are there, the first candidate is decided.
"""

from array import array

from kline.protocol.checksum import xor8
from kline.protocol.ticks import count_up, ticks_add, ticks_diff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer, Ring

MIN_FRAME = 5
MAX_FRAME = 257
MIN_LENGTH = 3  # smallest legal length byte: destination, one data byte, checksum
BYTE_US = 1146  # 11 bits (8E1) at 9600 baud
STALL_US = 100_000  # as the reference design: some 87 byte times

FIND_SOURCE = 0  # waiting for a first byte
FIND_LENGTH = 1  # waiting for the length byte
FIND_MESSAGE = 2  # waiting for the rest of the candidate
GOOD_CHECKSUM = 3  # a valid frame stands at the head of the ring
BAD_CHECKSUM = 4  # (passing) the candidate was whole, its XOR was not 0
UNKNOWN = MAX_FRAME  # missing(): nothing says where the frame ends
_AHEAD = 64  # whole frames that missing() looks behind at most


def encode(source: int, destination: int, data: "Buffer") -> bytes:
    """A whole frame with length and checksum. ValueError: an address outside 0..255, data not 1..253 bytes."""
    if not 0 <= source <= 255:
        raise ValueError("source is %r, must be 0..255" % (source,))
    if not 0 <= destination <= 255:
        raise ValueError("destination is %r, must be 0..255" % (destination,))
    n = len(data)
    if not 1 <= n <= 253:
        raise ValueError("data has %d bytes, must be 1..253" % n)
    frame = bytearray(n + 4)
    frame[0] = source
    frame[1] = n + 2
    frame[2] = destination
    frame[3 : n + 3] = data
    frame[n + 3] = xor8(frame, 0, n + 3)
    return bytes(frame)


class IbusScanner:
    """Finds frames in `ring`. Loop: `n = scan(now_us)`; n > 0: copy n bytes out of the ring's head, then `take()`.

    Times are ticks (see ticks.py) and must not run backwards; call scan() at least every 500 s.
    Counters (modulo 2**30): frames; bad_checksum, bad_length, too_long, stalled: candidates given up for that
    reason, one byte each; dropped_bytes: their sum.
    """

    def __init__(self, ring: "Ring", max_frame: int = 64, stall_us: int = STALL_US) -> None:
        if not MIN_FRAME <= max_frame <= MAX_FRAME:
            raise ValueError("max_frame is %r, must be %d..%d" % (max_frame, MIN_FRAME, MAX_FRAME))
        self._ring = ring
        self._xor = getattr(ring, "xor8", self._xor_of_peeks)  # RingBuffer's loop over its own bytes
        self.max_frame = max_frame
        self.stall_us = stall_us
        self.frames = 0
        self.bad_checksum = 0
        self.bad_length = 0
        self.too_long = 0
        self.stalled = 0
        self.dropped_bytes = 0
        self.end_us = -1  # tick of the end of the frame that was taken last; -1: missing() had not seen it
        self._ends = array("i", [0] * _AHEAD)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen of the ring: to be called by whoever flushed it."""
        self.state = FIND_SOURCE
        self._need = 0  # bytes of the frame at the head, while GOOD_CHECKSUM
        self._whole = 0  # bytes of the whole frames at the head of the ring, as far as they are known
        self._count = 0  # of these frames
        self._first = 0  # index in _ends of the first one's
        self._summed = 0  # bytes of the candidate behind them that are in _x
        self._x = 0
        self._seen = 0  # available() at the last look
        self._grown_us = 0  # when it last grew
        self._ended = 0  # bytes at the head of the ring behind which input has stalled

    def scan(self, now_us: int) -> int:
        """Bytes of the valid frame at the head of the ring, or 0. Gives the same answer until take()."""
        n = self._ring.available()
        quiet = False
        if n > self._seen:
            self._seen = n
            self._grown_us = now_us
        elif n:
            quiet = ticks_diff(now_us, self._grown_us) >= self.stall_us
        return self._look(n, quiet)

    def end(self) -> int:
        """As scan(), where no more input will come (end of a file): what is incomplete now stays so."""
        return self._look(self._ring.available(), True)

    def missing(self, last_us: int) -> int:
        """Bytes that the frame under way still lacks; 0: the ring holds nothing but whole frames.

        last_us: when the newest byte ended. UNKNOWN: what came last can't be a frame, or has stalled, or more frames
        wait than it looks behind. A length that has not come yet counts as the smallest.
        """
        ring = self._ring
        n = ring.available() - self._whole
        while n > 0:
            if self._ended or self._count == _AHEAD:
                return UNKNOWN
            if n == 1:
                return MIN_FRAME - 1
            need = ring.peek(self._whole + 1) + 2
            if need < MIN_FRAME or need > self.max_frame:
                return UNKNOWN
            whole = not self._sum_up(need if need < n else n)
            if need > n:
                return need - n
            if not whole:
                return UNKNOWN
            n -= need
            end_us = ticks_add(last_us, -n * BYTE_US)
            self._found(need, end_us)
        return 0

    def _found(self, need: int, end_us: int) -> None:
        self._ends[(self._first + self._count) % _AHEAD] = end_us
        self._count += 1
        self._whole += need
        self._summed = 0
        self._x = 0

    def _look(self, n: int, quiet: bool) -> int:
        if quiet and not self._ended:
            self._ended = n
        if self._whole:
            if n >= self._whole:
                return self._head()
            self.reset()  # the ring was flushed behind our back
        found = self._search(n)
        if quiet and not found:
            # What came behind an earlier stall has stalled too by now.
            self._ended = self._ring.available()
            found = self._search(self._ended)
        return found

    def take(self) -> int:
        """Remove the frame that scan() reported; returns its length, 0 when there was none."""
        if self.state != GOOD_CHECKSUM:
            return 0
        n = self._ring.remove(self._need)
        self.end_us = self._ends[self._first]
        self._first = (self._first + 1) % _AHEAD
        self._count -= 1
        self._whole -= n
        self.state = FIND_SOURCE
        self._forget(n)
        return n

    def _forget(self, n: int) -> None:
        self._seen = self._seen - n if self._seen > n else 0
        self._ended = self._ended - n if self._ended > n else 0

    def _search(self, n: int) -> int:
        """Slide over the n bytes in the ring to the first valid frame or undecided candidate."""
        ring = self._ring
        self._seen = n
        while True:
            ended = self._ended
            have = ended if 0 < ended < n else n  # bytes that may belong to this candidate
            if not have:
                self.state = FIND_SOURCE
                return 0
            need = ring.peek(1) + 2 if have > 1 else MIN_FRAME
            if need < MIN_FRAME:
                self.bad_length = count_up(self.bad_length)
            elif need > self.max_frame:
                self.too_long = count_up(self.too_long)
            elif need > have:
                if not ended:
                    self.state = FIND_MESSAGE if have > 1 else FIND_LENGTH
                    return 0
                self.stalled = count_up(self.stalled)
            elif not self._sum_up(need):
                self._found(need, -1)
                return self._head()
            else:
                self.state = BAD_CHECKSUM
                self.bad_checksum = count_up(self.bad_checksum)
            if not ring.remove(1):
                self.reset()
                return 0
            self._summed = self._x = 0
            n -= 1
            self._seen = n
            self._ended = ended - 1 if ended else 0
            self.dropped_bytes = count_up(self.dropped_bytes)

    def _head(self) -> int:
        """Length of the whole frame at the head of the ring."""
        if self.state != GOOD_CHECKSUM:
            self.state = GOOD_CHECKSUM
            self._need = self._ring.peek(1) + 2
            self.frames = count_up(self.frames)
        return self._need

    def _sum_up(self, n: int) -> int:
        """XOR of the first n bytes behind the whole frames; what was in it before is not read again."""
        more = n - self._summed
        if more > 0:
            self._x ^= self._xor(more, self._whole + self._summed)
            self._summed = n
        return self._x

    def _xor_of_peeks(self, n: int, start: int) -> int:
        x = 0
        for i in range(start, start + n):
            x ^= self._ring.peek(i)
        return x
