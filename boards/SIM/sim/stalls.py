"""Pauses of the firmware: what garbage collection, Wi-Fi or flash writes do to it, at the worst moments."""

from .rng import Rng


class Stalls:
    """Before a hardware call the firmware may stand still for a while (interrupts go on).

    chance   per call, in 1/10,000
    us       shortest and longest pause
    calls    names of the calls it can strike (see costs.py); None: all
    """

    def __init__(self, world, seed=1, chance=100, us=(1, 5000), calls=None):
        self.world = world
        self.rng = Rng(seed)
        self.chance, self.us, self.calls = chance, us, calls
        self.count = 0
        self.longest_us = 0
        world.before_call = self._before

    def _before(self, name):
        if (self.calls is None or name in self.calls) and self.rng.below(10_000) < self.chance:
            us = self.rng.between(self.us[0], self.us[1])
            self.count += 1
            if us > self.longest_us:
                self.longest_us = us
            self.world.burn(us)
