"""Each AT command of the chip's published summaries: it works here, is accepted, or is refused for a reason."""

from __future__ import annotations

import re

import pytest

from .elm_rig import VECTORS, Elm
from .test_elm_document import DOCUMENT

LINES = VECTORS.with_name("elm327_summary.txt").read_text("utf-8").splitlines()
ROWS = [[word.strip() for word in (line + " | ").split("|")][:4] for line in LINES if line[0].isdigit()]
HISTORY = [word for line in LINES if line.startswith("=") for word in line[1:].split()]
NOT_THERE = DOCUMENT.split("\nNot there:")[1].split("\n\n")[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_command(row: list[str]) -> None:
    _version, command, verdict, before = row
    elm = Elm()
    elm.say("ATE0")
    for prepared in before.split("/"):
        if prepared.strip():
            elm.car.protocol = int(found[0]) if (found := re.findall(r"SP (\d)", prepared)) else elm.car.protocol
            assert "?" not in elm.ask("AT" + prepared)
    elm.chip.receive(f"AT {command}\r".encode())
    if verdict == "does" and elm.chip.busy and command[:2] in ("MA", "MR", "MT"):
        return
    elm.car.serve(elm.chip)
    out = elm.take().decode()
    if verdict == "accepted":
        assert out == "OK\r\r>"
    elif verdict == "does":
        assert "?" not in out and out.strip("\r>")
    else:
        assert verdict.startswith("?: ")
        assert out == "?\r\r>"
        assert re.search(rf"`AT {command.split()[0]}\b", NOT_THERE), "and the document says why"


def test_it_is_all_of_them() -> None:
    """What the version history names is here; and no version is left out."""
    versions = {version for version, *_ in ROWS}
    assert versions == {"1.0", "1.1", "1.2", "1.3", "1.3a", "1.4", "1.4b", "2.0", "2.1", "2.2"}
    ours = ["".join(command.split()) for version, command, *_ in ROWS if version < "1.3"]
    assert len(HISTORY) > 60
    for name in HISTORY:
        assert any(command.startswith(name) for command in ours), name
