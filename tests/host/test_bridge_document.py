"""docs/bridge.md says what the code does: every setting, the examples, the log's lines, the numbers."""

from __future__ import annotations

import io
import re
import shlex
from inspect import signature
from pathlib import Path

import pytest
from tests.host import settings_table

from openkline.bridge import events
from openkline.bridge.config import parse
from openkline.bridge.events import _KILL_AFTER_S, EventRunner, parse_events
from openkline.cli.bridge import bridge
from openkline.cli.bridge_options import TABLES
from openkline.cli.log import log
from openkline.log import files
from openkline.log.formats import GatewayFormat, LogProblem
from openkline.log.reader import read_frames

TEXT = settings_table.DOCUMENT.read_text("utf-8")


def part(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(heading: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", part(heading), re.DOTALL | re.MULTILINE)


def test_the_tables_of_settings_are_the_declarations() -> None:
    assert settings_table.with_tables(TEXT) == TEXT, "renew: python -m tests.host.settings_table"
    for title in TABLES:
        assert settings_table.table(title) in part("Settings")


def test_the_settings_of_the_example_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)
    (example,) = blocks("Settings")
    config = parse(example, TABLES)
    assert config.table("")["level"] == 4
    assert config.table("gateway")["rate_per_s"] == 50


def test_every_option_that_is_named_is_one() -> None:
    known = {word for parameter in (*bridge.params, *log.params) for word in parameter.opts}
    for word in re.findall(r"`(--?[a-z][a-z0-9-]*)", TEXT):
        assert word in known, word


def test_the_lines_of_the_log_are_the_formats() -> None:
    lines = blocks("Log")[0].encode()
    problems: list[LogProblem] = []
    frames = list(read_frames(io.BytesIO(lines), problems.append))
    assert problems == []
    assert [frame.own for frame in frames] == [False, True]
    assert b"".join(map(GatewayFormat(direction=True).write, frames)) == lines


@pytest.mark.parametrize("line", [line for line in blocks("Log")[1].splitlines() if line])
def test_the_commands_are_some(line: str) -> None:
    words = shlex.split(line.partition("| ")[2] or line.partition(" >")[0])
    assert words[:2] == ["openkline", "log"]
    arguments = ["-" if "." in word else word for word in words[2:]]
    log.make_context("log", arguments, help_option_names=["-h", "--help"])  # as the group does: click keeps them


def test_the_events_of_the_example_are_some() -> None:
    (example,) = blocks("Events")
    rules = parse_events(example)
    assert [rule.line for rule in rules] == [2, 3]
    assert all(line.strip() in (events.__doc__ or "") for line in example.splitlines()[1:]), "as the module's own"
    assert rules[0].matches(bytes.fromhex("F0 04 3B 49 81 07"))


def test_numbers() -> None:
    runner = {name: parameter.default for name, parameter in signature(EventRunner).parameters.items()}
    assert (runner["timeout_s"], runner["parallel"], runner["waiting"], _KILL_AFTER_S) == (10, 4, 64, 2)
    assert "seconds (10)" in TEXT
    assert "Four run at a time, 64 more wait" in TEXT
    assert "2 s later SIGKILL" in TEXT
    assert f"lines beyond {files._QUEUE} waiting" in TEXT
    assert f"again every {files._RETRY_S:g} s" in TEXT
    assert next(parameter.default for parameter in bridge.params if parameter.name == "keep") == 5
