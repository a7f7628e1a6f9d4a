"""Device time: microseconds modulo 2**30, as MicroPython's `time.ticks_us()` counts them on a 32-bit port.

2**30 - 1 is the largest int that a 32-bit MicroPython keeps without allocating, so no step in between goes beyond it
either (`a - b` and `a - TICKS_MASK - 1 + delta` stay within -2**30 .. 2**30 - 1).
Differences are meaningful for times less than TICKS_PERIOD / 2 (537 s) apart.
"""

TICKS_PERIOD = 1 << 30  # big int: for readers only; the arithmetic uses TICKS_MASK
TICKS_MASK = TICKS_PERIOD - 1
TICKS_HALF = 1 << 29


def ticks_diff(a: int, b: int) -> int:
    """a - b in microseconds, -2**29 .. 2**29 - 1, for ticks a and b (both 0 .. 2**30 - 1)."""
    d = (a - b) & TICKS_MASK
    return d if d < TICKS_HALF else d - TICKS_MASK - 1


def ticks_add(a: int, delta: int) -> int:
    """The tick `delta` microseconds after a (before it, when negative); |delta| < 2**30."""
    if delta > 0:
        a = a - TICKS_MASK - 1
    return (a + delta) & TICKS_MASK


def count_up(n: int) -> int:
    """n + 1, from 2**30 - 1 on to 0: how counters in the receive path go up without ever leaving the small ints."""
    return (n - TICKS_MASK) & TICKS_MASK
