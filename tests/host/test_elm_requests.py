"""What the ELM327 sends for a request, and which answers it waits for and prints.

Sources as in tests/vectors/elm327.txt.
"""

from __future__ import annotations

import pytest

from .elm_rig import ISO_RPM, KWP_RPM, Car, Elm


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


def test_timeouts_and_number_of_answers() -> None:
    elm = Elm().ready(5)
    elm.say("010C1")
    one = elm.car.exchanges()[-1]
    assert (one.first_ms, one.more_ms, one.count, one.session) == (200, 200, 1, True)
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


def test_another_answer_is_waited_for_until_the_car_has_been_seen_faster() -> None:
    """AT ST's time at first, for each service and PID; then what this car needs, but not less than P2max."""
    elm = Elm().ready(5)
    elm.car.says = [KWP_RPM]
    waited = lambda: elm.car.exchanges()[-1].more_ms  # noqa: E731
    for line, gap_ms, more_ms in (
        ("010C1", 0, 200),  # ended with the first answer: nothing is known of a second one
        ("010C", 0, 200),
        ("010C", 30, 50),
        ("010C", 80, 65),
        ("010C", 0, 140),
        ("010C1", 90, 140),
        ("010C", 0, 155),
    ):
        elm.car.gap_ms = gap_ms
        elm.say(line)
        assert waited() == more_ms, line
    elm.car.says = ["87 F1 10 49 02 01 00 00 00 31 0F"]
    elm.say("0900")
    elm.say("0902")
    assert waited() == 200  # another request is not known yet
    elm.say("0902")
    assert waited() == 50
    elm.say("ATST 0A")
    elm.say("0902")
    assert waited() == 40
    elm.say("ATST 32")
    elm.say("ATAT0")
    elm.say("0902")
    assert waited() == 200


def test_a_refusal_that_does_not_count() -> None:
    """With count digit 1 on a car whose gearbox refuses before the engine answers."""
    for uncounted, count in ((False, 1), (True, 0)):
        elm = Elm().ready(5)
        elm.chip.uncounted_refusals = uncounted
        elm.say("010C1")
        assert elm.car.exchanges()[-1].count == count


def test_what_answers_another_request_is_no_answer() -> None:
    late = ["87 F1 10 49 02 02 4D 38 47 44 1E", "83 F1 10 41 0D 39 0B", "83 F1 10 7F 09 12 1E"]
    elm = Elm().ready(5)
    elm.car.says = [*late, KWP_RPM, *late]
    assert elm.ask("010C") == "41 0C 0D 20 "
    elm.car.says = [*late, "83 F1 18 7F 01 12 1E"]
    assert elm.ask("010C") == "7F 01 12 "
    elm.car.says = late
    assert elm.ask("010C") == "NO DATA"


def test_its_own_request_is_no_answer() -> None:
    elm = Elm().ready(3)
    elm.car.says = ["68 6A F1 01 0C D0", ISO_RPM]
    assert elm.ask("010C") == "41 0C 0D 20 "


def test_receive_address() -> None:
    elm = Elm().ready(5)
    elm.car.says = ["84 F5 10 41 0C 0D 20 03", KWP_RPM]
    elm.say("ATRA F5")
    assert elm.ask("010C") == "41 0C 0D 20 "
    elm.say("ATAR")
    elm.say("ATTA F5")
    elm.say("ATH1")
    assert elm.ask("010C") == "84 F5 10 41 0C 0D 20 03 "
