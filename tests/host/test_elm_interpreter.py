"""The ELM327's manners beyond single answers: initialisation, search, interruption, monitoring, bad input.

Sources as in tests/vectors/elm327.txt; what differs from the chip is in docs/elm327.md.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.elm.interpreter import MAX_LINE
from openkline.elm.operations import Bypass, Close, Exchange, Initialise, KeepAlive, Monitor, Outcome, Voltage

from .elm_rig import Car, Elm

ISO_RPM = "48 6B 10 41 0C 0D 20 3D"
KWP_RPM = "84 F1 10 41 0C 0D 20 FF"


def test_reset_prints_the_blank_lines_of_the_chip() -> None:
    # [log 1], [log 2]; with a v1.4b: ATZ\r\r\rELM327 v1.4b\r\r>
    elm = Elm()
    assert elm.say("ATZ") == b"ATZ\r\r\rELM327 v1.5\r\r>"
    assert elm.say("ATE0") == b"ATE0\rOK\r\r>"
    assert elm.say("ATL1") == b"OK\r\n\r\n>"
    assert elm.say("atws") == b"\r\rELM327 v1.5\r\r>"
    assert elm.say("ATI") == b"ATI\rELM327 v1.5\r\r>"  # echo is on again


def test_initialisation_is_told() -> None:
    # [DSJ 33]: dots only where it is slow; [log 4], [log 5]
    elm = Elm(Car(3, [ISO_RPM]))
    elm.say("ATE0")
    elm.say("ATSP3")
    assert elm.say("010C") == b"BUS INIT: ...OK\r41 0C 0D 20 \r\r>"
    assert elm.say("010C") == b"41 0C 0D 20 \r\r>"
    elm = Elm(Car(5, [KWP_RPM]))
    elm.say("ATE0")
    elm.say("ATSP5")
    assert elm.say("010C") == b"BUS INIT: OK\r41 0C 0D 20 \r\r>"
    assert elm.say("ATPC") == b"OK\r\r>" and isinstance(elm.car.asked[-1], Close)
    elm.car.error = "no_sync"
    assert elm.say("010C") == b"BUS INIT: ERROR\r\r>"
    elm.say("ATSP4")
    assert elm.say("010C") == b"BUS INIT: ...ERROR\r\r>"
    elm.car.error = "no_echo"
    assert elm.say("ATSI") == b"BUS INIT: ...FB ERROR\r\r>"
    elm.car.error = "stuck_low"
    assert elm.say("ATSI") == b"BUS INIT: ...BUS BUSY\r\r>"


@pytest.mark.parametrize(("protocol", "kinds"), [(3, ["slow"]), (4, ["slow"]), (5, ["slow", "fast"])])
def test_search(protocol: int, kinds: list[str]) -> None:
    elm = Elm(Car(protocol, ["48 6B 10 41 00 88 18 00 01 E5"]))
    elm.say("ATE0")
    assert elm.say("0100") == b"SEARCHING...\r41 00 88 18 00 01 \r\r>"
    assert [one.kind for one in elm.car.asked if isinstance(one, Initialise)] == kinds
    assert elm.ask("ATDPN") == f"A{protocol}"
    # The next search begins with what was found.
    elm.say("ATZ")
    elm.say("ATE0")
    elm.car.asked.clear()
    assert elm.ask("0100").startswith("SEARCHING...")
    assert [one.kind for one in elm.car.asked if isinstance(one, Initialise)] == kinds[-1:]


def test_search_in_vain() -> None:
    elm = Elm(Car(3, error="silent"))
    elm.say("ATE0")
    assert elm.say("0100") == b"SEARCHING...\rUNABLE TO CONNECT\r\r>"
    assert [one.kind for one in elm.car.asked if isinstance(one, Initialise)] == ["slow", "fast", "slow"]
    for error in ("no_echo", "interrupted"):  # the circuit, the board: no other way would help
        elm.car.asked.clear()
        elm.car.error = error
        assert elm.ask("0100") == "SEARCHING.../UNABLE TO CONNECT"
        assert len([one for one in elm.car.asked if isinstance(one, Initialise)]) == 1


def test_protocols_that_the_line_has_not() -> None:
    elm = Elm()
    for protocol in "6789ABC":
        elm.say(f"ATSP{protocol}")
        assert elm.ask("0100") == "CAN ERROR"
        assert elm.ask("ATMA") == "CAN ERROR"
    elm.say("ATTP1")
    assert elm.ask("0100") == "NO DATA"
    assert elm.car.asked == []
    elm.car.protocol, elm.car.says = 3, [ISO_RPM]
    elm.say("ATSPA6")  # automatic: begins with 6, goes on to what there is
    assert elm.ask("010C") == "SEARCHING.../41 0C 0D 20 "


def test_key_bytes() -> None:
    elm = Elm().ready(4)
    assert elm.ask("ATKW") == "1:E9 2:8F"
    elm.say("ATSP3")  # the car speaks 4
    assert elm.ask("0100") == "BUS INIT: ...ERROR"
    assert isinstance(elm.car.asked[-1], Close)
    elm.say("ATKW0")
    elm.car.says = [ISO_RPM]
    assert elm.ask("010C") == "BUS INIT: ...OK/41 0C 0D 20 "
    assert [one.check_keys for one in elm.car.asked if isinstance(one, Initialise)] == [True, False]


def test_a_lost_session_is_opened_again() -> None:
    elm = Elm().ready(3)
    elm.chip.receive(b"010C\r")
    elm.chip.completed(Outcome("not_connected", alive=False))
    elm.car.says = [ISO_RPM]
    elm.car.serve(elm.chip)
    assert elm.take() == b"BUS INIT: ...OK\r41 0C 0D 20 \r\r>"
    elm.chip.receive(b"010C\r")
    elm.chip.completed(Outcome(alive=False))  # no answer, also not to the keep-alive
    assert elm.take() == b"NO DATA\r\r>"
    assert elm.ask("010C").startswith("BUS INIT: ...OK")
    elm.chip.receive(b"010C\r")
    elm.chip.completed(Outcome("echo_wrong"))
    assert elm.take() == b"BUS ERROR\r\r>"


# -- what it sends


@pytest.mark.parametrize(
    ("protocol", "commands", "data", "frame"),
    [
        (4, ["ATSH 81 12 F1"], "1A9A", "82 12 F1 1A 9A"),  # the length goes in by itself [DSH 38]
        (5, ["ATSH 80 12 F1"], "2108", "80 12 F1 02 21 08"),  # four bytes of header [DSH 38], [log 3]
        (5, ["ATSH C0 33 F1"], "0100", "C0 33 F1 02 01 00"),
        (3, ["ATSH 81 10 F1"], "0100", "81 10 F1 01 00"),  # ISO 9141 knows no length
        (3, ["ATTA F5"], "0100", "68 6A F5 01 00"),
        (5, ["ATTA F5"], "0100", "C2 33 F5 01 00"),
        (4, ["ATIIA 13", "ATSH 82 13 F0"], "0100", "82 13 F0 01 00"),  # [log 5]
        (5, ["ATAL"], "3B 90 01 02 03 04 05 06 07 08", "CA 33 F1 3B 90 01 02 03 04 05 06 07 08"),
        (5, ["ATAL"], "22" * 64, "C0 33 F1 40 " + "22 " * 64),
    ],
)
def test_headers(protocol: int, commands: list[str], data: str, frame: str) -> None:
    elm = Elm().ready(protocol)
    for command in commands:
        elm.say(command)
    elm.say(data)
    assert elm.car.exchanges()[0].frame.hex(" ").upper() == frame.strip()


def test_fast_initialisation_of_one_ecu() -> None:
    elm = Elm()  # [log 3]
    for command in ("ATSP5", "ATWM 80 12 F1 01 3E", "ATSH 81 12 F1"):
        elm.say(command)
    assert elm.say("ATFI") == b"ATFI\rBUS INIT: OK\r\r>"
    keep, init = elm.car.asked
    assert keep == KeepAlive(2990, bytes.fromhex("80 12 F1 01 3E"))
    assert isinstance(init, Initialise) and init.frame == bytes.fromhex("81 12 F1 81")
    elm.say("ATSW 00")
    assert elm.car.wakes()[-1].interval_ms == 0


def test_slow_initialisation_address_and_rate() -> None:
    elm = Elm(Car(4))
    for command in ("ATSP4", "ATIIA 13", "ATIB 96"):
        elm.say(command)
    assert elm.ask("ATSI") == "BUS INIT: ...OK"
    assert Initialise("slow", 0x13, 9600) in elm.car.asked


def test_timeouts_and_number_of_answers() -> None:
    elm = Elm().ready(5)
    elm.say("010C1")
    one = elm.car.exchanges()[-1]
    assert (one.first_ms, one.more_ms, one.count, one.session) == (200, 50, 1, True)
    elm.say("ATST 0A")
    elm.say("ATAT0")
    elm.say("010C")
    one = elm.car.exchanges()[-1]
    assert (one.first_ms, one.more_ms, one.count) == (40, 40, 0)
    elm.say("ATRA 10")  # who is counted is known here only
    elm.say("010C2")
    assert elm.car.exchanges()[-1].count == 0
    elm.say("ATR0")
    assert elm.say("010C") == b"\r>"
    assert elm.car.exchanges()[-1].first_ms == 0


def test_the_first_answer_after_an_initialisation_is_waited_for_longer() -> None:
    elm = Elm(Car(5))
    for command in ("ATSP5", "ATST 0A", "010C", "010C"):
        elm.say(command)
    assert [one.first_ms for one in elm.car.exchanges()] == [200, 40]


def test_its_own_request_is_no_answer() -> None:
    elm = Elm().ready(3)
    elm.car.says = ["68 6A F1 01 0C D0", ISO_RPM]
    assert elm.ask("010C") == "41 0C 0D 20 "


def test_an_initialisation_that_fails_ends_the_session() -> None:
    elm = Elm().ready(5)
    elm.car.error = "silent"
    assert elm.ask("ATFI") == "BUS INIT: ERROR"
    assert elm.ask("010C") == "BUS INIT: ERROR"
    assert elm.car.exchanges() == []


def test_receive_address() -> None:
    elm = Elm().ready(5)
    elm.car.says = ["84 F5 10 41 0C 0D 20 03", KWP_RPM]
    elm.say("ATRA F5")
    assert elm.ask("010C") == "41 0C 0D 20 "
    elm.say("ATAR")
    elm.say("ATTA F5")
    elm.say("ATH1")
    assert elm.ask("010C") == "84 F5 10 41 0C 0D 20 03 "


def test_bypass() -> None:
    elm = Elm(Car(3, [ISO_RPM]))
    for command in ("ATE0", "ATSP5", "ATFI", "ATSP3"):  # [DSJ 19]: fast initialisation with ISO 9141's header
        elm.say(command)
    elm.car.asked.clear()
    assert elm.say("ATBI") == b"OK\r\r>"
    assert elm.say("010C") == b"41 0C 0D 20 \r\r>"
    assert elm.car.asked == [Bypass(10400), Exchange(bytes.fromhex("68 6A F1 01 0C"), 200, 50, 0, session=False)]
    elm = Elm().ready(5)
    elm.say("ATBI")  # what was begun is ended first
    assert elm.car.asked == [Close(), Bypass(10400)]


def test_a_reset_closes_the_session() -> None:
    for command in ("ATZ", "ATWS", "ATD", "ATPC", "ATLP"):
        elm = Elm().ready(4)
        elm.say(command)
        assert elm.car.asked == [Close()], command


def test_a_reset_forgets_what_was_found() -> None:
    for command in ("ATZ", "ATWS", "ATD"):
        elm = Elm(Car(5, [KWP_RPM]))
        elm.say("0100")
        assert elm.ask("ATDPN") == "A5"
        elm.say(command)
        assert (elm.ask("ATDPN"), elm.ask("ATKW")) == ("A0", "?"), command


def test_settings_end_where_they_should() -> None:
    elm = Elm(Car(3))
    for command in ("ATE0", "ATH1", "ATS0", "ATL1", "ATSH 81 10 F1", "ATST 10", "ATTP 3"):
        elm.say(command)
    assert elm.say("ATD") == b"OK\r\n\r\n>"  # E and L stay
    assert elm.chip.settings.spaces and not elm.chip.settings.headers and elm.chip.settings.header == b""
    assert elm.say("ATDPN") == b"A0\r\n\r\n>"  # TP is not remembered
    elm.say("ATSP 4")
    elm.say("ATZ")
    assert elm.ask("ATDPN") == "4"


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


# -- interruption, monitoring, repetition


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


# -- input that nobody should send


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
     b"ATAL", b"ATKW", b"ATKW0", b"", b"ATRA F1"]
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
    assert bytes(chip.out).endswith(b">")
    elm.take()
    assert elm.say("ATZ").endswith(b"ELM327 v1.5\r\r>")
    assert elm.say("ATI").endswith(b"ELM327 v1.5\r\r>")
