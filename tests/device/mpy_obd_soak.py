"""Driving for a long time with faults: the reader always comes back by itself, and no answer is taken for another's.

Each PID's data tell which PID and which ECU they belong to: PID n of ECU a is (n ^ 5A, a).
"""

from obd_rig import ObdRig

HEAP = "64M"
PIDS = (0x0C, 0x10, 0x1F, 0x21, 0x31, 0x42, 0x43, 0x44)
S = 1_000_000
# The longest pause between two tries is 60 s, and a try takes 15 s. Noise may spoil one.
BACK_US = 80 * S
BACK_WITH_NOISE_US = 2 * BACK_US


def _car(protocol):
    def pids(ecu):
        return {"%02X" % n: bytes((n ^ 0x5A, ecu)) for n in PIDS}

    return {
        "protocol": protocol,
        "ecus": [
            {"address": "10", "pids": pids(0x10), "timing_ms": {"P2": [38, 50], "P1": [0, 5]}},
            {"address": "18", "pids": pids(0x18), "timing_ms": {"P2": [25, 30]}},
        ],
    }


FAULTS = (
    {"nrc": "21", "times": 2}, {"pending": 2, "pending_ms": 700}, {"silent": True}, {"bad_checksum": True},
    {"truncate": 4}, {"glitch_ms": 5}, {"glitch_ms": 12, "glitch_us": 300}, {"no_gap": True, "repeat": 2},
    {"delay_ms": 40}, {"nrc": "12"}, {"reset": True},
)  # fmt: skip


class Driver:
    """Asks for one PID after the other, while faults happen at random."""

    def __init__(self, protocol, seed, fault_s, off_s, noise):
        import sim
        from sim.rng import Rng

        self.rig = ObdRig(_car(protocol), seed=seed, keep=50)
        self.world = self.rig.world
        self.rng = Rng(seed * 77)
        self.fault_us = int(fault_s * S)
        self.off_s = off_s
        self.off_us = 0
        self.noise = sim.Noise(self.world.wire, noise, seed) if noise else None
        self.good = self.refused = self.errors = 0
        self.available_us = 0  # since when nothing has kept the car from answering
        self.outage_us = 0
        self.world.at(self.fault_us, self._fault)

    def _fault(self, _):
        rng = self.rng
        car = self.rig.car
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

    def drive(self, seconds):
        from kline.device.obd_errors import ObdError

        obd = self.rig.obd
        end = self.world.now + seconds * S
        answered_us = self.world.now
        i = 0
        while self.world.now < end:
            pid = PIDS[i % len(PIDS)]
            i += 1
            try:
                if obd.session is None:
                    obd.connect()
                obd.request_pid(1, pid)
            except ObdError:
                self.errors += 1
                self.world.burn(S)
                continue
            finally:
                waited = self.world.now - max(answered_us, self.available_us)
                if waited > self.outage_us:
                    self.outage_us = waited
            for answer in obd.answers:
                if answer.ok():
                    self._check(pid, answer)
                    answered_us = self.world.now
                else:
                    self.refused += 1

    def _check(self, pid, answer):
        self.good += 1
        for frame in answer.frames:
            assert frame == bytes((pid, pid ^ 0x5A, answer.ecu)), (pid, answer)


def _drive(seconds, noise, least, fault_s=4, off_s=20):
    """least: answers a second, while the ignition is on."""
    for protocol, seed in (("iso9141", 1), ("kwp_slow", 2), ("kwp_fast", 3)):
        driver = Driver(protocol, seed, fault_s, off_s, noise)
        driver.drive(seconds)
        print(
            protocol, "good", driver.good, "refused", driver.refused, "errors", driver.errors,
            "reconnects", driver.rig.obd.reconnects, "off %d s" % (driver.off_us // S),
            "longest outage %.1f s" % (driver.outage_us / S),
        )  # fmt: skip
        assert driver.good > least * (seconds - driver.off_us // S), "it worked most of the time"
        assert driver.outage_us < (BACK_WITH_NOISE_US if noise else BACK_US), driver.outage_us


def test_two_minutes():
    _drive(120, 0, 3)


def test_two_minutes_with_noise():
    _drive(120, 1, 1.5)


def soak_hours():
    _drive(3600, 0, 4, 20, 200)


def soak_hours_with_noise():
    _drive(3600, 0.05, 4, 20, 200)
