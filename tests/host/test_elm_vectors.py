"""Each AT command and each kind of answer, bytes in and out, in all settings of echo, line feeds, spaces, headers."""

from __future__ import annotations

import re

import pytest

from openkline.elm.operations import Outcome

from .elm_rig import KWP_RPM, Car, Elm, message, settings, vectors

_HEX = re.compile(r"((?:[0-9A-F]{2} ?)+)(<DATA ERROR)?")


def expected(echo: bool, linefeeds: bool, spaces: bool, command: str, lines: list[str]) -> bytes:
    """What comes back: our own few lines of the data sheet's page 9."""
    end = "\r\n" if linefeeds else "\r"
    out = command + end if echo else ""
    for line in lines:
        found = _HEX.fullmatch(line)
        if found is not None:
            pairs = found[1].split()
            line = "".join(pair + (" " if spaces else "") for pair in pairs) + (found[2] or "")
        out += line + end
    return (out + end + ">").encode()


def prepared(echo: bool, linefeeds: bool, spaces: bool, headers: bool, protocol: int = 0) -> Elm:
    elm = Elm()
    if protocol:
        elm.ready(protocol)
    for name, on in (("E", echo), ("L", linefeeds), ("S", spaces), ("H", headers)):
        elm.say(f"AT{name}{int(on)}")
    return elm


@pytest.mark.parametrize("set_up", list(settings()), ids=lambda flags: "".join("01"[flag] for flag in flags))
def test_commands(set_up: tuple[bool, bool, bool, bool]) -> None:
    """In one go: the state that a command leaves is what the next one's answer speaks of."""
    echo, linefeeds, _spaces, headers = set_up
    elm = prepared(*set_up)
    elm.chip._repeat = ""
    rows = vectors("at")
    for command, lines, _source in [rows[-1], *rows[:-1]]:
        words = "AT " + command if command else ""
        out = elm.say(words)
        text = [] if lines == "-" else lines.split(" / ")
        end = "\r\n" if linefeeds else "\r"
        assert out.decode() == (words + end if echo else "") + "".join(t + end for t in text) + end + ">", command
    assert headers == elm.chip.settings.headers


@pytest.mark.parametrize("row", vectors("ask"), ids=lambda row: f"{row[0]}-{row[1]}-{row[3][:8]}")
def test_answers(row: list[str]) -> None:
    protocol, request, frame, messages, plain, with_headers, _source = row
    for set_up in settings():
        echo, linefeeds, spaces, headers = set_up
        elm = prepared(*set_up, protocol=int(protocol))
        elm.car.asked.clear()
        elm.car.says = [] if messages == "-" else messages.split("/")
        out = elm.say(request)
        lines = [line.strip() for line in (with_headers if headers else plain).split("/")]
        assert out == expected(echo, linefeeds, spaces, request, lines), set_up
        asked = elm.car.exchanges()
        if frame == "?":
            assert asked == []
        else:
            assert [one.frame.hex(" ").upper() for one in asked] == [frame]


@pytest.mark.parametrize("row", vectors("init"), ids=lambda row: f"{row[0]}-{row[1]}")
def test_before_the_first_request(row: list[str]) -> None:
    protocol, car, lines, _source = row
    for set_up in settings():
        echo, linefeeds, spaces, headers = set_up
        elm = prepared(*set_up)
        elm.say(f"ATSP{protocol}")
        elm.car = Car(int(car), [KWP_RPM]) if car.isdigit() else Car(error=car)
        if car == "stopped":
            out = elm.send(b"010C\rx")
            elm.car.serve(elm.chip)
            out += elm.take()
        else:
            out = elm.say("010C")
        data = KWP_RPM if headers else "41 0C 0D 20"
        text = [data if line == "DATA" else line for line in lines.split(" / ")]
        assert out == expected(echo, linefeeds, spaces, "010C", text), set_up


@pytest.mark.parametrize("row", vectors("listen"), ids=lambda row: row[0])
def test_what_ends_listening(row: list[str]) -> None:
    what, line, _source = row
    for set_up in settings():
        echo, linefeeds, spaces, headers = set_up
        elm = prepared(*set_up)
        out = elm.send(b"ATMA\r")
        elm.chip.heard(*message(KWP_RPM))
        if what == "clog":
            elm.chip.clogged()
        else:
            elm.chip.receive(b"x")
        elm.chip.completed(Outcome())
        lines = [KWP_RPM if headers else "41 0C 0D 20", line]
        assert out + elm.take() == expected(echo, linefeeds, spaces, "ATMA", lines), set_up


def test_each_vector_names_its_source() -> None:
    rows = vectors("at") + vectors("ask") + vectors("init") + vectors("listen")
    assert len(rows) > 100
    assert all(re.fullmatch(r"\[[^]]+\]", row[-1]) for row in rows)
