"""The board's errors on their way to a person: each text as `openkline obd` shows it, and in the document."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from kline.protocol import records, unpack
from openkline.cli import joining, main

from .fake_obd import ObdBoard, obd_port

ROOT = Path(__file__).parents[2]


def device_texts() -> ModuleType:
    """kline.device.obd_texts, which runs here too; read as a file, as the host never imports kline.device."""
    path = ROOT / "firmware" / "kline" / "device" / "obd_texts.py"
    spec = importlib.util.spec_from_file_location("device_obd_texts", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TEXTS: dict[int, str] = device_texts().TEXTS
# What a person can do, in one of these words.
TO_TRY = re.compile(r"\b(try|is the|does it|do|connect|unplug|wait|clear)\b", re.IGNORECASE)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    board = ObdBoard()
    monkeypatch.setattr(joining, "port_for", lambda name, sim: obd_port(board))
    return board


@pytest.mark.parametrize("code", TEXTS, ids=lambda code: records.OBD_ERRORS[code - 1])
def test_each_error_reaches_the_person(board: ObdBoard, code: int) -> None:
    name = records.OBD_ERRORS[code - 1]
    text = TEXTS[code].replace("%02X", "33").replace("%d", "7").replace("%s", "(what the board adds)")
    assert TO_TRY.search(TEXTS[code]) or name in ("not_allowed", "no_car"), "what to try: else the board adds it"

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation != records.OP_CLOSE:
            board.fail(call.ident, name, text)
        return call.operation != records.OP_CLOSE

    board.on_call = on_call
    result = CliRunner().invoke(main, ["obd", "dtc", "--init", "slow"])
    assert result.exit_code == 7 and result.stdout == ""
    assert " ".join(text.split()) in " ".join(result.stderr.split())


def test_the_document_quotes_them() -> None:
    document = (ROOT / "docs" / "obd.md").read_text("utf-8")
    table = document[document.index("| what it says |") :].split("\n\n")[0]
    said = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
    known = " ".join(TEXTS.values())
    for quote in said:
        assert quote in known, f"{quote!r} is said by no error"
    for code, text in TEXTS.items():
        if records.OBD_ERRORS[code - 1] not in ("not_connected", "not_allowed", "no_car"):
            assert any(quote in text for quote in said), text
