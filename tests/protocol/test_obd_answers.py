"""Answers: several ECUs, several frames, refusals, and what belongs to which request."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import answers, dtc, kwp, multi, nrc, pids, questions, requests, words
from kline.protocol.obd.keybytes import KeyBytes
from kline.protocol.obd.timing import NO_LIMIT, Timing

from .kline_vectors import read

VECTORS = read(str(Path(__file__).parents[1] / "vectors"))
VIN = "WBAET37453NJ12345"


def frame(ecu: int, text: str) -> kwp.Frame:
    return kwp.Frame(kwp.PHYSICAL, 0xF1, ecu, bytes.fromhex(text))


def numbered(data: bytes, info: int = 2) -> list[bytes]:
    return [bytes((info, i // 4 + 1)) + data[i : i + 4] for i in range(0, len(data), 4)]


@pytest.mark.parametrize("row", [row for row in VECTORS if row[0] == "ask"], ids=lambda row: row[3])
def test_exchanges_of_real_cars(row: tuple[str, bytes, list[bytes], str]) -> None:
    _, request, replies, meaning = row
    parser = kwp.FrameParser(kwp.HEAR_ADDRESSED)
    parser.feed(b"".join(replies))
    assembly = requests.Assembly(request[3:-1])
    while (heard := parser.take()) is not None:
        assert assembly.add(heard) == requests.TAKEN
    best = assembly.best()
    assert best is not None and best.ecu == 0x10 and len(assembly.answers) == len(replies)
    if request[3] == requests.STORED:
        assert answers.codes(best) == [meaning]
    else:
        data = answers.payload(assembly.request, best)
        assert data is not None
        value = pids.decode(request[4], data)[0]
        assert f"{value.name} {value.value:g} {value.unit}" == meaning


def test_a_refusal_is_a_value_with_its_reason_and_never_zero() -> None:
    assembly = requests.Assembly(b"\x01\x0c")
    assert assembly.add(frame(0x18, "7F 01 12")) == requests.TAKEN
    answer = assembly.best()
    assert answer is not None and answer.nrc == nrc.SUB_FUNCTION_NOT_SUPPORTED and not answer.ok()
    assert answers.payload(assembly.request, answer) is None
    assert "12: PID or parameter not supported" in repr(answer)
    assert nrc.name(0x21) == "21: busy, ask again" and words.refusal(0x60) == "60: reserved code"
    assert words.refusal(0x21) == nrc.name(0x21) and words.refusal(0x71) == "71: transfer suspended"


def test_pending_waits_and_busy_repeats() -> None:
    assembly = requests.Assembly(b"\x09\x02")
    assert assembly.add(frame(0x10, "7F 09 78")) == requests.WAIT and assembly.pending()
    assert requests.listen_us(Timing(), True) == 5_000_000 and requests.listen_us(Timing(), False) == 50_000
    assert requests.listen_us(Timing(p3_max_us=NO_LIMIT), True) == 5_000_000
    assert assembly.add(frame(0x10, "7F 09 78")) == requests.WAIT
    assert assembly.add(frame(0x10, "49 02 01 00 00 00 31")) == requests.TAKEN and not assembly.pending()
    assembly = requests.Assembly(b"\x01\x0c")
    assert assembly.add(frame(0x10, "7F 01 21")) == requests.REPEAT and assembly.busy()
    assembly.restart()
    assert assembly.add(frame(0x10, "41 0C 00 00")) == requests.TAKEN and not assembly.busy()


def test_a_refusal_may_be_that_of_the_request_before() -> None:
    def heard(request: bytes, *frames: kwp.Frame) -> requests.Assembly:
        assembly = requests.Assembly(request)
        for one in frames:
            assembly.add(one)
        return assembly

    refused = frame(0x10, "7F 01 12")
    silent, answered = heard(b"\x01\x0c"), heard(b"\x01\x0c", frame(0x10, "41 0C 00 00"))
    assert heard(b"\x01\x0d", refused).late(silent), "nobody had answered"
    assert heard(b"\x01\x0d", refused).late(heard(b"\x01\x0c", frame(0x18, "7F 01 12"))), "only another had"
    assert not heard(b"\x01\x0d", refused).late(answered) and not heard(b"\x01\x0d").late(silent)
    assert not heard(b"\x01\x0d", refused).late(heard(b"\x03")), "that would be 7F 03"
    assert not heard(b"\x01\x0d", refused, frame(0x10, "41 0D 39")).late(silent), "its own has come"
    assert not heard(b"", refused).late(heard(b"")), "never raises"


def test_where_everybodys_answer_counts_a_damaged_one_is_missed() -> None:
    for request, answer, enough in (
        (b"\x01\x0c", "41 0C 00 00", True), (b"\x01\x00", "41 00 00 00 00 00", False),
        (b"\x01\x01", "41 01 00 00 00 00", False), (b"\x01\x20", "41 20 00 00 00 00", False),
        (b"\x03", "43 00 00 00 00 00 00", False), (b"\x04", "44", False), (b"\x09\x02", "49 02 01 00 00 00 31", False),
    ):  # fmt: skip
        assembly = requests.Assembly(request)
        assembly.broken = True
        assert not assembly.enough(), "nobody has answered"
        assembly.add(frame(0x18, answer))
        assert assembly.enough() is enough, request
        assembly.restart()
        assembly.add(frame(0x18, answer))
        assert assembly.enough() and not assembly.broken


def test_which_ecus_said_nothing_of_their_codes() -> None:
    assembly = requests.Assembly(b"\x03")
    assembly.add(frame(0x18, "43 00 00 00 00 00 00"))
    for ecu, code in ((0x28, "11"), (0x29, "12"), (0x2A, "22"), (0x2B, "21"), (0x2C, "78")):
        assembly.add(frame(ecu, "7F 03 " + code))
    known = (0x10, 0x11, 0x18, 0x28, 0x29, 0x2A, 0x2B, 0x2C)
    assert questions.without_a_word(known, {0x11: 0}, assembly) == [0x10, 0x2A, 0x2B, 0x2C]
    assembly.add(kwp.Frame(kwp.NO_ADDRESS, -1, -1, b"\x43\0\0\0\0\0\0"))
    assert questions.without_a_word([0xFF, -1], (), assembly) == []


def test_only_answers_to_this_request_count() -> None:
    assembly = requests.Assembly(b"\x01\x0c")
    for other in ("41 0D 00", "42 0C 00 00", "7F 02 12", "7F 01", "41", "01 0C"):
        assembly.restart()
        assert assembly.add(frame(0x10, other)) == requests.FOREIGN and assembly.broken, other
    assert assembly.add(kwp.Frame(2, 0xF1, 0x10, b"")) == requests.FOREIGN
    assert assembly.best() is None and assembly.broken
    freeze = requests.Assembly(questions.freeze_request(0x0C))
    assert freeze.add(frame(0x10, "42 0C 01 00 00")) == requests.FOREIGN, "another freeze frame"
    assert freeze.add(frame(0x10, "42 0C 00 0D 20")) == requests.TAKEN
    assert answers.payload(freeze.request, freeze.answers[0]) == b"\x0d\x20"


def test_answers_are_grouped_by_ecu() -> None:
    assembly = requests.Assembly(b"\x03")
    for ecu, text in ((0x10, "43 01 33 03 01 04 20"), (0x18, "43 07 00 00 00 00 00"), (0x10, "43 C1 00 00 00 00 00")):
        assembly.add(frame(ecu, text))
    assert [answer.ecu for answer in assembly.answers] == [0x10, 0x18]
    assert answers.codes(assembly.answers[0]) == ["P0133", "P0301", "P0420", "U0100"]
    assert answers.codes(assembly.answers[1]) == ["P0700"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (0, 0, 1, 2, 3, 4)])
def test_a_vin_of_five_frames_in_any_order(order: tuple[int, ...]) -> None:
    frames = numbered(b"\0\0\0" + VIN.encode())
    assembly = requests.Assembly(b"\x09\x02")
    for i in order:
        assembly.add(kwp.Frame(2, 0xF1, 0x10, b"\x49" + frames[i]))
    data = answers.payload(assembly.request, assembly.answers[0])
    assert data is not None and answers.vin(data) == VIN


def test_an_incomplete_vin_is_none() -> None:
    frames = numbered(b"\0\0\0" + VIN.encode())
    for missing in range(5):
        some = [part for i, part in enumerate(frames) if i != missing]
        answer = requests.Answer(0x10)
        answer.frames = some
        assert answers.payload(b"\x09\x02", answer) is None
    assert answers.join_numbered([*frames, b"\x02\x01WXYZ"]) is None, "two different frames with one number"
    assert answers.vin(b"short") == ""


@given(st.binary(min_size=4, max_size=64).filter(lambda data: len(data) % 4 == 0), st.randoms())
def test_numbered_frames_round_trip(data: bytes, random: "st.Random") -> None:  # type: ignore[name-defined]
    frames = numbered(data)
    random.shuffle(frames)
    assert answers.join_numbered(frames, len(data) // 4) == data


def test_calibration_ids_and_numbers() -> None:
    ids = b"ABC-123\0\0\0\0\0\0\0\0\0" + b"XYZ 9\0\0\0\0\0\0\0\0\0\0\0"
    joined = answers.join_numbered(numbered(ids, 4))
    assert joined is not None and answers.calibration_ids(joined) == ["ABC-123", "XYZ 9"]
    assert answers.calibration_numbers(bytes.fromhex("17 91 BC 82 16 E0")) == ["1791BC82"]


@given(st.sets(st.integers(0, 255)))
def test_pid_sets(wanted: set[int]) -> None:
    found = requests.PidSet()
    for base in range(0, 256, 32):
        bitmap = bytearray(4)
        for pid in wanted:
            if base < pid <= base + 32:
                bitmap[(pid - base - 1) // 8] |= 0x80 >> (pid - base - 1) % 8
        assert found.add_bitmap(base, bitmap)
    bases = set(range(0, 256, 32))
    assert set(found.pids()) == wanted | bases
    assert requests.PidSet(found.bits()).pids() == found.pids()
    assert -1 not in found and 256 not in found
    assert not found.add_bitmap(0, b"\xff\xff\xff") and not found.add_bitmap(7, bytes(4))


def test_the_bitmap_of_the_standards_example() -> None:
    found = requests.PidSet()
    found.add_bitmap(0, bytes.fromhex("BE 1F A8 13"))
    assert found.pids() == [0, 1, 3, 4, 5, 6, 7, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x13, 0x15, 0x1C, 0x1F, 0x20]


def test_several_pids_in_one_request() -> None:
    request = multi.request_of([0x0C, 0x0D, 0x05])
    assembly = requests.Assembly(request)
    assert assembly.add(frame(0x10, "41 0C 0D 20 0D 39 05 49")) == requests.TAKEN
    data = answers.payload(request, assembly.answers[0])
    assert data is not None
    wanted = [0x0C, 0x0D, 0x05, 0xEE]
    assert multi.split(data, wanted) == {0x0C: b"\x0d\x20", 0x0D: b"\x39", 0x05: b"\x49"}
    assert multi.split(data + data, wanted) == multi.split(data, wanted), "said twice"
    for wrong in (b"\x0c\x0d", b"\xee\x00", b"\x0d\x39\x0f\x40", b"\x0d\x39\x0d\x40"):
        assert multi.split(wrong, wanted) is None
    with pytest.raises(ValueError, match="7 PIDs"):
        multi.request_of([1] * 7)


def test_fuel_trims_of_one_byte_and_of_two() -> None:
    """Two where the car has banks 3 and 4."""
    wanted = [0x06, 0x0D, 0x07, 0x0C]
    one, two = bytes.fromhex("06 80 0D 39 07 7F 0C 0D 20"), bytes.fromhex("06 80 0D 0D 39 07 7F 81 0C 0D 20")
    rest = {0x0D: b"\x39", 0x0C: b"\x0d\x20"}
    assert multi.split(one, wanted) == {0x06: b"\x80", 0x07: b"\x7f"} | rest
    assert multi.split(two, wanted) == {0x06: b"\x80\x0d", 0x07: b"\x7f\x81"} | rest
    both_ways = bytes.fromhex("06 0D 0C 0D 0D")  # 06: 0D, 0C: 0D 0D; or 06: 0D 0C, 0D: 0D
    assert multi.split(both_ways, wanted) is None
    assert pids.decode(0x06, b"\x80\x0d")[0].value == 0


def test_keep_alive_differs() -> None:
    assert requests.keep_alive(KeyBytes(8, 8)) == b"\x01\x00"
    assert requests.keep_alive(KeyBytes(0xEF, 0x8F)) == b"\x3e"


@given(st.binary(max_size=8), st.lists(st.tuples(st.integers(-1, 255), st.binary(max_size=12)), max_size=8))
def test_garbage_never_raises(request: bytes, heard: list[tuple[int, bytes]]) -> None:
    assembly = requests.Assembly(request)
    for ecu, data in heard:
        assert assembly.add(kwp.Frame(2, 0xF1, ecu, data)) in (
            requests.TAKEN,
            requests.WAIT,
            requests.REPEAT,
            requests.FOREIGN,
        )
    for answer in assembly.answers:
        data_or_none = answers.payload(request, answer)
        answers.codes(answer)
        if data_or_none is not None:
            (
                answers.vin(data_or_none),
                answers.calibration_ids(data_or_none),
                multi.split(data_or_none, list(request)),
            )


@given(st.integers(0, 0xFFFF))
def test_trouble_codes_round_trip(number: int) -> None:
    two = number.to_bytes(2, "big")
    code = dtc.decode(*two)
    assert dtc.encode(code) == dtc.encode(code.lower()) == two
    assert dtc.describe(code)


@pytest.mark.parametrize("wrong", ["", "P012", "X0123", "P4123", "P01G3", "P0133 3", "0133"])
def test_what_is_no_trouble_code(wrong: str) -> None:
    with pytest.raises(ValueError, match="no trouble code"):
        dtc.encode(wrong)


def test_words_of_trouble_codes() -> None:
    assert dtc.describe("P0133") == "powertrain: fuel and air metering"
    assert dtc.describe("P1234") == "powertrain: code of the manufacturer"
    assert dtc.describe("P2714") == "powertrain: transmission"
    assert dtc.describe("P3400") == "powertrain: cylinder deactivation" and not dtc.is_generic("P3200")
    assert dtc.describe("U0100") == "network" and dtc.describe("C1234").startswith("chassis")
