"""Doctor's judgement of the wire: each branch, and both sides of each limit. Pure: no board."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.link import probe, records
from openkline.cli.flash import flash
from openkline.doctor import rates
from openkline.doctor import wire as wire_questions
from openkline.doctor.facts import ActiveFacts, Echo, Pulls, Pulse, WireFacts
from openkline.doctor.finding import Finding
from openkline.doctor.judge_wire import judge_wire
from openkline.doctor.wire import watch

HIGH, LOW, LOOSE = Pulls(True, True, True), Pulls(False, False, False), Pulls(True, True, False)
CLOSED, SILENT = Pulse(False, True, False), Pulse(False, False, False)
HELD, FLIPPED = Pulse(True, True, True), Pulse(True, False, True)


def echo(baud: int, stretch_us: float = 0) -> Echo:
    bit = 1e6 / baud
    return Echo(baud, probe.pattern(baud), (round(bit + stretch_us), round(10 * bit + stretch_us)))


GOOD = ActiveFacts(LOW, False, CLOSED, echoes=tuple(echo(baud) for baud in (2400, 4800, 9600, 19200)))
SILENCE = WireFacts(records.MODE_IBUS, 9600, 16, 17, True, False, HIGH, active=GOOD)


def traffic(baud: float, d: float = 0, parity: bool = True) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Dominant and recessive pulses of bytes 00 .. FF at this rate; dominant ones are longer by d."""
    bit = 1e6 / baud
    lows: list[int] = []
    highs: list[int] = []
    for byte in range(256):
        bits = [0, *(byte >> i & 1 for i in range(8)), *([byte.bit_count() & 1] if parity else []), 1]
        runs: list[list[int]] = []
        for level in bits:
            if runs and runs[-1][0] == level:
                runs[-1][1] += 1
            else:
                runs.append([level, 1])
        for level, k in runs:
            (highs if level else lows).append(round(k * bit - d if level else k * bit + d))
    return tuple(lows), tuple(highs)


def wire(**changes: object) -> WireFacts:
    return replace(SILENCE, **changes)  # type: ignore[arg-type]


def active(**changes: object) -> WireFacts:
    return replace(SILENCE, active=replace(GOOD, **changes))  # type: ignore[arg-type]


def names(facts: WireFacts) -> list[str]:
    return [finding.name for finding in judge_wire(facts) if finding.wrong]


def first(facts: WireFacts) -> Finding:
    return next(finding for finding in judge_wire(facts) if finding.wrong)


def test_a_healthy_wire_has_no_finding() -> None:
    lows, highs = traffic(9600)
    for facts in (SILENCE, wire(lows=lows, highs=highs, dominant_seen=True, frames=9), wire(active=None)):
        found = judge_wire(facts)
        assert [finding for finding in found if finding.wrong] == [] and found[0].level == "ok"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (active(pulse=FLIPPED, rx_alone=False), "tx_invert_wrong"),
        (active(pulse=FLIPPED, rx_alone=True), "rx_invert_wrong"),
        (active(rx_alone=True), "both_inverts_wrong"),
        (active(rx_alone=True, tx=LOOSE), "tx_pull_missing"),
        (active(tx=LOOSE), "tx_pull_missing"),
        (active(pulse=HELD), "stuck_low"),
        (active(pulse=HELD, swapped=SILENT), "stuck_low"),
        (active(pulse=HELD, swapped=CLOSED), "swapped"),
        (active(pulse=SILENT, swapped=CLOSED), "swapped"),
        (active(pulse=SILENT, swapped=FLIPPED), "swapped"),
        (active(pulse=HELD, tx=HIGH), "swapped"),
        (replace(active(pulse=HELD, tx=HIGH), tx_invert=False), "stuck_low"),
        (replace(active(pulse=HELD, tx=HIGH), rx_invert=True), "stuck_low"),
        (active(pulse=FLIPPED, rx_alone=True, tx=LOOSE), "tx_invert_wrong"),
        (active(rx_alone=True, echoes=(echo(9600, 60),)), "both_inverts_wrong"),
        (active(pulse=SILENT), "no_echo"),
        (active(pulse=SILENT, tx=LOOSE), "tx_not_connected"),
        (replace(active(pulse=SILENT), rx=LOOSE), "rx_not_connected"),
        (replace(active(pulse=SILENT, pulled=SILENT, tx=LOOSE), rx=LOOSE), "wrong_pins"),
        (replace(active(pulse=SILENT, pulled=CLOSED, tx=LOOSE), rx=LOOSE), "rx_pull_missing"),
        (replace(active(), rx=LOOSE), "rx_pull_missing"),
        (replace(active(pulse=SILENT), dominant_seen=True), "tx_no_effect"),
        (active(pulse=Pulse(False, True, True, 0, probe.NEVER)), "no_pull_up"),
        (wire(active=None, rx=LOOSE), "rx_not_connected"),
        (wire(active=None, rx=LOOSE, frames=1, received=9), "rx_pull_missing"),
        (wire(active=None, dominant_seen=True, recessive_seen=False), "idle_dominant"),
    ],
)
def test_what_pins_and_pulses_tell(facts: WireFacts, name: str) -> None:
    assert first(facts).name == name and first(facts).remedy


@pytest.mark.parametrize(
    ("facts", "option"),
    [
        (active(pulse=FLIPPED, rx_alone=False), "--interface"),
        (active(pulse=FLIPPED, rx_alone=True), "--interface"),
        (active(rx_alone=True), "--interface"),
        (active(pulse=HELD, tx=HIGH), "--interface"),
        (replace(active(pulse=SILENT, pulled=SILENT, tx=LOOSE), rx=LOOSE), "--pins"),
    ],
)
def test_flash_is_told_what_to_change(facts: WireFacts, option: str) -> None:
    """It asks for the interface only where it doesn't remember one, and for pins never."""
    remedy = first(facts).remedy
    assert f"openkline flash {option} NAME" in remedy and "asks" not in remedy
    assert option in {name for one in flash.params for name in one.opts}


def test_what_is_said_beside_the_likeliest() -> None:
    assert names(active(pulse=HELD, tx=LOOSE)) == ["stuck_low", "tx_not_connected"]
    assert names(active(pulse=FLIPPED, tx=LOOSE)) == ["tx_invert_wrong", "tx_pull_missing"]


def test_rise_at_its_limit() -> None:
    assert names(active(pulse=Pulse(False, True, False, 5, 400))) == []
    assert names(active(pulse=Pulse(False, True, False, 5, 401))) == ["no_pull_up"]


@pytest.mark.parametrize("right", [True, False])
def test_distortion_at_its_limits(right: bool) -> None:
    """35 % of a bit of 104 us: 36.4 us. Bits that still come back right make it a warning."""
    got = probe.PATTERN if right else b"\x00"

    def stretched(us: int) -> WireFacts:
        return active(echoes=(echo(2400, us), replace(echo(9600, us), got=got)))

    for us, name in ((36, None), (38, "slow"), (-36, None), (-38, "weak")):
        if name is None:
            assert names(stretched(us)) == ([] if right else ["echo_wrong"]), us
        else:
            assert first(stretched(us)).name == name
            assert first(stretched(us)).level == ("warning" if right else "fault")


def test_an_echo_that_is_wrong_at_a_foreign_rate_only() -> None:
    assert names(active(echoes=(echo(9600), replace(echo(19200), got=b"")))) == []
    assert names(active(echoes=(replace(echo(9600), got=b"\x55"), echo(19200)))) == ["echo_wrong"]


def test_the_stretch_is_taken_where_bytes_came_right() -> None:
    spoiled = replace(echo(2400, -400), got=b"\x00")
    assert names(active(echoes=(spoiled, echo(4800), echo(9600)))) == []
    assert names(active(echoes=(spoiled, replace(echo(9600, -60), got=b"")))) == ["weak"]


def test_the_stretch_is_not_taken_from_a_disturbance() -> None:
    disturbed = replace(echo(2400), lows=(30, 416, 417))
    assert names(active(echoes=(disturbed, echo(4800), echo(9600), echo(19200)))) == []
    slow = tuple(echo(baud, 60) for baud in (4800, 9600, 19200))
    assert names(active(echoes=(disturbed, *slow))) == ["slow"]


@pytest.mark.parametrize(
    ("answers", "rx_invert", "loose"),
    [
        ([7, 7, 7], False, False),
        ([3, 3, 7, 3, 3, 3, 7, 0, 5], False, False),  # somebody talks: now and then the wire is low at the wrong moment
        ([3, 7, *[3] * 9, 7], False, True),  # and an aerial it is, now and then
        ([3] * 12, False, True),
        ([2] * 12, False, True),
        ([0, 0, 3, 0, 2, 0, 3, 0, 0, 0, 0, 0], False, True),  # only its pull is missing, and somebody talks
        ([0] * 12, False, False),  # held low
        ([0, 0, 0], True, False),
        ([2, 7, 7, 0, 6, 4, 5], True, False),
        ([2, 7, 7, 6, 2, *[2] * 7], True, True),
        ([7] * 12, True, False),
    ],
)
async def test_rx_hangs_in_the_air_only_if_nothing_holds_it(answers: list[int], rx_invert: bool, loose: bool) -> None:
    left = list(answers)

    class Calls:
        async def ask(self, operation: int) -> bytes:
            assert operation == probe.OP_RX_PULLS
            return bytes((left.pop(0),))

    pulls = await wire_questions._rx_pulls(Calls(), rx_invert)  # type: ignore[arg-type]
    assert pulls.loose is loose and not left


def test_rates_of_others() -> None:
    for baud, wrong in ((9600, False), (9300, False), (9900, False), (9150, True), (10_400, True), (4800, True)):
        lows, highs = traffic(baud)
        facts = wire(lows=lows, highs=highs, dominant_seen=True)
        assert names(facts) == (["wrong_rate"] if wrong else []), baud
    lows, highs = traffic(10_400, parity=False)
    assert "10400 baud" in first(wire(lows=lows, highs=highs)).text
    assert "K-line" in first(wire(lows=lows, highs=highs)).text


def test_another_tester_needs_two_pulses() -> None:
    kline = wire(mode=records.MODE_OBD, baud=10_400)
    assert names(kline) == [] and names(replace(kline, lows=(96,))) == []
    assert names(replace(kline, lows=(96, 96))) == ["other_tester"]


def test_noise_only_where_messages_suffer() -> None:
    lows, highs = traffic(9600)
    noisy = lows + (9,) * len(lows)
    for facts in (
        wire(lows=lows, highs=highs, bad=4),
        wire(lows=noisy, highs=highs, bad=1, frames=50),
    ):
        assert names(facts) == []
    noise = wire(lows=noisy, highs=highs, bad=51, frames=50, received=400)
    assert names(noise) == ["noise"] and first(noise).level == "warning"


def test_damaged_messages_are_no_healthy_wire() -> None:
    lows, highs = traffic(9600)
    for frames, bad, received, expected in (
        (0, 4, 40, []),
        (0, 5, 40, ["damaged"]),
        (9, 9, 91, ["damaged"]),
        (9, 9, 90, []),
        (9, 8, 91, []),
    ):
        heard = wire(lows=lows, highs=highs, frames=frames, bad=bad, received=received)
        assert names(heard) == names(replace(heard, active=None)) == expected
        assert not expected or "(--yes)" in first(replace(heard, active=None)).remedy
        # What explains them is told instead.
        assert names(replace(heard, active=replace(GOOD, echoes=(echo(9600, 60),)))) == ["slow"]


def test_a_k_line_at_9600_baud_may_be_the_i_bus() -> None:
    for baud, is_said in ((9600, True), (10_400, False)):
        lows, highs = traffic(baud)
        said = first(wire(mode=records.MODE_OBD, lows=lows, highs=highs))
        assert said.name == "other_tester" and ("the I-Bus" in said.text) is ("pin 7" in said.remedy) is is_said


def test_a_disturbed_k_line_is_no_tester() -> None:
    noisy = wire(mode=records.MODE_OBD, lows=(9, 30, 150), highs=())
    assert names(noisy) == ["noise"] and first(noisy).level == "warning"
    few = wire(mode=records.MODE_OBD, lows=(90, 150), highs=())
    assert names(few) == ["other_tester"] and "disturbed" in first(few).text
    lows, highs = traffic(38_400)  # bits shorter than 0.4 of ours, and yet somebody's
    assert names(wire(mode=records.MODE_OBD, baud=10_400, lows=lows, highs=highs)) == ["other_tester"]
    assert "disturbed" not in first(wire(mode=records.MODE_OBD, lows=lows, highs=highs)).text
    assert names(wire(mode=records.MODE_OBD, lows=(9,))) == names(wire(mode=records.MODE_OBD)) == []


def test_a_rate_that_nobody_has_is_noise_where_pulses_are_too_short() -> None:
    lows, highs = traffic(7_300)
    noisy = highs + (9,) * (len(highs) // 2)
    assert rates.bit_of(lows, noisy) is not None
    assert names(wire(lows=lows, highs=highs, bad=9)) == ["wrong_rate"]
    assert names(wire(lows=lows, highs=noisy, bad=9)) == ["noise"]


def test_the_rate_is_right_where_most_messages_are() -> None:
    lows, highs = traffic(10_400)
    for frames, received, expected in ((10, 100, []), (10, 101, ["wrong_rate"]), (0, 0, ["wrong_rate"])):
        assert names(wire(lows=lows, highs=highs, frames=frames, received=received)) == expected


def test_listening_only_says_so() -> None:
    found = judge_wire(wire(active=None, skipped="not agreed to"))
    assert found[-1].name == "active_skipped" and "not agreed to" in found[-1].text and not found[-1].wrong


@given(
    st.sampled_from([1200, 2400, 4800, 9600, 10_400, 19_200]),
    st.integers(-20, 30),
    st.lists(st.integers(-2, 2), min_size=16, max_size=16),
)
def test_the_bit_is_found_whatever_the_stage_adds(baud: int, d: int, errors: list[int]) -> None:
    """Widths off by up to 2 us, and a stage that makes lows longer or shorter: the bit within 1.5 %."""
    lows, highs = traffic(baud, d)
    lows = tuple(width + errors[i % 16] for i, width in enumerate(lows))
    bit = rates.bit_of(lows, highs)
    assert bit is not None and abs(bit * baud / 1e6 - 1) < 0.015


def test_too_little_for_a_rate() -> None:
    assert rates.bit_of((104,) * 7, (104,) * 20) is None
    assert rates.bit_of((104,) * 8, (104,) * 8) == 104
    assert rates.bit_of((50, 160, 333, 71, 90, 410, 222, 610, 130, 260), (40, 500, 90, 333, 70, 260, 55, 800)) is None


BOTH = probe.SEEN_RECESSIVE | probe.SEEN_DOMINANT


@pytest.mark.parametrize(
    ("seen", "widths", "looks"),
    [
        (probe.SEEN_RECESSIVE, 0, 4),
        (probe.SEEN_DOMINANT, 0, 4),
        (BOTH, 20, 3),  # there are enough
        (BOTH, 2, 4),  # few, but enough for a rate
        (BOTH, 1, 8),  # so seldom: until there are eight
        (BOTH, 0, 16),  # a glitch now and then
    ],
)
async def test_listening_goes_on_until_the_rate_is_known(seen: int, widths: int, looks: int) -> None:
    asked = []

    class Calls:
        async def ask(self, operation: int, arguments: bytes) -> bytes:
            asked.append(arguments)
            return bytes((1, seen)) + probe.pack_widths([104] * widths)

    got, what = await watch(Calls(), 0.0)  # type: ignore[arg-type]
    assert asked == [bytes((True, probe.MAX_PIECES)), bytes((False, probe.MAX_PIECES))] * looks
    assert what == seen and got == {True: [104] * widths * looks, False: [104] * widths * looks}


def test_names_of_rates() -> None:
    assert rates.name_of(1e6 / 10_400) == "10400 baud" and rates.name_of(104.2) == "9600 baud"
    assert rates.name_of(1e6 / 7300) == "about 7300 baud"


@given(
    st.builds(Pulls, st.booleans(), st.booleans(), st.booleans()),
    st.builds(Pulls, st.booleans(), st.booleans(), st.booleans()),
    st.booleans(),
    st.builds(Pulse, st.booleans(), st.booleans(), st.booleans(), st.integers(-2, 3000), st.integers(-2, 3000)),
    st.none() | st.builds(Pulse, st.booleans(), st.booleans(), st.booleans()),
    st.lists(st.integers(0, 2000), max_size=20),
    st.sampled_from([records.MODE_IBUS, records.MODE_OBD]),
)
def test_whatever_was_measured_gets_words(
    rx: Pulls, tx: Pulls, alone: bool, pulse: Pulse, swapped: Pulse | None, widths: list[int], mode: int
) -> None:
    facts = ActiveFacts(tx, alone, pulse, swapped, swapped, (Echo(9600, b"", tuple(widths)),))
    found = judge_wire(
        WireFacts(mode, 9600, 16, 17, True, False, rx, lows=tuple(widths), highs=tuple(widths), active=facts)
    )
    assert found and all(finding.text and finding.part == "wire" for finding in found)
