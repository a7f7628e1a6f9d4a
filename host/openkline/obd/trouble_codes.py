"""What generic trouble codes mean, in a few words: those that SAE J2012 names for all makes.

trouble_codes.txt has the words, a family on a line:

    P0100 air flow sensor A|$C             P0100 and the four codes after it: `air flow sensor A: circuit`, ..
    P0201*12 injector circuit, cylinder #  twelve codes; # counts from 1, @ from A; with faults: all of each in turn
    $C circuit|circuit low                 what $C stands for
"""

from __future__ import annotations

import functools
from importlib import resources

from kline.protocol.obd import dtc


@functools.cache
def texts() -> dict[str, str]:
    """{"P0133": "oxygen sensor, bank 1 sensor 1: slow response"}"""
    found: dict[str, str] = {}
    sets: dict[str, list[str]] = {}
    lines = resources.files(__package__).joinpath("trouble_codes.txt").read_text("utf-8").splitlines()
    for line in lines:
        head, _, rest = line.partition(" ")
        if head.startswith("$"):
            sets[head] = rest.split("|")
        elif head and head != "#":
            _read_family(found, head, rest.split("|"), sets)
    return found


def _read_family(found: dict[str, str], head: str, parts: list[str], sets: dict[str, list[str]]) -> None:
    first, _, count = head.partition("*")
    faults = [fault for part in parts[1:] for fault in sets.get(part, [part])] or [""]
    code = first
    for number in range(1, int(count or 1) + 1):
        subject = parts[0].replace("#", str(number)).replace("@", chr(64 + number)) if count else parts[0]
        for fault in faults:
            if code in found:
                raise ValueError(f"{code} has two texts")
            joint = " " if subject.endswith((" the", " with")) else ": "
            found[code] = f"{subject}{joint}{fault}" if fault else subject
            code = _next(code)


def _next(code: str) -> str:
    """The code after it; SAE counts in decimal digits as long as there are some."""
    digits = code[1:]
    return f"{code[0]}{int(digits) + 1:04d}" if digits.isdecimal() else f"{code[0]}{int(digits, 16) + 1:04X}"


def describe(code: str) -> str:
    """`oxygen sensor, bank 1 sensor 1: slow response`; where the code has no text here: its system and group."""
    return texts().get(code.upper()) or dtc.describe(code)
