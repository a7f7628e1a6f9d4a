"""The ELM327's sessions with the car: initialisation, search, protocols, what ends a session and what a reset forgets.

Sources as in tests/vectors/elm327.txt; what differs from the chip is in docs/elm327.md.
"""

from __future__ import annotations

import pytest

from openkline.elm.operations import Bypass, Close, Exchange, Initialise, KeepAlive, Outcome

from .elm_rig import ISO_RPM, KWP_RPM, Car, Elm


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


def test_an_initialisation_that_fails_ends_the_session() -> None:
    elm = Elm().ready(5)
    elm.car.error = "silent"
    assert elm.ask("ATFI") == "BUS INIT: ERROR"
    assert elm.ask("010C") == "BUS INIT: ERROR"
    assert elm.car.exchanges() == []


def test_bypass() -> None:
    elm = Elm(Car(3, [ISO_RPM]))
    for command in ("ATE0", "ATSP5", "ATFI", "ATSP3"):  # [DSJ 19]: fast initialisation with ISO 9141's header
        elm.say(command)
    elm.car.asked.clear()
    assert elm.say("ATBI") == b"OK\r\r>"
    assert elm.say("010C") == b"41 0C 0D 20 \r\r>"
    assert elm.car.asked == [Bypass(10400), Exchange(bytes.fromhex("68 6A F1 01 0C"), 200, 200, 0, session=False)]
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
        assert (elm.ask("ATDPN"), elm.ask("ATKW")) == ("A0", "OK"), command


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


def test_a_search_uses_a_header_only_for_the_protocol_that_was_asked_for() -> None:
    # [DSJ, SH]: an app that has set a CAN header meets a K-line car
    for protocol, frame in (("0", "C1 33 F1 81"), ("A5", "81 10 F1 81")):
        elm = Elm(Car(5, [KWP_RPM]))
        for command in ("ATSP" + protocol, "ATSH 7E0" if protocol == "0" else "ATSH 81 10 F1", "010C"):
            elm.say(command)
        (fast,) = [one for one in elm.car.asked if isinstance(one, Initialise) and one.kind == "fast"]
        assert fast.frame.hex(" ").upper() == frame


def test_which_protocol_is_saved() -> None:
    elm = Elm(Car(4))
    for commands, after_reset in (
        (["ATSP 3", "ATSP 0"], "3"),  # [DSJ, SP]: SP 0 is not written
        (["ATSP 00"], "A0"),
        (["ATSP A5"], "A5"),
        (["ATTP 3"], "A5"),
        (["ATTP 0", "0100"], "A5"),  # found, with M0
        (["ATM1", "ATTP 0", "0100"], "A4"),  # [DSJ, M1]
        (["ATM1", "ATTP 4", "0100"], "4"),
        (["ATSP 3", "ATM1", "0100"], "3"),  # its key bytes are another protocol's: BUS INIT: ...ERROR
    ):
        for command in commands:
            elm.say(command)
        elm.say("ATZ")
        assert elm.ask("ATDPN") == after_reset, commands
    elm.say("ATSP 00")


def test_no_keep_alive_until_the_next_initialisation() -> None:
    # [DSJ, SW]
    elm = Elm().ready(5)
    elm.say("ATSW 19")
    elm.say("ATSW 00")
    assert [one.interval_ms for one in elm.car.wakes()] == [512, 0]
    elm.say("ATPC")
    elm.say("0100")
    assert elm.car.wakes()[-1].interval_ms == 512
    elm.say("ATPC")
    elm.car.asked.clear()
    assert elm.ask("ATSW 00") == "OK" and elm.car.asked == []


def test_low_power() -> None:
    # [DSJ, LP]: OK without a line end; [DSH 63]: a byte wakes it, and it starts warm
    elm = Elm().ready(4)
    elm.say("ATH1")
    assert elm.say("ATLP") == b"OK" and elm.car.asked == [Close()]
    assert elm.send(b"\x00") == b""  # no byte at all
    elm.chip.expire()
    elm.chip.clogged()
    assert elm.take() == b"" and not elm.chip.busy
    assert elm.send(b"ATI\r") == b"\r\rELM327 v1.5\r\r>"
    assert elm.say("ATI") == b"ATI\rELM327 v1.5\r\r>"
    assert not elm.chip.settings.headers
