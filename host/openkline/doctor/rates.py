"""The bit rate of other modules' traffic, from the widths of its pulses."""

from __future__ import annotations

from collections.abc import Sequence

STANDARD = (1200, 2400, 4800, 9600, 10400, 15625, 19200, 38400)
_ENOUGH = 8  # pulses of either level
_NEAR = 0.04  # 9600 and 10400 are 8 % apart; clocks of modules and our timing are within 2 %
_LONGEST = 11  # bits that one pulse within a byte can have


def bit_of(lows: Sequence[int], highs: Sequence[int]) -> float | None:
    """The length of a bit in us, from dominant and recessive pulses; None: too few, or no common measure.

    A dominant pulse of k bits is k * bit + d long, a recessive one k * bit - d: a stage passes the two edges unequally
    fast. Single bits are frequent enough to be the shortest tenth; with them k of the others is known, and a line
    through all dominant pulses gives the bit more exactly.
    """
    if len(lows) < _ENOUGH or len(highs) < _ENOUGH:
        return None
    low, high = sorted(lows)[len(lows) // 10], sorted(highs)[len(highs) // 10]
    first, d = (low + high) / 2, (low - high) / 2
    if first <= 0:
        return None
    points = [(round((width - d) / first), width) for width in lows]
    points = [(k, width) for k, width in points if 1 <= k <= _LONGEST and abs(width - d - k * first) < first / 3]
    if 4 * len(points) < 3 * len(lows):
        return None
    mean_k = sum(k for k, _ in points) / len(points)
    mean_w = sum(width for _, width in points) / len(points)
    spread = sum((k - mean_k) ** 2 for k, _ in points)
    if not spread:
        return first
    return sum((k - mean_k) * (width - mean_w) for k, width in points) / spread


def fits(bit_us: float, baud: int) -> bool:
    """Whether a bit of this length is one of this rate."""
    return abs(bit_us * baud / 1e6 - 1) <= _NEAR


def is_usual(bit_us: float) -> bool:
    return any(fits(bit_us, baud) for baud in STANDARD)


def name_of(bit_us: float) -> str:
    """`10400 baud`, or `about 7300 baud` when it is none of the usual rates."""
    nearest = min(STANDARD, key=lambda baud: abs(bit_us * baud / 1e6 - 1))
    return f"{nearest} baud" if fits(bit_us, nearest) else f"about {round(1e6 / bit_us, -2):.0f} baud"
