"""A small seeded generator, so that a seed means the same run everywhere (xorshift, 31 bits)."""

from math import log


class Rng:
    def __init__(self, seed):
        self.state = (seed * 2654435761 + 97) & 0x7FFFFFFF or 1
        for _ in range(4):
            self.bits()

    def bits(self):
        s = self.state
        s ^= (s << 13) & 0x7FFFFFFF
        s ^= s >> 17
        s ^= (s << 5) & 0x7FFFFFFF
        self.state = s
        return s

    def below(self, n):
        """0 .. n-1"""
        return (self.bits() >> 3) % n

    def between(self, low, high):
        """low .. high"""
        return low + (self.bits() >> 3) % (high - low + 1)

    def interval(self, mean):
        """Waiting time of a Poisson process with this mean (at most 7 means)."""
        return int(-mean * log((self.below(1000) + 1) / 1000.5))
