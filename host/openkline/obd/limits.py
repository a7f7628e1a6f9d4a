"""Limits of time that a person sets for a car that is slower than the standard."""

from __future__ import annotations

from dataclasses import dataclass, replace

STANDARD_P2_MS = 50
MOST_P2_MS = 1000  # that is remembered
LONGER = 4  # times P2max: the wait for an answer that is late

# name: (least, most) in ms
RANGES = {"P1": (1, 1000), "P2": (1, 10_000), "P3": (1, 4500), "W1": (1, 3000)}


@dataclass(frozen=True, slots=True)
class Limits:
    """In ms; 0: as in the standard.

    p1  most between bytes of an answer     p2  most between request and answer
    p3  least between answer and request    w1  most between the 5-baud address and the sync byte
    """

    p1: int = 0
    p2: int = 0
    p3: int = 0
    w1: int = 0

    def arguments(self) -> bytes:
        """Of OP_TIMING, behind TIMING_LIMITS."""
        return b"".join(ms.to_bytes(2, "little") for ms in (self.p1, self.p2, self.p3, self.w1))

    def filled(self, p2: int, p3: int) -> Limits:
        """With what a profile remembers where nothing else is set."""
        return replace(self, p2=self.p2 or p2, p3=self.p3 or p3)


def parse(text: str) -> dict[str, int]:
    """{"p2": 100} of `P2=100` or `P2=100,P3=600`. ValueError: what was expected."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = part.strip().upper().partition("=")
        if name not in RANGES:
            raise ValueError(f"{part!r}: expected one of {', '.join(RANGES)}, such as P2=100")
        least, most = RANGES[name]
        ms = int(value) if value.isascii() and value.isdigit() and len(value) < 9 else -1
        if not least <= ms <= most:
            raise ValueError(f"{part!r}: expected {name} in whole ms from {least} to {most}")
        found[name.lower()] = ms
    return found
