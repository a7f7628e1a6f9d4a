"""The USB serial stream of the board and the record link (protocol/link/device_end.py) that speaks over it."""

import select
from time import ticks_diff, ticks_us

# On boards with a UART bridge a burst of this size leaves the VM at once; a longer one blocks it until the line has
# drained (128 bytes of FIFO, 11.5 bytes a millisecond at 115200 baud).
_BURST = 100
_US_PER_BYTE = 87
_CHUNK = 64


class UsbLink:
    """Moves bytes between stdin/stdout and a Link, without ever waiting for either.

    stdin, stdout  the binary streams (sys.stdin.buffer, sys.stdout.buffer)
    """

    def __init__(self, link, stdin, stdout):
        self.link = link
        self.stdin = stdin
        self._write = stdout.write
        self._poll = select.poll()
        self._poll.register(stdin, select.POLLIN)
        self._byte = bytearray(1)
        self._chunk = bytearray(_CHUNK)
        self._credit_us = _BURST * _US_PER_BYTE
        self._paid_us = ticks_us()

    def read(self):
        """Take in what has come; how many bytes it were. One at a time: a read of more would wait for all of them."""
        n = 0
        chunk = self._chunk
        byte = self._byte
        readinto = self.stdin.readinto
        while n < _CHUNK and self._readable():
            readinto(byte, 1)
            chunk[n] = byte[0]
            n += 1
        if n:
            self.link.feed(chunk, n, ticks_us())
        return n

    def _readable(self):
        for _ in self._poll.ipoll(0):
            return True
        return False

    def pump(self):
        """Send what is due, as much as the line takes without blocking."""
        now_us = ticks_us()
        credit_us = self._credit_us + ticks_diff(now_us, self._paid_us)
        self._paid_us = now_us
        full_us = _BURST * _US_PER_BYTE
        if credit_us > full_us or credit_us < -1_000_000:
            credit_us = full_us
        if credit_us > 0:
            credit_us -= self.link.pump(now_us, self._write, credit_us // _US_PER_BYTE) * _US_PER_BYTE
        self._credit_us = credit_us
