"""What happens every day: closed descriptors, no numbers, names of nothing, files that never end."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.ports import free_port
from tests.sources import ROOT, files_of

from openkline.bridge.config import ConfigError, load, parse
from openkline.bridge.events import EventFileError, load_events
from openkline.cli import PANELS, main
from openkline.cli.bridge_options import TABLES
from openkline.documents import MAX_FILE, parse_json, parse_toml, read_text

# A line for each command that ends by itself, soon, and without a board.
LINES = {
    "bridge": ["--check-config"],
    "monitor": ["-p", "{port}"],
    "send": ["-p", "{port}", "68 18 01"],
    "commands": ["window"],
    "log": [str(ROOT / "README.md")],
    "status": ["-p", "{port}"],
    "obd": ["scan", "-d", "/dev/nosuch"],
    "elm327": ["-d", "/etc/passwd", "--listen", "{port}"],
    "ports": [],
    "boards": ["ESP32_GENERIC"],
    "flash": ["--dry-run", "-d", "/dev/nosuch"],
    "doctor": ["-d", "/dev/nosuch"],
    "update": ["-p", "{port}"],
    "bundle": ["--help"],
    "repl": [],
}


def run(words: list[str], redirections: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What it says on a descriptor that stays open."""
    words = [word.format(port=free_port()) for word in words]
    script = f'exec "$@" {redirections}'
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "openkline", *words],
        capture_output=True, text=True, timeout=60, check=False, cwd=folder,
        env=os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
    )  # fmt: skip


def test_every_command_has_its_line() -> None:
    assert set(LINES) == {name for commands in PANELS.values() for name in commands}


@pytest.mark.parametrize("name", LINES)
def test_a_command_without_descriptors_ends_as_with_them(name: str, tmp_path: Path) -> None:
    words = [name, *LINES[name]]
    usual = run(words, "", tmp_path)
    assert "Traceback" not in usual.stderr
    for closed in ("<&- >&-", "<&- 2>&-"):
        done = run(words, closed, tmp_path)
        assert "Traceback" not in done.stderr + done.stdout, closed
        assert done.returncode == usual.returncode, (closed, done)


@pytest.mark.parametrize("words", [["-h"], ["-v"], ["nosuch"]])
def test_the_front_door_without_descriptors(words: list[str], tmp_path: Path) -> None:
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = run(words, closed, tmp_path)
        assert done.returncode == (2 if words == ["nosuch"] else 0) and "Traceback" not in done.stderr + done.stdout


def options() -> Iterator[tuple[list[str], click.Option]]:
    """(the words of the command, one of its options) of all commands."""

    def walk(words: list[str], command: click.Command) -> Iterator[tuple[list[str], click.Option]]:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield words, parameter
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from walk([*words, name], inner)

    return walk([], main)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_what_is_no_number_is_wrong_usage_for_every_option(value: str) -> None:
    tried = 0
    for words, option in options():
        if isinstance(option.type, (click.types.FloatParamType, click.types.IntParamType)):
            tried += 1
            result = CliRunner().invoke(main, [*words, f"{option.opts[-1]}={value}"])
            assert result.exit_code == 2, (words, option.opts, result.output)
    assert tried > 20


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_none_in_the_settings_file(value: str) -> None:
    with pytest.raises(ConfigError, match=r"rotate_hours is .*must be"):
        parse(f"rotate_hours = {value}", TABLES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-d", "sim", "--car", "nosuch"], "--car nosuch"),
        (["-d", "sim", "--sim", "--fault nosuch"], "--fault nosuch"),
        (["-d", "/etc/passwd"], "no serial port"),
        (["-d", "/dev/null"], "no serial port"),
        (["-d", "/"], "no serial port"),
    ],
)
@pytest.mark.parametrize("command", ["bridge", "elm327"])
def test_what_can_never_be_a_board_ends_the_command(command: str, words: list[str], said: str, tmp_path: Path) -> None:
    own = ["-p", "{port}", "--status-port", "0"] if command == "bridge" else ["--listen", "{port}"]
    done = run([command, *words, *own], "", tmp_path)
    assert done.returncode == 3
    assert said in done.stderr.splitlines()[-1] and "trying again" not in done.stderr.splitlines()[-1]
    assert done.stderr.count(said) <= 3


@pytest.mark.parametrize("command", [["obd", "scan"], ["doctor"]])
def test_a_virtual_car_that_is_none_is_named(command: list[str], tmp_path: Path) -> None:
    done = run([*command, "-d", "sim", "--car", "nosuch"], "", tmp_path)
    assert done.returncode == 3 and "--car nosuch" in done.stderr.splitlines()[-1]


DEEP = {"json": "[" * 100_000, "toml": "a = " + "[" * 100_000}


def test_what_is_nested_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP["json"])
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml(DEEP["toml"])
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse(DEEP["toml"], TABLES)


def test_a_file_without_an_end_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="longer than 1 MiB"):
        load_events(Path("/dev/zero"))
    with pytest.raises(ConfigError, match="longer"):
        load(TABLES, Path("/dev/zero"))
    file = tmp_path / "whole"
    file.write_bytes(b" " * MAX_FILE)
    assert len(read_text(file)) == MAX_FILE


def test_json_and_toml_are_read_in_one_place_only() -> None:
    for path in files_of():
        if path.parts[:2] == ("host", "openkline") and path.suffix == ".py" and path.name != "documents.py":
            for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                assert called not in ("json.loads", "json.load", "tomllib.loads", "tomllib.load"), (path, called)
