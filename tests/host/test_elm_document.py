"""docs/elm327.md says what the interpreter does: each command that it lists is one, and each one is listed."""

from __future__ import annotations

import re
from pathlib import Path

from .elm_rig import Elm, vectors

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "elm327.md").read_text("utf-8")


def listed() -> list[str]:
    """The commands in the first column of the table."""
    table = DOCUMENT.split("\n## Commands\n")[1].split("\nNot there:")[0]
    found = [re.findall(r"`(AT [^`]+)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("|")]
    return [command for row in found for command in row]


def test_each_command_of_the_document_is_one() -> None:
    assert len(listed()) > 80
    for command in listed():
        elm = Elm()
        if command in ("AT SI", "AT KW"):
            elm.ready(4)
        elif command in ("AT FI", "AT BI"):
            elm.ready(5)
        elif command == "AT @2":
            elm.say("AT @3 KLINE-000001")
        elm.say("ATE0")
        elm.chip.receive(command.encode() + b"\r")
        if command[:5] in ("AT MA", "AT MR", "AT MT"):
            assert elm.chip.busy
            continue
        elm.car.serve(elm.chip)
        assert b"?" not in elm.take(), command


def test_what_is_not_there_is_none() -> None:
    words = re.findall(r"`(AT [^`]+)`", DOCUMENT.split("\nNot there:")[1].split("\n\n")[0])
    assert len(words) >= 6
    for command in words:
        assert Elm().ask(command) == "?", command


def test_each_command_of_the_vectors_is_in_the_document() -> None:
    names = {re.sub(r"[^A-Z@]", "", command[3:].split()[0]) for command in listed()}
    for command, answer, _ in vectors("at"):
        if answer != "?" and command:
            assert re.sub(r"[^A-Z@]", "", command.split()[0]) in names, command


def test_what_it_prints() -> None:
    for words in ("BUS INIT: ...OK", "SEARCHING...", "UNABLE TO CONNECT", "NO DATA", "<DATA ERROR", "STOPPED",
                  "BUFFER FULL", "FB ERROR", "BUS BUSY", "BUS ERROR", "CAN ERROR"):  # fmt: skip
        assert f"`{words}`" in DOCUMENT
