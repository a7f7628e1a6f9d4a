"""The slow, obvious I-Bus decoder that the real one is compared with. Runs on CPython and on MicroPython.

Input is stretches of bytes between which input has stalled. All stretches but the last are closed: nothing will ever be
added to them, so a candidate that isn't whole has failed. The last one may still be open.
"""


def xor(data):
    x = 0
    for byte in data:
        x ^= byte
    return x


def decode(stretch, max_frame, closed):
    """(frames, what is left undecided at the end) of one stretch."""
    frames = []
    while stretch:
        if len(stretch) < 2:
            undecided = True
        else:
            size = stretch[1] + 2
            legal = 5 <= size <= max_frame
            if legal and len(stretch) >= size and xor(stretch[:size]) == 0:
                frames.append(bytes(stretch[:size]))
                stretch = stretch[size:]
                continue
            undecided = legal and len(stretch) < size
        if undecided and not closed:
            break
        stretch = stretch[1:]
    return frames, stretch


class Reference:
    """The same as a stream: `add(bytes)`, `stall()`, and `frames` as they must have come out until now."""

    def __init__(self, max_frame):
        self.max_frame = max_frame
        self.frames = []
        self.left = b""

    def add(self, data):
        frames, self.left = decode(self.left + data, self.max_frame, False)
        self.frames += frames

    def stall(self):
        frames, self.left = decode(self.left, self.max_frame, True)
        self.frames += frames


class Driver:
    """A ring with a scanner on it, driven side by side with the reference; `check()` compares.

    The reference is told of bytes when a call of the scanner sees them, and of a stall when a call without new bytes
    comes `stall_us` or more after the last call with new ones: that is the scanner's definition of time.
    """

    def __init__(self, ring, scanner, start_us, period_us):
        self.ring = ring
        self.scanner = scanner
        self.reference = Reference(scanner.max_frame)
        self.now_us = self.started_us = start_us
        self.period_us = period_us
        self.seen_us = start_us
        self.unseen = b""
        self.frames = []
        self.accepted = 0
        self.buffer = bytearray(scanner.max_frame)

    def write(self, data):
        """What the ring takes of it, as after a UART whose reader is full."""
        for i in range(len(data)):
            if not self.ring.put(data[i]):
                return
            self.unseen += data[i : i + 1]
            self.accepted += 1

    def look(self, after_us, leave=False):
        """Time passes, then the scanner is asked until it has nothing more; `leave`: what it finds is left there."""
        self.now_us += after_us
        if self.unseen:
            self.seen_us = self.now_us
            self.reference.add(self.unseen)
            self.unseen = b""
        elif self.now_us - self.seen_us >= self.scanner.stall_us:
            self.reference.stall()
        now_us = self.now_us % self.period_us
        n = self.scanner.scan(now_us)
        while n:
            assert self.scanner.scan(now_us) == n, "scan() must repeat itself until take()"
            if leave:
                return
            self.take(n)
            n = self.scanner.scan(now_us)

    def take(self, n):
        assert self.ring.copy_to(self.buffer, n) == n
        self.frames.append(bytes(self.buffer[:n]))
        assert self.scanner.take() == n

    def finish(self):
        self.look(0)
        self.reference.stall()
        n = self.scanner.end()
        while n:
            self.take(n)
            n = self.scanner.end()

    def check(self):
        s = self.scanner
        assert self.frames == self.reference.frames, (self.frames, self.reference.frames)
        assert s.dropped_bytes == s.bad_checksum + s.bad_length + s.too_long + s.stalled
        whole = sum([len(frame) for frame in self.frames])
        left = self.ring.available()
        assert self.accepted == whole + s.dropped_bytes + left, "bytes come from or go to nowhere"
        assert left == len(self.reference.left) + len(self.unseen)
