"""Live values: which ECU says what, why a value is missing, and how all of it looks."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from kline.protocol.link import records, unpack
from kline.protocol.obd import pids
from openkline.cli import obd_live
from openkline.cli.obd_common import shown
from openkline.cli.obd_show import Table
from openkline.obd.live import Cell

from .fake_obd import ObdBoard, obd_port
from .obd_commands import run

# The gearbox speaks first and has a speed of its own.
TWO = {
    "01 00": [(0x18, "41 00 00 08 00 00"), (0x10, "41 00 88 18 00 01")],
    "01 0D": [(0x18, "41 0D 3C"), (0x10, "41 0D 39")],
}


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    board = ObdBoard()
    board.car |= TWO
    board.ecus = [0x18, 0x10]
    monkeypatch.setattr("openkline.device.opening.port_for", lambda name, sim: obd_port(board))
    monkeypatch.setattr(obd_live, "_RETRY_S", 0.01)
    return board


def live(*words: str, count: int = 1) -> tuple[list[str], str]:
    result = run("live", "--profile", "none", "-n", str(count), *words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines(), result.stderr


def test_each_ecu_has_a_value_of_its_own(board: ObdBoard) -> None:
    found = [json.loads(line) for line in live("SPEED", "RPM", "--json", count=3)[0]]
    for one in found:
        del one["time"]
    assert found == [{"SPEED@10": 57, "SPEED@18": 60, "RPM": 840.0}] * 3
    assert live("--csv", "SPEED", "RPM")[0][0] == "time,unix time [s],SPEED@10 [km/h],SPEED@18 [km/h],RPM [rpm]"
    assert live("SPEED", "RPM")[0][0].endswith("  SPEED@10 57 km/h  SPEED@18 60 km/h  RPM 840 rpm")


def test_also_with_several_pids_in_one_request(board: ObdBoard) -> None:
    board.car["01 0C 0D"] = [(0x18, "41 0D 3C"), (0x10, "41 0C 0D 20 0D 39")]
    found = [json.loads(line) for line in live("RPM", "SPEED", "--json", count=4)[0]]
    assert [(one["RPM"], one["SPEED@10"], one["SPEED@18"]) for one in found] == [(840.0, 57, 60)] * 4
    assert [one for one in board.requests() if one != "01 0C 0D"] == ["01 00"], "which has what, once"


def test_an_ecu_that_is_silent_leaves_its_place_empty(board: ObdBoard) -> None:
    asked = 0

    def on_call(call: unpack.ObdCall) -> bool:
        nonlocal asked
        asked += call.operation == records.OP_REQUEST and call.arguments[2:] == b"\x01\x0d"
        if asked == 2:
            board.car["01 0D"] = board.car["01 0D"][:1]
        return False

    board.on_call = on_call
    table = live("--csv", "SPEED", count=2)[0]
    assert [row.split(",")[2:] for row in table[1:]] == [["57", "60"], ["", "60"]]
    assert live("SPEED")[0][0].endswith("SPEED@10 no answer  SPEED@18 60 km/h")


def test_an_ecu_that_was_not_there_at_the_start_is_named_once(board: ObdBoard) -> None:
    board.ecus = [0x10]
    out, err = live("SPEED", "--json", count=3)
    assert [json.loads(line)["SPEED"] for line in out] == [57] * 3
    assert err.count("ECU 18 has SPEED too, but did not say so at the start") == 1


def test_why_a_value_is_missing(board: ObdBoard) -> None:
    board.ecus = [0x10]
    board.car |= {"01 05": [(0x10, "7F 01 12")], "01 42": [(0x10, "41 42 37")]}

    def on_call(call: unpack.ObdCall) -> bool:
        damaged = call.operation == records.OP_REQUEST and call.arguments[2:] == b"\x01\x0c"
        if damaged:
            board.end_request(call.ident, flags=records.END_ALIVE | records.END_DAMAGED)
        return damaged

    board.on_call = on_call
    (line,), _ = live("05", "2F", "0C", "42", "--json")
    found = json.loads(line)
    assert [found[name] for name in ("COOLANT", "FUEL_LEVEL", "RPM", "VOLTAGE")] == [None] * 4
    assert found["missing"] == {
        "COOLANT": "refused (12: PID or parameter not supported, or wrong format)",
        "FUEL_LEVEL": "no answer",
        "RPM": "only a damaged answer",
        "VOLTAGE": "the answer is too short: 37",
    }
    (line,), _ = live("05", "2F")
    assert line.endswith("COOLANT refused (12: PID or parameter not supported, or wrong format)  FUEL_LEVEL no answer")


def test_a_car_that_stays_away_is_said_once(board: ObdBoard) -> None:
    asked = 0

    def on_call(call: unpack.ObdCall) -> bool:
        nonlocal asked
        asked += call.operation == records.OP_REQUEST
        if call.operation == records.OP_REQUEST and 2 <= asked < 8:
            board.fail(call.ident, "no_car" if asked % 2 else "too_soon", "the last try" if asked % 2 else "wait")
        return call.operation == records.OP_REQUEST and 2 <= asked < 8

    board.on_call = on_call
    _, err = live("RPM", count=2)
    assert err.count("is not there: wait") == 1 and err.count("is not there: the last try") == 1
    assert err.count("the car is back") == 1


@pytest.mark.parametrize(
    ("pid", "data", "said"),
    [
        (0x03, "02 00", ["closed loop: oxygen sensors control the mixture", "off"]),
        (0x01, "81 00 65 04", ["warning lamp on, 1 stored codes, catalyst: complete, evaporative system: not complete, "
                               "oxygen sensor: complete, oxygen sensor heater: complete"]),
        (0x1C, "06", ["EOBD"]),
        (0x51, "04", ["diesel"]),
        (0x00, "BE 1F A8 13", ["BE 1F A8 13"]),
        (0x02, "01 33", ["P0133"]),
        (0x0C, "FF FF", ["16384 rpm"]),
        (0x42, "37 14", ["14.1 V"]),
        (0x44, "00 01", ["0.0000"]),
        (0x31, "FF FF", ["65535 km"]),
        (0x06, "7F", ["-0.7812 %"]),
        (0x14, "5A FF", ["0.45 V", "not used"]),
    ],
)  # fmt: skip
def test_words(pid: int, data: str, said: list[str]) -> None:
    assert [shown(value) for value in pids.decode(pid, bytes.fromhex(data))] == said


def test_every_known_pid_has_words_for_any_answer() -> None:
    for pid in pids.known():
        for byte in (b"\0", b"\x01", b"\x80", b"\xff"):
            for value in pids.decode(pid, byte * pids.length(pid)):
                assert shown(value) and "e+" not in shown(value)


def test_csv_has_every_digit(board: ObdBoard) -> None:
    board.ecus = [0x10]
    board.car |= {"01 01": [(0x10, "41 01 81 07 65 04")], "01 0C": [(0x10, "41 0C FF FF")]}
    assert live("--csv", "01", "RPM")[0][1].split(",")[2:] == [str(0x81076504), "16383.75"]


def drawn(width: int, cells: list[Cell], rounds: int = 60, gone: bool = False) -> list[str]:
    """The lines of the table's last picture."""
    out = io.StringIO()
    with Table(Console(file=out, width=width, height=40, force_terminal=True, color_system=None)) as table:
        for n in range(rounds):
            cells = [Cell(one.ecu, pids.decode(0x0C, bytes((n, 0)))[0]) if not one.why else one for one in cells]
            table.show(1000 + n / 2, cells)
        if gone:
            table.gone()
    return out.getvalue().rpartition("\x1b[2K")[2].splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_fits_and_hides_no_value(width: int) -> None:
    rpm, fuel = pids.decode(0x0C, b"\x0d\x20")[0], pids.Value(pids.fields(0x2F)[0], None)
    picture = drawn(width, [Cell(0x10, rpm), Cell(0x18, rpm), Cell(None, fuel, "refused (12: not supported)")])
    assert all(len(line) <= width for line in picture)
    whole = " ".join(" ".join(picture).replace("│", " ").split())
    for words in ("3776 rpm", "ECU 10", "ECU 18", "refused (12:"):
        assert words in whole
    assert "…" not in whole
    assert ("2.0 rounds/s" in whole) and ("█" in whole) == ("highest" in whole) == (width >= 80)
    assert "█" not in whole or whole.count("3776 rpm") == 2


def test_the_table_shows_no_old_values() -> None:
    picture = drawn(80, [Cell(None, pids.decode(0x0C, b"\x0d\x20")[0])], gone=True)
    assert "the car is not there" in picture[0] and not any("rpm" in line for line in picture)
