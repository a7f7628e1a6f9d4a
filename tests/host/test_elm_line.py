"""The ELM327 at its serial line: interruption, monitoring, repetition, and input that no client should send.

Sources as in tests/vectors/elm327.txt.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.elm.interpreter import MAX_LINE
from openkline.elm.operations import Initialise, Monitor, Outcome

from .elm_rig import ISO_RPM, KWP_RPM, Car, Elm


@pytest.mark.parametrize("byte", [b"\r", b"x", b"\x07", b"\n", b" ", b"\xff"])
def test_any_byte_interrupts_and_is_thrown_away(byte: bytes) -> None:
    elm = Elm().ready(3)
    elm.chip.receive(b"010C\r")
    assert elm.send(b"\x00") == b"" and not elm.chip.cancel  # no byte at all [DSJ 9]
    if byte == b"\n":
        assert elm.send(b"\n") == b"" and not elm.chip.cancel  # the end of \r\n
    assert elm.send(byte + b"010D\r") == b"" and elm.chip.cancel
    elm.chip.heard(bytes.fromhex(ISO_RPM))
    assert elm.send(b"more") == b""
    elm.chip.completed(Outcome())
    assert elm.take() == b"STOPPED\r\r>" and not elm.chip.busy
    assert elm.say("ATI") == b"ELM327 v1.5\r\r>"


def test_interrupted_initialisation_and_search() -> None:
    elm = Elm()
    elm.say("ATE0")
    elm.send(b"0100\r")
    elm.chip.completed(Outcome())
    assert isinstance(elm.chip.operation, Initialise)
    elm.send(b" ")
    elm.chip.completed(Outcome("late"))
    assert elm.take() == b"\rSTOPPED\r\r>"
    elm.say("ATSP3")
    out = elm.send(b"0100\r")
    elm.chip.completed(Outcome())
    elm.send(b" ")
    elm.chip.completed(Outcome())
    assert out + elm.take() == b"BUS INIT: ...STOPPED\r\r>"  # [python-OBD issue 263]
    assert not elm.chip.bus.active


def test_monitor() -> None:
    elm = Elm()
    elm.say("ATE0")
    elm.say("ATH1")
    elm.send(b"ATMA\r")
    assert elm.chip.operation == Monitor(10400, session=False)
    for text in ("68 6A F1 01 0C D0", ISO_RPM):
        elm.chip.heard(bytes.fromhex(text))
    elm.chip.heard(b"\x12\x34\x56\x78\x9a\xbc", good=False)
    assert elm.take() == b"68 6A F1 01 0C D0 \r48 6B 10 41 0C 0D 20 3D \r12 34 56 78 9A BC <DATA ERROR\r"
    elm.send(b"x")
    elm.chip.completed(Outcome())
    assert elm.take() == b"STOPPED\r\r>"
    for command, shown in (("MR 6A", "68 6A F1 01 0C D0 "), ("MT 10", ISO_RPM + " ")):
        elm.send(f"AT {command}\r".encode())
        for text in ("68 6A F1 01 0C D0", ISO_RPM):
            elm.chip.heard(bytes.fromhex(text))
        assert elm.take() == shown.encode() + b"\r"
        elm.send(b"x")
        elm.chip.completed(Outcome())
        elm.take()


def test_monitor_within_a_session() -> None:
    elm = Elm().ready(3)
    for command, session in (("ATIB 96", True), ("ATBI", False), ("ATPC", False)):
        elm.say(command)
        elm.send(b"ATMA\r")
        assert elm.chip.operation == Monitor(9600, session), command
        elm.send(b"x")
        elm.chip.completed(Outcome())


def test_a_client_that_does_not_read() -> None:
    elm = Elm()
    elm.say("ATE0")
    elm.send(b"ATMA\r")
    elm.chip.clogged()
    assert elm.chip.cancel
    elm.chip.heard(bytes.fromhex(ISO_RPM))
    elm.chip.completed(Outcome())
    assert elm.take() == b"BUFFER FULL\r\r>"  # [DSJ 87]
    elm.chip.clogged()
    assert not elm.chip.cancel


def test_an_empty_line_repeats() -> None:
    elm = Elm().ready(5)
    elm.car.says = [KWP_RPM]
    assert elm.say("010C") == elm.say("") == elm.say("  ") == b"41 0C 0D 20 \r\r>"
    elm.say("ATI")
    assert elm.say("") == b"ELM327 v1.5\r\r>"  # also AT commands [DSJ 9]
    assert len(elm.car.exchanges()) == 3


# -- input that no client should send


def test_spaces_case_and_control_characters_do_not_matter() -> None:
    elm = Elm()
    elm.say("ATE0")
    assert elm.send(b"\x00a\tT  i\n\x1b\r\n") == b"ELM327 v1.5\r\r>"
    elm.say("ATE1")
    assert elm.send(b"\x7f\x7f\r") == b"\x7f\x7f\r?\r\r>"  # python-OBD's first words


def test_a_line_without_an_end() -> None:
    elm = Elm()
    out = elm.send(b"A" * 10_000)
    assert len(out) == MAX_LINE and elm.chip.has_partial_line
    assert elm.send(b"\r") == b"\r?\r\r>" and elm.chip.overlong == 1
    assert elm.say("") == b"\r?\r\r>"  # nothing to repeat
    assert elm.send(b"ATI") == b"ATI"
    elm.chip.expire()
    assert elm.take() == b"?\r\r>" and not elm.chip.has_partial_line
    elm.chip.expire()
    assert elm.take() == b""
    assert elm.say("ATI") == b"ATI\rELM327 v1.5\r\r>"


def test_several_commands_in_one_go() -> None:
    elm = Elm()
    assert elm.send(b"ATE0\rATH1\rATI\r") == b"ATE0\rOK\r\r>OK\r\r>ELM327 v1.5\r\r>"


_LINES = st.sampled_from(
    [b"ATZ", b"ATSP3", b"ATSP5", b"ATSPA4", b"0100", b"010C1", b"03", b"ATMA", b"ATMT10", b"ATBI", b"ATSI", b"ATFI",
     b"ATPC", b"ATH1", b"ATS0", b"ATL1", b"ATR0", b"ATRV", b"ATSW00", b"ATWM C1 33 F1 3E", b"ATSH 80 10 F1", b"ATD",
     b"ATAL", b"ATKW", b"ATKW0", b"", b"ATRA F1", b"ATLP", b"ATCV 1260", b"ATBD", b"ATPPS", b"ATM1"]
)  # fmt: skip
_STEPS = st.one_of(
    _LINES.map(lambda line: ("in", line + b"\r")),
    st.binary(max_size=40).map(lambda data: ("in", data)),
    st.tuples(st.just("hear"), st.binary(max_size=12)),
    st.tuples(st.just("damage"), st.binary(max_size=12)),
    st.sampled_from(["", "no_sync", "no_echo", "not_connected", "stopped", "interrupted", "?"]).map(
        lambda error: ("done", error)
    ),
    st.just(("expire", b"")),
    st.just(("clog", b"")),
)


@given(st.lists(_STEPS, max_size=40))
def test_nothing_that_comes_upsets_it(steps: list[tuple[str, bytes | str]]) -> None:
    """Whatever comes from either side: no exception, never silent for good, a prompt in the end, and then it works."""
    elm = Elm(Car(5, [KWP_RPM]))
    chip = elm.chip
    for what, value in steps:
        if isinstance(value, str):
            chip.completed(Outcome(value, alive=not value, key_bytes=b"\xe9\x8f"))
        elif what == "in":
            chip.receive(value)
        elif what in ("hear", "damage"):
            chip.heard(value, what == "hear")
        elif what == "expire":
            chip.expire()
        else:
            chip.clogged()
        assert chip.busy == (chip.operation is not None)
        assert len(chip.out) < 60_000
    for _ in range(20):  # a search that fails has three initialisations, each with a keep-alive before
        if chip.operation is not None:
            chip.receive(b"x")
            chip.completed(Outcome("stopped"))
    assert not chip.busy
    chip.receive(b"\r")
    if isinstance(chip.operation, Monitor):  # the last command, again
        chip.completed(Outcome("stopped"))
    elm.car.serve(chip)
    if chip.asleep:
        chip.receive(b"\r")
    assert bytes(chip.out).endswith(b">")
    elm.take()
    assert elm.say("ATZ").endswith(b"ELM327 v1.5\r\r>")
    assert elm.say("ATI").endswith(b"ELM327 v1.5\r\r>")
