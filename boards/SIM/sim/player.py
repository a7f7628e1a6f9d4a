"""Plays frames with their times, or bytes as they come, onto the wire."""

from binascii import unhexlify

from .uart import Format, Transmitter


def lines_of(file):
    """(us, bytes) of each line `US HEX` of a file that is read as it is played; us is None for `- HEX`.

    US is the end of the frame, from the start of the replay. `end` is the last line, the file's end does as well.
    """
    while True:
        line = file.readline()
        if not line or line == b"end\n":
            file.close()
            return
        us, _, data = line.strip().partition(b" ")
        yield None if us == b"-" else int(us), unhexlify(data)


def blocks_of(data, size=0):
    """The same of raw UART bytes: `size` bytes at a time (0: all in one)."""
    step = size or len(data) or 1
    for i in range(0, len(data), step):
        yield None, data[i : i + step]


class Player:
    """items: an iterable of (us, bytes), such as lines_of(file), or raw UART bytes. It listens to no one.

    A frame ends at its time after start_us (or as soon as it can); one that would begin less than min_gap_us behind
    its predecessor is late by what is missing. Bytes without a time follow gap_us behind those before.
    """

    def __init__(self, wire, items, start_us=None, baud=9600, parity=0, bits=8, stop=1, gap_us=0, min_gap_us=200):
        self.world = wire.world
        self.fmt = Format.of(baud, bits, parity, stop)
        self.gap_us, self.min_gap_us = gap_us, min_gap_us
        self.driver = wire.driver("player")
        self.done = False
        self.on_done = None
        self.played = 0  # frames, or blocks
        self.most_late_us = 0
        self._tx = Transmitter(self.world, self.driver.set, self.fmt, self._sent)
        self._items = iter(blocks_of(items) if isinstance(items, (bytes, bytearray)) else items)
        self._start_us = self.world.now if start_us is None else start_us
        self._offset = None
        self._next()

    def _next(self):
        item = next(self._items, None)
        if item is None:
            self.done = True
            if self.on_done is not None:
                self.on_done()
            return
        us, self._data = item
        if us is None:
            start = self.world.now + self.gap_us if self.played else max(self._start_us, self.world.now)
        else:
            start = self._planned(us)
        self.world.at(start, self._send)

    def _planned(self, us):
        length = len(self._data) * self.fmt.frame_us
        if self._offset is None:
            self._offset = max(self._start_us, self.world.now + length) - us
        start = us + self._offset - length
        earliest = self.world.now + (self.min_gap_us if self.played else 0)
        self.most_late_us = max(self.most_late_us, earliest - start)
        return max(start, earliest)

    def _send(self, _):
        self._tx.send(self._data)

    def _sent(self):
        self.played += 1
        self._next()
