"""Messages that wait for the bus, in one preallocated ring.

One entry, little endian; the frame comes with its checksum:

    length u16 | id u16 | max_tries u8 | flags u8 | deadline_ms u16 | queued at, ticks_ms u32 | frame, `length` bytes
"""

from kline.device.config import TX_OVERHEAD, XOR
from kline.protocol.checksum import sum8, xor8
from kline.protocol.ring import RingBuffer

# flags: the sender accepts that the message wakes a sleeping car, whatever the policy says.
WAKE = 1


class TransmitQueue:
    """First in, first out: `put` whole messages, `load` the next one into `frame[0:length]`."""

    def __init__(self, config):
        self._ring = RingBuffer(config.tx_ring)
        self._checksum = xor8 if config.checksum == XOR else sum8
        self._header = bytearray(TX_OVERHEAD)
        self._staging = bytearray(config.max_frame)
        self.frame = bytearray(config.max_frame)
        self.max_frame = config.max_frame
        self.length = 0
        self.id = 0
        self.max_tries = 0
        self.flags = 0
        self.deadline_ms = 0
        self.queued_ms = 0
        self.flushed = 0

    def room(self):
        """Bytes of frame that the next `put` may have at most."""
        return max(0, min(self.max_frame, self._ring.free() - TX_OVERHEAD))

    def waiting(self):
        """True while a message waits that `load` has not fetched."""
        return self._ring.available() > 0

    def put(self, body, start, end, id, max_tries, flags, deadline_ms, now_ms):
        """Append the message body[start:end] plus checksum: the whole message, or False and nothing."""
        n = end - start + 1
        if n < 2 or n > self.room():
            return False
        staging = self._staging
        for i in range(n - 1):
            staging[i] = body[start + i]
        staging[n - 1] = self._checksum(staging, 0, n - 1)
        header = self._header
        _put16(header, 0, n)
        _put16(header, 2, id)
        header[4] = max_tries
        header[5] = flags
        _put16(header, 6, deadline_ms)
        _put16(header, 8, now_ms & 0xFFFF)
        _put16(header, 10, now_ms >> 16)
        self._ring.write(header, TX_OVERHEAD)
        self._ring.write(staging, n)
        return True

    def load(self):
        """Fetch the next message; False when there is none.

        A length that can't be, or more than the ring holds, means that the ring is damaged: it is flushed and counted
        in `flushed`, so that one bad entry does not spoil all that follow.
        """
        ring = self._ring
        if not ring.available():
            return False
        header = self._header
        whole = ring.copy_to(header, TX_OVERHEAD) == TX_OVERHEAD
        n = _get16(header, 0)
        if not whole or n < 2 or n > self.max_frame or n > ring.available() - TX_OVERHEAD:
            ring.clear()
            self.flushed += 1
            return False
        ring.remove(TX_OVERHEAD)
        ring.copy_to(self.frame, n)
        ring.remove(n)
        self.length = n
        self.id = _get16(header, 2)
        self.max_tries = header[4]
        self.flags = header[5]
        self.deadline_ms = _get16(header, 6)
        self.queued_ms = _get16(header, 8) | _get16(header, 10) << 16
        return True


def _put16(buf, at, value):
    buf[at] = value & 0xFF
    buf[at + 1] = value >> 8 & 0xFF


def _get16(buf, at):
    return buf[at] | buf[at + 1] << 8
