"""Device time: microseconds modulo 2**30, as MicroPython's `time.ticks_us()` counts them on a 32-bit port.

2**30 - 1 is the largest int that a 32-bit MicroPython keeps without allocating, so no step in between goes beyond it
either (`a - b` and `a - TICKS_MASK - 1 + delta` stay within -2**30 .. 2**30 - 1).
Differences are meaningful for times less than TICKS_PERIOD / 2 apart: 537 s, and 6.2 days for `ticks_ms()`, which has
the same period. Beyond that the past looks like the future. So a tick that is kept follows one of these rules:

    turn    it is renewed at each turn (each pump() of a link)
    while   it is compared only while something lasts that is watched at each turn and is over within a minute, and at
            whose beginning the tick was set
    within  it is compared as `0 <= age < limit` (or `0 < left <= limit`): whatever is outside was long ago. Then a tick
            that is too old can mislead by `limit` at most, in `limit` of each period: so a small limit, or ticks_ms()

and has a test that idles for 540, 1,060 and 1,080 s, and one of 7 hours. tests/tick_table.py lists them all; `make
lint` fails for a tick that is not there.
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
