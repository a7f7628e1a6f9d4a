"""Reception at a bus that is never silent, with pauses of the firmware."""

import sim
from rig import Rig, frame
from sim.stalls import Stalls

TIMEOUT = 170


class Flood:
    """Frames without a gap between them, of all sizes that fit: 100 % of the bus."""

    def __init__(self, world, seconds):
        self.sent = []
        self.module = sim.Module(world.wire, 0x68, polite=False, keep=False)
        rng = world.rng
        self.block = 0
        us = 0
        while us < seconds * 1_000_000:
            size = rng.between(5, 40)
            body = bytes([rng.below(256) for _ in range(size - 4)])
            self.sent.append(frame(0x68, rng.below(256), body))
            us += size * 1146
        world.at(world.now + 1000, self._more)
        self.world = world

    def _more(self, _):
        """A block of frames at a time, each handed over when the one before it has gone."""
        part = b"".join(self.sent[self.block : self.block + 100])
        self.block += 100
        if part:
            self.module.send_raw(part)
            self.world.at(self.world.now + len(part) * 1146 - 500, self._more)


def flood(seconds, **stalls):
    rig = Rig()
    flood = Flood(rig.world, seconds)
    stalled = Stalls(rig.world, **stalls) if stalls else None
    rig.turn_for(seconds + 1)
    rig.world.before_call = None
    rig.turn_for(1)
    received = [f[2] for f in rig.frames]
    if stalled:
        print("stalls: %d, longest %d us" % (stalled.count, stalled.longest_us))
    print("frames sent %d, received %d" % (len(flood.sent), len(received)))
    assert received == flood.sent, first_difference(received, flood.sent)
    transport = rig.app.transport
    assert transport.rx_uart_full == 0
    assert rig.app.link.queue_full == 0


def first_difference(a, b):
    for i in range(min(len(a), len(b))):
        if a[i] != b[i]:
            return i, a[i], b[i]
    return len(a), len(b)


def test_a_minute_of_full_load_loses_nothing():
    flood(60)


def test_a_minute_of_full_load_with_stalls_of_up_to_100_ms_loses_nothing():
    # About four a second, of 50 ms on average: a fifth of the time the firmware stands still.
    flood(60, seed=5, chance=40, us=(1, 100_000), calls=("poll",))


def soak_ten_minutes_of_full_load_with_stalls():
    flood(600, seed=7, chance=40, us=(1, 100_000), calls=("poll",))


def test_what_a_pause_of_a_second_loses_is_counted():
    rig = Rig()
    flood = Flood(rig.world, 4)
    rig.turn_for(1)
    rig.world.burn(1_500_000)
    rig.turn_for(3)
    received = [f[2] for f in rig.frames]
    assert len(received) < len(flood.sent)
    assert rig.app.transport.rx_uart_full > 0
