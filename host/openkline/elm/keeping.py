"""The AT commands about what the chip keeps: its voltage and what that is worth, identifier, byte, parameters, buffer.

Handlers as in commands.py.
"""

from __future__ import annotations

from collections.abc import Generator

from openkline.elm import lines, memory, talk
from openkline.elm.chip import OK, UNKNOWN, Chip, Steps
from openkline.elm.operations import Operation, Outcome, Voltage


def _read_volts(chip: Chip) -> Generator[Operation, Outcome, float | None]:
    """As the board measures it, or as configured; None: it has been said why not."""
    outcome = yield Voltage()
    if outcome.error:  # no value then: the configured one would pass for a measured one
        chip.say_line(talk.word_of(chip, outcome.error))
        return None
    return chip.volts if outcome.volts is None else outcome.volts


def voltage(chip: Chip) -> Steps:
    volts = yield from _read_volts(chip)
    if volts is not None:
        chip.say_line(f"{volts * chip.memory.calibration:.1f}V")


def calibrate(chip: Chip, digits: str) -> Steps:
    """AT CV: what the voltage really is, in 10 mV; 0000: as it is measured."""
    if int(digits):
        volts = yield from _read_volts(chip)
        if volts is None:
            return
        if not volts:
            chip.say_line(UNKNOWN)
            return
        chip.memory.calibration = int(digits) / 100 / volts
    else:
        chip.memory.calibration = 1.0
    chip.say_line(OK)


def identify(chip: Chip) -> str:
    return chip.memory.identifier or UNKNOWN


def name(chip: Chip, identifier: str) -> str:
    """AT @3: once for all."""
    if chip.memory.identifier:
        return UNKNOWN
    chip.memory.identifier = identifier
    return OK


def save_byte(chip: Chip, digits: str) -> str:
    chip.memory.stored = int(digits, 16)
    return OK


def saved_byte(chip: Chip) -> str:
    return f"{chip.memory.stored:02X}"


def dump(chip: Chip) -> str:
    """AT BD: the size of the last message, and twelve bytes of it."""
    return lines.hexadecimal(chip.settings, bytes((chip.size & 0xFF, *chip.buffer)))


def parameter(chip: Chip, number: str, what: str, value: str | None) -> str:
    """AT PP xx SV yy, ON, OFF."""
    n = int(number, 16)
    if n >= memory.COUNT and (n != memory.ALL or value is not None):
        return UNKNOWN
    if value is not None:
        chip.memory.parameters.values[n] = int(value, 16)
    else:
        chip.memory.parameters.switch(n, what == "ON")
    return OK


def parameters(chip: Chip) -> str:
    return chip.line_end().join(chip.memory.parameters.summary())
