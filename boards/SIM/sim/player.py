"""Plays a capture onto the wire: a gateway log with its times, or raw UART bytes."""

import gc

from .uart import Format, Transmitter


def parse_line(line):
    """`2010-Jul-23 11:20:55.920753: 44 05 BF 74 05 01 8E ` -> (us since midnight, frame); None if it isn't one.

    The space at the end may be missing, and the fraction (it is left out when it is exactly zero).
    """
    parts = line.split()
    if len(parts) < 3 or not parts[1].endswith(":"):
        return None
    try:
        h, m, s = parts[1][:-1].split(":")
        s, _, fraction = s.partition(".")
        us = ((int(h) * 60 + int(m)) * 60 + int(s)) * 1_000_000 + int((fraction + "000000")[:6])
        return us, bytes([int(x, 16) for x in parts[2:]])
    except ValueError:
        return None


def parse_log(text):
    """-> [(us, frame)], times going on over midnight; lines that are no frames are left out."""
    out = [None] * (text.count("\n") + 1)  # at once: later no hole of the heap is long enough
    day = n = at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        entry = parse_line(text[at:end])
        at = end + 1
        if entry is None:
            continue
        us = entry[0] + day
        if n and us < out[n - 1][0] - 43_200_000_000:
            day += 86_400_000_000
            us += 86_400_000_000
        out[n] = us, entry[1]
        n += 1
        if n % 256 == 0:
            gc.collect()  # what stays lies close together
    return out[:n]


class Player:
    """data: text or bytes of a log, or raw UART bytes. It drives the wire and listens to nobody.

    A log's time is the end of a frame, so each frame here ends at its time, the first one at start_us (or as soon as it
    can); one that would begin less than min_gap_us behind its predecessor is late by what is missing.
    Raw bytes go in blocks of `block` bytes (0: all in one) with gap_us between them.
    """

    def __init__(
        self,
        wire,
        data,
        start_us=None,
        baud=9600,
        parity=0,
        bits=8,
        stop=1,
        gap_us=0,
        block=0,
        loop=False,
        min_gap_us=200,
    ):
        self.world = wire.world
        self.fmt = Format.of(baud, bits, parity, stop)
        self.gap_us, self.block, self.loop, self.min_gap_us = gap_us, block, loop, min_gap_us
        self.driver = wire.driver("player")
        self.on_done = None
        self.played = 0  # frames, or blocks
        self.most_late_us = 0
        self._tx = Transmitter(self.world, self.driver.set, self.fmt, self._sent)
        self._items = self._read(data)
        self._begin(self.world.now if start_us is None else start_us)

    def _read(self, data):
        if isinstance(data, str):
            data = data.encode()
        try:
            if parse_line(data.split(b"\n", 1)[0].decode()) is not None:
                return parse_log(data.decode())
        except (UnicodeError, ValueError):
            pass
        step = self.block or len(data) or 1
        return [(None, data[i : i + step]) for i in range(0, len(data), step)]

    def _begin(self, start_us):
        self._i = 0
        self.done = not self._items
        if self.done:
            return
        first = self._items[0][0]
        if first is None:
            self.world.at(start_us, self._send)
            return
        end = max(start_us, self.world.now + len(self._items[0][1]) * self.fmt.frame_us)
        self._offset = end - first
        self._plan()

    def _plan(self):
        us, frame = self._items[self._i]
        start = us + self._offset - len(frame) * self.fmt.frame_us
        earliest = self.world.now + (self.min_gap_us if self._i else 0)
        if start < earliest:
            self.most_late_us = max(self.most_late_us, earliest - start)
            start = earliest
        self.world.at(start, self._send)

    def _send(self, _):
        self._tx.send(self._items[self._i][1])

    def _sent(self):
        self.played += 1
        self._i += 1
        if self._i < len(self._items):
            if self._items[0][0] is not None:
                self._plan()
            else:
                self.world.at(self.world.now + self.gap_us, self._send)
            return
        if self.loop:
            self._begin(self.world.now + 1_000_000)
            return
        self.done = True
        if self.on_done is not None:
            self.on_done()
