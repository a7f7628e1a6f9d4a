"""docs/update.md says what the code does, and its commands and its program work."""

from __future__ import annotations

import asyncio
import io
import re
import shlex
import sys
from pathlib import Path

import pytest
import rich_click as click

from kline.protocol.update.codes import MAX_BUNDLE
from openkline.cli import main
from openkline.cli.bundle import bundle as bundle_command
from openkline.cli.update import update as update_command
from openkline.update import bundle, errors, updater

from .updating import updating

TEXT = (Path(__file__).parents[2] / "docs" / "update.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^openkline (.+?)(?:   .*)?$", TEXT, re.MULTILINE)


def test_its_codes_are_those_of_the_gateway() -> None:
    codes = {int(code, 16) for code in re.findall(r"^\| 8, `([0-9A-F]{4})`", TEXT, re.MULTILINE)}
    assert codes and codes <= set(errors.MEANINGS)


def test_its_numbers() -> None:
    assert f"at most {MAX_BUNDLE:,} bytes" in TEXT
    assert f"in pieces of\n   {updater._PIECE} bytes" in TEXT
    assert f"({1 << bundle._WINDOWS[0]} bytes to {(1 << bundle._WINDOWS[-1]) >> 10} KiB)" in TEXT
    assert errors.UpdateError.exit_code == 8


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_have_these_options(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("1122aabb\n"))
    for name in ("openkline-0.2.0.okb", "mine.okb"):
        Path(name).touch()
    name, *words = shlex.split(line)
    command = main.get_command(click.Context(main), name)
    assert command in (bundle_command, update_command)
    command.make_context(name, words)


async def test_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    made = bundle.pack({"kline/a.mpy": b"M\x06"}, (0, 2, 0))
    monkeypatch.chdir(tmp_path)
    Path("openkline-0.2.0.okb").write_bytes(made.raw)
    async with updating() as setup:
        assert "4287" in code and "0x1122AABB" in code
        code = code.replace("4287", str(setup.gateway.port)).replace("0x1122AABB", "0x11223344")
        await asyncio.to_thread(exec, code, {"__name__": "__main__"})
        assert setup.updates.installed == made.raw and setup.updates.version == (0, 2)
