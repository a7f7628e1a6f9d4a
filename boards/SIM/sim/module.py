"""What else sits on the wire: Peer (a level and an ear), Module (a real module's UART, its manners, its retries)."""

from .rng import Rng
from .uart import Format, Transmitter


class Peer:
    """Base of everything on the wire: .driver pulls it low, .edge(level) hears its changes if the class defines it."""

    def __init__(self, wire, name):
        self.wire = wire
        self.world = wire.world
        self.driver = wire.driver(name)
        if hasattr(self, "edge"):
            wire.listeners.append(self.edge)

    def pulse(self, low_us):
        """Pulls the wire low for so long, from now."""
        self.driver.set(0)
        self.world.at(self.world.now + low_us, self.driver.set, 1)


class FrameTap:
    """Splits what a shared receiver hears into frames: source, length, .., XOR. takers: fn(t_us of the end, frame).

    The candidate that starts first wins until its length or XOR is wrong or nothing came for gap_us; then one byte is
    dropped. A byte with a wrong parity or stop bit ends all candidates (the ESP32's firmware can't see those).
    max_frame: of a whole frame, in bytes.
    """

    def __init__(self, world, receiver, gap_us=10_000, max_frame=257):
        self.world = world
        self.gap_us = gap_us
        self.max_frame = max_frame
        self.takers = []
        self._buf = bytearray()
        self._times = []
        self._event = [0, self._check, None]
        self._queued = False
        receiver.takers.append(self._byte)

    def _byte(self, value, flags):
        if flags:
            self._scan(True)
            return
        self._buf.append(value)
        self._times.append(self.world.now)
        self._scan(False)
        if self._buf and not self._queued:
            self._queued = True
            self.world.put(self._event, self.world.now + self.gap_us)

    def _check(self, _):
        self._queued = False
        if not self._buf:
            return
        due = self._times[-1] + self.gap_us
        if self.world.now < due:
            self._queued = True
            self.world.put(self._event, due)
        else:
            self._scan(True)

    def _scan(self, stalled):
        while self._buf:
            buf = self._buf
            if len(buf) < 2:
                if not stalled:
                    return
                n = 0
            else:
                n = buf[1] + 2
            if n < 5 or n > self.max_frame:
                self._remove(1)
            elif len(buf) < n:
                if not stalled:
                    return
                self._remove(1)
            elif self._xor(n):
                self._remove(1)
            else:
                frame = bytes(buf[:n])
                t = self._times[n - 1]
                self._remove(n)
                for fn in self.takers:
                    fn(t, frame)

    def _xor(self, n):
        x = 0
        for b in self._buf[:n]:
            x ^= b
        return x

    def _remove(self, n):
        self._buf = self._buf[n:]
        self._times = self._times[n:]


def frames_of(wire, fmt):
    """The FrameTap that all modules of this format share."""
    receiver = wire.receiver(fmt)
    if not hasattr(receiver, "frames"):
        receiver.frames = FrameTap(wire.world, receiver)
    return receiver.frames


class Module(Peer):
    """A bus module: waits for silence, compares its echo byte by byte, stops at a mismatch, backs off, tries again.

    heard       [(t_us of the end, frame)] of all good frames on the wire, its own included; None: don't keep them
    results     [(frame, "sent" | "failed", tries, t_us)] of its own
    idle_us     silence (since the last edge) before it starts; jitter_us: a random part on top, each time
    latency_us  from its last look at the line to its start bit: within it, it collides
    polite      False: sends at once, whatever the line does, and doesn't listen to its echo
    """

    def __init__(
        self,
        wire,
        address=0x68,
        baud=9600,
        parity=0,
        bits=8,
        stop=1,
        seed=None,
        idle_us=2000,
        jitter_us=1000,
        latency_us=30,
        max_tries=10,
        backoff_us=(2000, 10_000),
        polite=True,
        keep=True,
    ):
        super().__init__(wire, "module %02X" % address)
        self.address = address
        self.fmt = Format.of(baud, bits, parity, stop)
        self.rng = Rng(self.world.seed * 1009 + address if seed is None else seed)
        self.idle_us, self.jitter_us, self.latency_us = idle_us, jitter_us, latency_us
        self.max_tries, self.backoff_us, self.polite = max_tries, backoff_us, polite
        self.heard = [] if keep else None
        self.on_frame = None  # fn(t_us, frame)
        self.results = []
        self.collisions = []  # t_us at which a mismatch was seen
        self.begun = []  # t_us of each first start bit
        self._tx = Transmitter(self.world, self.driver.set, self.fmt, None if polite else self._next)
        self._queue = []
        self._tries = 0
        self._echo = -1  # bytes of the current frame that came back right; -1: not sending
        self._waiting = False
        receiver = wire.receiver(self.fmt)
        receiver.takers.append(self._byte)
        frames_of(wire, self.fmt).takers.append(self._frame)

    def send(self, frame, at_us=None):
        """Queues a whole frame (with its checksum), at a model time or now."""
        if at_us is not None and at_us > self.world.now:
            self.world.at(at_us, self.send, bytes(frame))
            return
        self._queue.append(bytes(frame))
        if len(self._queue) == 1:
            self._tries = 0
            self._look(None)

    def send_raw(self, data, at_us=None):
        """Puts bytes on the wire without any manners."""
        if at_us is not None and at_us > self.world.now:
            self.world.at(at_us, self.send_raw, bytes(data))
        else:
            self._tx.send(data)

    def _frame(self, t, frame):
        if self.heard is not None:
            self.heard.append((t, frame))
        if self.on_frame is not None:
            self.on_frame(t, frame)

    # sending

    def _look(self, _):
        self._waiting = False
        if not self._queue or self._echo >= 0:
            return
        if not self.polite:
            self._begin(None)
            return
        wire = self.wire
        now = self.world.now
        free = wire.changed_us + self.idle_us
        if wire.level == 1 and now >= free:
            self._waiting = True
            self.world.at(now + self.latency_us, self._begin)
        else:
            self._again((free if free > now else now + 500) + self.rng.below(self.jitter_us + 1))

    def _again(self, t):
        if not self._waiting:
            self._waiting = True
            self.world.at(t, self._look)

    def _begin(self, _):
        self._waiting = False
        self._tries += 1
        self._echo = 0
        self.begun.append(self.world.now)
        self._tx.send(self._queue[0])

    def _byte(self, value, flags):
        i = self._echo
        if i < 0 or not self.polite:
            return
        frame = self._queue[0]
        if flags == 0 and value == frame[i]:
            self._echo = i = i + 1
            if i == len(frame):
                self._done("sent")
            return
        self._tx.abort()
        self.collisions.append(self.world.now)
        self._echo = -1
        if self._tries >= self.max_tries:
            self._done("failed")
        else:
            self._again(self.world.now + self.rng.between(self.backoff_us[0], self.backoff_us[1]))

    def _done(self, outcome):
        self._echo = -1
        self.results.append((self._queue.pop(0), outcome, self._tries, self.world.now))
        self._tries = 0
        if self._queue:
            self._again(self.world.now + self.idle_us)

    def _next(self):
        if self._echo >= 0:
            self._done("sent")


class Talker(Module):
    """A module that makes its own traffic: random frames at random intervals, `load` of the wire's time (0..1).

    sizes: whole frames' lengths. At most `backlog` frames wait; what comes on top is counted in `skipped`.
    """

    def __init__(self, wire, address, load, sizes=(5, 14), backlog=20, **options):
        super().__init__(wire, address, **options)
        self.sizes = sizes
        self.backlog = backlog
        self.skipped = 0
        self.number = 0
        mean = (sizes[0] + sizes[1]) // 2 * self.fmt.frame_us
        self._mean_us = int(mean / load)
        self._schedule()

    def _schedule(self):
        self.world.at(self.world.now + self.rng.interval(self._mean_us), self._make)

    def _make(self, _):
        if len(self._queue) < self.backlog:
            self.send(self.frame(self.rng.between(self.sizes[0], self.sizes[1])))
        else:
            self.skipped += 1
        self._schedule()

    def frame(self, size):
        """A frame of this length; bytes 3.. begin with a running number, so that doubles and losses show."""
        f = bytearray(size)
        f[0], f[1], f[2] = self.address, size - 2, self.rng.below(256)
        self.number += 1
        for i in range(3, size - 1):
            f[i] = self.rng.below(256)
        if size > 5:
            f[3] = self.number & 255
        x = 0
        for i in range(size - 1):
            x ^= f[i]
        f[size - 1] = x
        return bytes(f)
