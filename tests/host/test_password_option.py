"""Where `flash` and `update` take the password from, and that nobody else gets to see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from openkline.cli import main
from openkline.cli.password import VARIABLE, password_option

SECRET = "5ec2e7aa"
COMMANDS = pytest.mark.parametrize("command", ["flash", "update"])


@click.command()
@password_option("A file.")
def takes(password: int | None) -> None:
    assert VARIABLE not in os.environ, "programs started from here would have it, too"
    click.echo("none" if password is None else f"{password:08x}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


@COMMANDS
@pytest.mark.parametrize("words", [["--password", SECRET], [f"--password={SECRET}"], ["--password"]], ids=len)
def test_the_old_form_is_wrong_usage(command: str, words: list[str]) -> None:
    done = CliRunner().invoke(main, [command, *words])
    assert done.exit_code == 2
    for way in ("--password-file", VARIABLE, "asks"):
        assert way in done.output
    assert SECRET not in done.output


@COMMANDS
def test_help_names_the_ways(command: str) -> None:
    text = CliRunner().invoke(main, [command, "-h"]).output
    assert "--password-file" in text and VARIABLE in text and "--password " not in text


def test_file_environment_standard_input(folder: Path) -> None:
    (folder / "secret").write_text("5E C2 E7 AA\r\n")
    runner = CliRunner(env={VARIABLE: "00000001"})
    assert runner.invoke(takes, ["--password-file", "secret"]).output == SECRET + "\n"
    assert runner.invoke(takes, ["--password-file", "-"], input=SECRET + "\n").output == SECRET + "\n"
    assert runner.invoke(takes, []).output == "00000001\n"
    assert CliRunner().invoke(takes, []).output == "none\n"


@COMMANDS
@pytest.mark.parametrize("source", ["file", "environment", "standard input"])
def test_what_is_no_password_is_wrong_usage(command: str, source: str, folder: Path) -> None:
    wrong = SECRET + "0"
    (folder / "secret").write_text(wrong)
    words = {"file": ["--password-file", "secret"], "standard input": ["--password-file", "-"]}.get(source, [])
    runner = CliRunner(env={VARIABLE: wrong} if source == "environment" else {})
    done = runner.invoke(main, [command, *words], input=wrong)
    assert done.exit_code == 2 and "8 hex digits" in done.output and SECRET not in done.output
    named = {"file": "secret", "environment": VARIABLE}.get(source, source)
    assert named in done.output


@COMMANDS
@pytest.mark.parametrize("path", ["missing", ".", "/dev/zero"])
def test_a_file_that_has_none(command: str, path: str) -> None:
    done = CliRunner().invoke(main, [command, "--password-file", path])
    assert done.exit_code == 2 and path in done.output


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
def test_ps_shows_no_password(folder: Path) -> None:
    """Neither of the command nor of the programs that it starts."""
    (folder / "secret").write_text(SECRET)
    show = (
        "import subprocess, sys, click\n"
        "from openkline.cli.password import password_option\n"
        "@click.command()\n"
        "@password_option('')\n"
        "def show(password):\n"
        "    print(open('/proc/self/cmdline').read())\n"
        "    look = \"print(open('/proc/self/cmdline').read(), open('/proc/self/environ').read())\"\n"
        "    subprocess.run([sys.executable, '-c', look], check=True)\n"
        f"    assert password == 0x{SECRET[:4]}_{SECRET[4:]}\n"
        "show()\n"
    ).replace(f"0x{SECRET[:4]}_{SECRET[4:]}", str(int(SECRET, 16)))
    (folder / "show.py").write_text(show)
    for words, environment in ((["--password-file", "secret"], {}), ([], {VARIABLE: SECRET})):
        done = subprocess.run(
            [sys.executable, "show.py", *words], env={**os.environ, **environment}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert "show.py" in done.stdout and SECRET not in done.stdout
