"""The ESP32 port's tick arithmetic: modulo 2**30."""

MASK = (1 << 30) - 1
HALF = 1 << 29


def ticks_diff(a, b):
    return ((a - b + HALF) & MASK) - HALF


def ticks_add(t, delta):
    if not -HALF < delta < HALF:
        raise OverflowError("ticks interval overflow")
    return (t + delta) & MASK
