"""What the ELM327 keeps: calibration of its voltage, programmable parameters, identifier, a byte, the last message.

Sources as in tests/vectors/elm327.txt.
"""

from __future__ import annotations

import pytest

from openkline.elm.interpreter import Interpreter
from openkline.elm.memory import Memory
from openkline.elm.operations import Outcome, Voltage

from .elm_rig import Elm


def test_voltage() -> None:
    elm = Elm(volts=12.0)
    assert elm.ask("AT RV") == "12.0V"
    elm.chip.receive(b"ATRV\r")
    assert elm.chip.operation == Voltage()
    elm.take()
    elm.chip.completed(Outcome(volts=13.84))
    assert elm.take() == b"13.8V\r\r>"
    for error, word in (("interrupted", b"BUS ERROR"), ("", b"STOPPED")):  # no number that nobody measured
        elm.chip.receive(b"ATRV\r" if error else b"ATRV\rx")
        elm.take()
        elm.chip.completed(Outcome(error))
        assert elm.take() == word + b"\r\r>"


def test_calibration() -> None:
    # [DSJ, CV]
    elm = Elm(volts=12.0)
    for command, outcome, answer in (
        ("ATCV 1150", Outcome(), "OK"),  # nothing is measured: of the configured voltage
        ("ATRV", Outcome(), "11.5V"),
        ("ATCV 1250", Outcome(volts=13.0), "OK"),
        ("ATRV", Outcome(volts=13.0), "12.5V"),
        ("ATRV", Outcome(volts=6.5), "6.2V"),
        ("ATCV 1250", Outcome(volts=0.0), "?"),  # nothing makes 12.5 V of it
        ("ATCV 1250", Outcome("interrupted"), "BUS ERROR"),
        ("ATRV", Outcome(volts=13.0), "12.5V"),
    ):
        elm.chip.receive(command.encode() + b"\r")
        elm.take()
        elm.chip.completed(outcome)
        assert elm.take().decode() == answer + "\r\r>", command
    assert elm.ask("ATCV 0000") == "OK" and elm.ask("ATRV") == "12.0V"


@pytest.mark.parametrize("command", ["ATZ", "ATWS", "ATD"])
def test_what_a_reset_leaves(command: str) -> None:
    memory = Memory()
    elm = Elm()
    elm.chip = Interpreter(memory, 12.0)
    for line in ("AT@3 ABCDEFGHIJKL", "ATSD 7F", "ATCV 1260", "ATPP 26 SV AA", "ATPP 26 ON", command):
        elm.say(line)
    elm.chip = Interpreter(memory, 12.0)  # the next client's
    assert elm.ask("AT@2") == "ABCDEFGHIJKL"
    assert elm.ask("ATRD") == "7F"
    assert elm.ask("ATRV") == "12.6V"
    assert "26:AA N" in elm.ask("ATPPS")


def test_parameters_are_what_settings_begin_with() -> None:
    elm = Elm()
    for number, value in (("01", "00"), ("02", "00"), ("03", "0A"), ("04", "02"), ("06", "F5"), ("09", "FF"),
                          ("16", "00"), ("17", "19")):  # fmt: skip
        elm.say(f"ATPP {number} SV {value}")
        elm.say(f"ATPP {number} ON")
    assert elm.chip.settings == Interpreter().settings  # not yet
    elm.say("ATD")
    settings = elm.chip.settings
    assert (settings.headers, settings.long, settings.timeout, settings.adaptive) == (True, True, 0x0A, 2)
    assert (settings.tester, settings.baud, settings.wake) == (0xF5, 9600, 0x19)
    assert settings.echo  # of the serial line: with a reset only
    elm.say("ATZ")
    assert not elm.chip.settings.echo and elm.chip.settings.headers
    elm.say("ATPP FF OFF")
    assert elm.say("ATPPS").startswith(b"00:FF F  01:00 F")  # the value stays, and is not in force
    elm.say("ATZ")
    assert elm.chip.settings == Interpreter().settings
    elm.say("ATPP FF ON")
    elm.say("ATPP 02 OFF")
    elm.say("ATPP 03 SV 00")
    elm.say("ATWS")
    assert elm.chip.settings.headers and not elm.chip.settings.long
    assert elm.chip.settings.timeout == 0x32  # as with AT ST 00


def test_dump_of_the_last_message() -> None:
    # [DSJ, BD]: its size, then twelve bytes, of which the last are left from before
    elm = Elm()
    assert elm.ask("ATBD") == "00 " * 13
    elm.ready(5)
    elm.car.says = ["8A F1 10 61 08 01 02 03 04 05 06 07 08 18"]
    elm.say("2108")
    assert elm.ask("ATBD") == "0E 8A F1 10 61 08 01 02 03 04 05 06 07 "
    elm.car.says = []
    elm.say("3E")
    assert elm.ask("ATBD") == "05 C1 33 F1 3E 23 01 02 03 04 05 06 07 "
    elm.say("ATS0")
    assert elm.ask("ATBD") == "05C133F13E2301020304050607"
