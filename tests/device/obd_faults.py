"""A car whose answers tell what they belong to, and the faults of driving: for long runs with and without the link.

Each PID's data tell which PID and which ECU they belong to: PID n of ECU a is (n ^ 5A, a).
"""

from sim.rng import Rng

PIDS = (0x0C, 0x10, 0x1F, 0x21, 0x31, 0x42, 0x43, 0x44)
S = 1_000_000
PROTOCOLS = ("iso9141", "kwp_slow", "kwp_fast")

FAULTS = (
    {"nrc": "21", "times": 2}, {"pending": 2, "pending_ms": 700}, {"silent": True}, {"bad_checksum": True},
    {"truncate": 4}, {"glitch_ms": 5}, {"glitch_ms": 12, "glitch_us": 300}, {"no_gap": True, "repeat": 2},
    {"delay_ms": 40}, {"nrc": "12"}, {"reset": True},
)  # fmt: skip


def script(protocol, **more):
    def pids(ecu):
        return {"%02X" % n: bytes((n ^ 0x5A, ecu)) for n in PIDS}

    found = {
        "protocol": protocol,
        "ecus": [
            {"address": "10", "pids": pids(0x10), "timing_ms": {"P2": [38, 50], "P1": [0, 5]}},
            {"address": "18", "pids": pids(0x18), "timing_ms": {"P2": [25, 30]}},
        ],
    }
    found.update(more)
    return found


def check(pid, answer):
    """Of an obd.Answer with data: each of its frames belongs to this PID and this ECU."""
    for frame in answer.frames:
        assert frame == bytes((pid, pid ^ 0x5A, answer.ecu)), (pid, answer)


class Faults:
    """Something goes wrong at random, every fault_s on average: also ECUs reset, and the ignition off, below off_s.

    available_us  since when nothing has kept the car from answering; off_us: the ignition was off for so long in all
    """

    def __init__(self, car, seed, fault_s, off_s):
        self.car, self.world = car, car.world
        self.rng = Rng(seed * 77)
        self.fault_us = int(fault_s * S)
        self.off_s = off_s
        self.off_us = self.available_us = 0
        self.world.at(self.fault_us, self._fault)

    def _fault(self, _):
        rng, car = self.rng, self.car
        kind = rng.below(32)
        after = rng.interval(self.fault_us)
        if kind < 2:
            car.ignition(False)
            off = rng.below(self.off_s) * S
            self.off_us += off
            self.available_us = self.world.now + off
            self.world.at(self.world.now + off, lambda _: car.ignition(True))
            after += off
        elif kind < 5:
            car.reset(rng.below(2))
        else:
            car.fault("01", rng.below(2), **dict(FAULTS[rng.below(len(FAULTS))]))
        self.world.at(self.world.now + after, self._fault)


class Pauses:
    """The board stands still for up to 50 ms, before whatever hardware call comes then; every mean_s on average."""

    def __init__(self, world, seed, mean_s):
        self.world = world
        self.rng = Rng(seed * 13)
        self.mean_us = mean_s * S
        self.due_us = self.mean_us
        world.before_call = self._before

    def _before(self, _):
        if self.world.now >= self.due_us:
            self.due_us = self.world.now + self.rng.interval(self.mean_us)
            self.world.burn(self.rng.below(50_000))
