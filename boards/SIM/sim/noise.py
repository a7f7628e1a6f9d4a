"""Disturbances: glitches and stray bytes at random moments, reproducible by their seed."""

from .rng import Rng
from .uart import Format, Transmitter


class Noise:
    """rate: disturbances per second on average.

    glitch_us     shortest and longest low pulse
    bytes_share   per cent of the disturbances that are a random byte instead of a pulse
    """

    def __init__(self, wire, rate, seed=1, glitch_us=(1, 200), bytes_share=20, baud=9600, parity=0):
        self.world = wire.world
        self.rng = Rng(seed)
        self.mean_us = int(1_000_000 / rate)
        self.glitch_us = glitch_us
        self.bytes_share = bytes_share
        self.driver = wire.driver("noise")
        self.count = 0
        self._on = True
        self._tx = Transmitter(self.world, self.driver.set, Format.of(baud, 8, parity, 1))
        self._schedule()

    def stop(self):
        self._on = False

    def _schedule(self):
        self.world.at(self.world.now + 1 + self.rng.interval(self.mean_us), self._strike)

    def _strike(self, _):
        if not self._on:
            return
        self._schedule()
        if self.driver.level == 0 or self._tx.busy:
            return
        self.count += 1
        if self.rng.below(100) < self.bytes_share:
            self._tx.send(bytes((self.rng.below(256),)))
        else:
            self.driver.set(0)
            self.world.at(self.world.now + self.rng.between(self.glitch_us[0], self.glitch_us[1]), self._let_go)

    def _let_go(self, _):
        if not self._tx.busy:
            self.driver.set(1)
