"""The USB serial stream of the board and the record link (protocol/link/device_end.py) that speaks over it."""

import select
from time import ticks_diff, ticks_us

# On boards with a UART bridge a burst of this size leaves the VM at once; a longer one blocks it until the line has
# drained (128 bytes of FIFO, 11.5 bytes a millisecond at 115200 baud).
_BURST = 100
_US_PER_BYTE = 87
_CHUNK = 64  # bytes of the PC at once


class UsbLink:
    """Moves bytes between stdin/stdout and a Link, without ever waiting for either.

    stdin, stdout  the binary streams (sys.stdin.buffer, sys.stdout.buffer)
    """

    def __init__(self, link, stdin, stdout):
        self.link = link
        self.stdin = stdin
        self._readinto = stdin.readinto
        self._write = stdout.write
        self._poll = select.poll()
        self._poll.register(stdin, select.POLLIN)
        self._byte = bytearray(1)
        self._chunk = bytearray(_CHUNK)
        self._credit_us = _BURST * _US_PER_BYTE
        self._paid_us = ticks_us()

    def read(self, most=_CHUNK):
        """Take in what has come, at most so many bytes, and not over 64; how many.

        One at a time: the port's stdin says only that there is one, and a read of more would wait for all of them.
        """
        n = 0
        byte = self._byte
        while n < most:
            for _ in self._poll.ipoll(0):
                self._readinto(byte, 1)
                self._chunk[n] = byte[0]
                n += 1
                break
            else:
                break
        if n:
            self.link.feed(self._chunk, n, ticks_us())
        return n

    def pump(self, most=_BURST):
        """Send what is due, as much as the line takes without blocking: so many bytes at most, or one record.

        How many bytes.
        """
        n = 0
        now_us = ticks_us()
        credit_us = self._credit_us + ticks_diff(now_us, self._paid_us)
        self._paid_us = now_us
        full_us = _BURST * _US_PER_BYTE
        if credit_us > full_us or credit_us < -1_000_000:
            credit_us = full_us
        if credit_us > 0:
            n = self.link.pump(now_us, self._write, min(most, credit_us // _US_PER_BYTE))
            credit_us -= n * _US_PER_BYTE
        self._credit_us = credit_us
        return n
