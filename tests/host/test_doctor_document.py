"""docs/doctor.md has each finding, each place and each fault of the virtual board; and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from openkline.cli.doctor import EXIT_FINDINGS, FAULTS
from openkline.doctor import judge, judge_board, judge_traffic, judge_wire
from openkline.doctor.pictures import PLACES, interface_of, picture

from .test_doctor_wire import SILENCE, wire

DOC = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()


def names_in_code() -> set[str]:
    """First arguments of Finding and _fault, and what judge.py looks up instead."""
    found = {name for _, name, _, _ in judge_board._SIGNS}
    for module in (judge, judge_board, judge_traffic, judge_wire):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and name in ("Finding", "wire_fault"):
                found |= {str(one.value) for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)}
    return found | {"no_board", "several_boards", "port_missing", "port_busy"}


def names_in_document() -> set[str]:
    rows = re.findall(r"^\| ([a-z_, ]+?) \|", DOC[DOC.index("## Findings") : DOC.index("## Faults")], re.MULTILINE)
    return {name for row in rows for name in row.split(", ")} - {"finding"}


def test_findings() -> None:
    assert names_in_document() == names_in_code()


def test_places() -> None:
    assert set(re.findall(r"\b(?:rx|tx)_(?:pull|wire|stage)\b|\bsupply\b|\bbus\b", DOC)) >= set(PLACES)
    source = "".join(Path(str(module.__file__)).read_text() for module in (judge_traffic, judge_wire))
    used = [row.split() for row in re.findall(r'^ +"((?:(?:bus|supply|[rt]x_\w+) ?)+)",$', source, re.MULTILINE)]
    assert len(used) > 10
    assert {place for row in used for place in row} - set(PLACES) <= names_in_code()


def test_faults() -> None:
    table = DOC[DOC.index("## Faults") :]
    listed = {name for row in re.findall(r"^\| ([a-z0-9_, ]+?) \|", table, re.MULTILINE) for name in row.split(", ")}
    assert listed - {"name"} == set(FAULTS)
    assert f"| {EXIT_FINDINGS} |" in DOC


def test_pictures_of_each_interface() -> None:
    for changes, name, words in (
        ({}, "ibus-pc817", ("PC817", "220")),
        ({"mode": 1, "tx_invert": False}, "kline-transistor", ("BC337", "510")),
        ({"mode": 1}, "kline-pc817", ("PC817", "100 ohm")),
    ):
        facts = wire(rx_pin=21, tx_pin=22, **changes)
        assert interface_of(facts) == name
        for board in ("ESP32_GENERIC", "ESP32_GENERIC_S3", "SIM", "nothing"):
            text = "\n".join(picture(board, facts, ("bus",)))
            assert "RX (GPIO 21)" in text and "TX (GPIO 22)" in text and PLACES["bus"] in text, (board, name)
            assert all(word in text for word in words), (board, name)
    assert SILENCE.rx_pin == 16
