"""`openkline obd ..` in this process, with a fake board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openkline.cli import main

from .fake_obd import ObdBoard, obd_port


def board_of_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    """The board that the commands find; what they keep goes to tmp_path."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    board = ObdBoard()
    monkeypatch.setattr("openkline.device.opening.port_for", lambda name, sim: obd_port(board))
    return board


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["obd", *words], input=stdin)


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]
