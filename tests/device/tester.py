"""A tester at level resolution for the tests of the ECUs: it does what it is told, within the limits or not.

Times are us. An initialisation's edges are planned at once; bytes go out by a Transmitter, p4_us apart.
"""

import sim
from sim.obdcar import Car
from sim.uart import Format, Receiver, Transmitter


def framed(text, kwp=True):
    """Hex words and their checksum."""
    data = bytes([int(w, 16) for w in text.split()])
    return data + bytes((sum(data) & 255,))


class Tester(sim.Peer):
    """heard: [(t_us of the start bit, byte)] of all on the wire, its own included."""

    def __init__(self, wire, baud=10_400):
        super().__init__(wire, "tester")
        self.fmt = Format.of(baud, 8, None, 1)
        self.tx = Transmitter(self.world, self.driver.set, self.fmt)
        self.ear = Receiver(self.world, wire, self.fmt, self._byte)
        self.heard = []

    def _byte(self, value, flags):
        if not (flags and self.wire.level == 0):
            self.heard.append((self.world.now - self.fmt.frame_us, value))

    def low(self, at_us, for_us):
        self.world.at(at_us, self.driver.set, 0)
        self.world.at(at_us + for_us, self.driver.set, 1)

    def address(self, at_us, address=0x33, shift=None, stop=1):
        """5 baud. shift: {edge's bit number: us later}. Returns the end of the stop bit."""
        bits = [0] + [address >> i & 1 for i in range(8)] + [stop]
        level = 1
        for k, bit in enumerate(bits):
            if bit != level:
                self.world.at(at_us + k * 200_000 + (shift or {}).get(k, 0), self.driver.set, bit)
                level = bit
        if not stop:
            self.world.at(at_us + 2_000_000, self.driver.set, 1)
        return at_us + 2_000_000

    def send(self, at_us, data, p4_us=5_000, gaps=None):
        """Bytes from at_us on; gaps: {index: us before this byte} instead of p4_us. Returns the end of the last one."""
        t = at_us
        for i, b in enumerate(data):
            if i:
                t += self.fmt.frame_us + (gaps or {}).get(i, p4_us)
            self.world.at(t, self.tx.send, bytes((b,)))
        return t + self.fmt.frame_us


class Bench:
    """A World, a Car, a Tester on one wire; slow() and fast() initialise, ask() asks and returns what was heard."""

    def __init__(self, script, seed=1, baud=10_400):
        self.world = w = sim.World(seed=seed)
        self.car = Car(w.wire, script, seed)
        self.ecu = self.car.ecus[0]
        self.tester = Tester(w.wire, baud)

    def run_for(self, us):
        self.world.run_for(us)

    def until_quiet(self, us=60_000):
        """Until nobody has said anything for so long since the last byte heard (or since now)."""
        t = self.world.now
        while True:
            heard = self.tester.heard
            end = max(t, heard[-1][0] + self.tester.fmt.frame_us if heard else 0) + us
            if self.world.now >= end:
                return
            self.world.run_until(end)

    def slow(self, idle_us=300_000, w4_us=30_000, address=0x33, shift=None, stop=1, inverse=None):
        """The whole slow init; returns the bytes heard (with ours). Waits until P3min is over."""
        w, tester = self.world, self.tester
        n = len(tester.heard)
        end = tester.address(w.now + idle_us, address, shift, stop)
        w.run_until(end)
        for _ in range(600):
            w.run_for(1_000)
            if len(tester.heard) >= n + 3:
                t, kb2 = tester.heard[n + 2]
                tester.send(t + tester.fmt.frame_us + w4_us, bytes((kb2 ^ 255 if inverse is None else inverse,)))
                break
        self.until_quiet(100_000)
        return bytes([b for _, b in tester.heard[n:]])

    def fast(self, idle_us=300_000, low_us=25_000, first_us=50_000, request="C1 33 F1 81", **options):
        """Wake-up pattern and StartCommunication; returns the bytes heard."""
        n = len(self.tester.heard)
        t = self.world.now + idle_us
        self.tester.low(t, low_us)
        self.world.run_until(self.tester.send(t + first_us, framed(request), **options))
        self.until_quiet(100_000)
        return self.said(n + len(framed(request)))

    def ask(self, request, wait_us=0, quiet_us=60_000, **options):
        """Sends it wait_us from now; returns what came after our own bytes."""
        frame = framed(request) if isinstance(request, str) else request
        n = len(self.tester.heard)
        self.world.run_until(self.tester.send(self.world.now + wait_us, frame, **options))
        self.until_quiet(quiet_us)
        return self.said(n + len(frame))

    def after_last(self, us):
        """How long from now until so long after the last byte heard."""
        return self.tester.heard[-1][0] + self.tester.fmt.frame_us + us - self.world.now

    def said(self, since=0):
        return bytes([b for _, b in self.tester.heard[since:]])

    def refused(self, i=0):
        """[(name, measured)] of an ECU."""
        return [(name, measured) for _, name, measured in self.car.ecus[i].refusals]

    def names(self, i=0):
        return [name for name, _ in self.refused(i)]
