"""Experiments on a bus with other talkers, judged by the model's own record of levels.

All figures are modelled: the costs of calls are estimates (boards/SIM/sim/costs.py).
"""

import gc

import sim
from rig import Rig, frame
from sim.stalls import Stalls

from kline.protocol.link import records

# The records of a long run are large; looking through them at every 64 KB of garbage would take most of the time.
gc.threshold(4_000_000)

IDLE_US = 1500
# Gate's end to first start bit: what the model's costs make of any(), the index and write(), rounded up.
LATENCY_US = 60
# No recessive run within a frame is as long as this: ten bits at 9600 baud are 1042 us.
APART_US = 1300
OURS = 0x18


class Contention:
    """Our board among four talkers that make `load` (0..1) of the bus's time; our messages go out one by one."""

    def __init__(self, load, messages, seed=1, stalls=None, pause_ms=(0, 300), sizes=(5, 36)):
        self.rig = Rig(seed=seed)
        world = self.world = self.rig.world
        self.rig.configure(records.CONFIG_RATE_PER_MINUTE, 0)
        self.talkers = []
        if load:
            self.talkers = [sim.Talker(world.wire, a, load / 4, sizes=sizes) for a in (0x68, 0x80, 0x3F, 0x44)]
        self.rig.turn_for(0.5)
        self.wire_log = world.wire.record()
        self.our_log = world.board.stage.driver.record()
        self.messages = {}  # number -> whole frame
        self.wire_bytes = bytearray()  # all that a receiver without errors of its own gets
        world.wire.receiver(self._format()).takers.append(self._heard)
        self.queued_at = {}
        self.begun = world.now
        if stalls:
            Stalls(world, **stalls)
        self._send(messages, pause_ms)
        world.before_call = None

    def _format(self):
        from sim.uart import Format

        return Format.of(9600, 8, 0, 1)

    def _heard(self, value, flags):
        self.wire_bytes.append(value)

    def _send(self, messages, pause_ms):
        rig = self.rig
        rng = self.world.rng
        for number in range(messages):
            rig.turn_for(rng.between(pause_ms[0], pause_ms[1]) / 1000)
            data = bytes((number >> 8, number & 255)) + bytes([rng.below(256) for _ in range(rng.between(0, 6))])
            self.queued_at[number] = self.world.now
            self.messages[number] = whole = frame(OURS, 0x68, data)
            rig.transmit(number, whole[:-1])
            rig.turn_until(lambda: len(rig.results) > number, limit_s=60)
        rig.turn_for(0.05)
        self.ended = self.world.now

    # -- what the results say ----------------------------------------------------------------------------------------

    def sent(self):
        return len([r for r in self.rig.results if r[1] == records.RESULT_SENT])

    def check_results(self):
        """Exactly one result a message, and what was reported as sent was whole on the wire once, the rest never."""
        results = self.rig.results
        assert [r[0] for r in results] == list(range(len(self.messages)))
        stream = bytes(self.wire_bytes)
        for ident, code, detail, tries, _ in results:
            times = stream.count(self.messages[ident])
            assert times == (1 if code == records.RESULT_SENT else 0), (ident, code, detail, tries, times)

    def waits_us(self):
        """Sorted: from the message's arrival at the board to the end of its frame."""
        return sorted([r[4] for r in self.rig.results if r[1] == records.RESULT_SENT])

    # -- what the record of levels says ------------------------------------------------------------------------------

    def our_attempts(self):
        """Times of our first start bits."""
        starts = []
        last = -APART_US
        for t, level in self.our_log:
            if level == 0 and t - last > APART_US:
                starts.append(t)
            last = t
        return starts

    def check_silence(self, grace_us=0):
        """Each attempt began after idle_timeout_us of silence, but for a start within the decision latency.

        grace_us: pauses of the firmware between gate and write. Returns the longest latency that is seen: silence
        beyond idle_timeout_us can't tell it, a foreign start within it does.
        """
        attempts = self.our_attempts()
        edges = self.wire_log
        i = 0
        worst = 0
        for start in attempts:
            while i < len(edges) and edges[i][0] < start:
                i += 1
            k = i - 1
            # Edges of somebody who started within our latency don't end the silence before.
            while k >= 0 and start - edges[k][0] <= LATENCY_US + grace_us:
                worst = max(worst, start - edges[k][0])
                k -= 1
            silence = start - edges[k][0] if k >= 0 else IDLE_US
            assert silence >= IDLE_US - LATENCY_US, (start, silence)
        return worst

    def check_collisions(self, grace_us=0):
        """How many foreign frames collided that began within the latency of one of our starts."""
        return foreign_hits(self.talkers, self.our_attempts(), LATENCY_US + grace_us)

    def check_release(self, grace_us=0):
        """Where the wire was low while we let go, in the middle of our frame: our last edge came within three byte
        times (the rest of the wrong byte, and two). Returns the longest time."""
        wire = self.wire_log
        i = 0
        worst = 0
        ours = self.our_log
        for k in range(1, len(ours)):
            t, level = ours[k]
            # Recessive from the edge before to this one, which is dominant: did the wire fall in between?
            if level or t - ours[k - 1][0] > APART_US:
                continue
            free = ours[k - 1][0]
            while i < len(wire) and wire[i][0] <= free:
                i += 1
            if i < len(wire) and wire[i][0] < t and wire[i][1] == 0:
                last = k
                while last + 1 < len(ours) and ours[last + 1][0] - ours[last][0] <= APART_US:
                    last += 1
                worst = max(worst, ours[last][0] - wire[i][0])
        assert worst <= 3 * 1146 + grace_us, worst
        return worst

    def busy_share(self):
        """Share of the time that the bus was in use by others (a gap of up to a byte belongs to the frame)."""
        busy = 0
        last = self.begun
        for t, _ in self.wire_log:
            if t - last < APART_US:
                busy += t - last
            last = t
        ours = sum([len(f[2]) for f in self.rig.frames if f[1]]) * 1146
        return (busy - ours) / (self.ended - self.begun)

    def least_waits_us(self):
        """Sorted: what a sender with no latency would have waited: to the first 1.5 ms of silence, and its frame."""
        ours = []
        last = -APART_US
        for t, _ in self.our_log:
            if t - last > APART_US:
                ours.append([t, t])
            ours[-1][1] = last = t
        edges = self.wire_log
        lengths = {f[2][3] << 8 | f[2][4]: len(f[2]) for f in self.rig.frames if f[1]}
        waits = []
        i = 0
        for number in sorted(self.queued_at):
            t = self.queued_at[number]
            while i < len(edges) and edges[i][0] < t:
                i += 1
            k = i
            free = max(t, edges[i - 1][0] + IDLE_US if i else t)
            while k < len(edges) and edges[k][0] < free:
                free = edges[k][0] + IDLE_US
                k += 1
            if number in lengths:
                waits.append(free - t + lengths[number] * 1146)
        return sorted(waits)


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0


def foreign_hits_of_a_module(load, messages, seed, sizes=(5, 36)):
    """The same load with a module of the model in our place, with our idle time and latency: foreign frames it hits."""
    world = sim.World(seed=seed)
    talkers = [sim.Talker(world.wire, a, load / 4, sizes=sizes) for a in (0x68, 0x80, 0x3F, 0x44)]
    ours = sim.Module(world.wire, OURS, latency_us=35, keep=False, max_tries=5)
    rng = world.rng
    for number in range(messages):
        world.run_for(rng.between(0, 300) * 1000)
        data = bytes((number >> 8, number & 255)) + bytes([rng.below(256) for _ in range(rng.between(0, 6))])
        ours.send(frame(OURS, 0x68, data))
        while len(ours.results) <= number:
            world.run_for(1000)
    return foreign_hits(talkers, ours.begun, LATENCY_US)


def foreign_hits(talkers, starts, within_us):
    """Collisions of the talkers whose frame began within so many us of one of these (sorted) starts."""
    hit = 0
    for talker in talkers:
        for t in talker.collisions:
            foreign = talker.begun[latest(talker.begun, t)]
            i = latest(starts, foreign)
            before = i >= 0 and foreign - starts[i] <= within_us
            after = i + 1 < len(starts) and starts[i + 1] - foreign <= within_us
            hit += before or after
    return hit


def latest(times, t):
    """Index of the last of these sorted times that is not after t; -1 = none."""
    low, high = 0, len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle] <= t:
            low = middle + 1
        else:
            high = middle
    return low - 1
