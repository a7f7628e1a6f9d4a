"""The command line without a board: help, exit statuses, logs, ports."""

from __future__ import annotations

import array
import fcntl
import importlib
import io
import json
import logging
import pkgutil
import re
import subprocess
import sys
import termios
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import rich_click as click
import serialx
from click.testing import CliRunner, Result

from openkline import cli
from openkline.cli import PANELS, main
from openkline.cli.common import set_up_logging, tell_error
from openkline.log.reader import read_frames

LINES = (
    b"2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F \n"
    b"2010-Jul-20 10:07:01.116929: C0 03 68 01 AA \n"
    b"2010-Jul-20 10:07:01.140001: 68 04 BF 02 00 D1 \n"
)


def run(*words: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, list(words), input=stdin)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "ibus.log"
    path.write_bytes(LINES)
    return path


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """`bridge`, .., `obd`, `obd live`, .."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield before + name, command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")


COMMANDS = dict(commands(main))


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_explains_itself_with_an_example(words: str, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # click keeps the option of a command's first call, which was another one where a test called it without its group.
    monkeypatch.setattr(COMMANDS[words], "_help_option", None)
    result = run(*words.split(), flag)
    assert result.exit_code == 0
    assert re.search(rf"Examples?: openkline {words}\b", " ".join(result.output.split()))


def test_every_command_is_in_one_panel_of_the_help() -> None:
    in_panels = [name for names in PANELS.values() for name in names]
    assert sorted(in_panels) == sorted({str(command.name) for command in command_modules()})
    text = run("-h").output
    assert all(f"─ {title} ─" in text for title in PANELS)
    assert "─ Commands ─" not in text, "the panel of those that are in none"


def test_a_context_of_our_own_takes_no_option_from_the_next_test() -> None:
    """The fixture in tests/conftest.py: without it the next test fails."""
    main.get_params(click.Context(main))
    assert "No such option '-h'" in run("-h").output


def test_the_list_says_of_each_command_what_its_own_help_begins_with() -> None:
    begins = {str(command.name): (command.help or "").split("\n\n")[0] for command in command_modules()}
    assert {name: text for names in PANELS.values() for name, text in names.items()} == begins
    shown = re.sub(r"[│\s]+", " ", run("-h").output)  # where a line is wrapped is not its matter
    assert [name for name, text in begins.items() if f"{name} {text}" not in shown] == [], shown


def command_modules() -> Iterator[click.Command]:
    """The commands of the modules in openkline.cli: a new one is found by itself."""
    for module in pkgutil.iter_modules(cli.__path__):
        command = getattr(importlib.import_module(f"openkline.cli.{module.name}"), module.name, None)
        if isinstance(command, click.Command):
            yield command


@pytest.mark.parametrize("words", COMMANDS)
def test_helps_are_sentences(words: str) -> None:
    command = COMMANDS[words]
    assert " " in words or len(command.get_short_help_str(1000)) <= 68, "one line of `openkline -h` at 80 columns"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert re.match(r"(?!Of |If )[A-Z\d]|sim: ", parameter.help), parameter.help


def test_help_tells_the_exit_statuses() -> None:
    assert "3 no port or no board" in " ".join(run("-h").output.split())


def test_messages_as_json_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    logging.captureWarnings(False)
    set_up_logging(0, as_json=True)
    logging.getLogger("openkline.some").info("two\nlines %d", 2)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("asyncio").exception("failed")
    tell_error("no board")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    logging.getLogger("serialx").info("nobody wants to know")
    logging.captureWarnings(False)
    first, second, third, fourth = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first == {"time": first["time"], "level": "info", "logger": "openkline.some", "message": "two\nlines 2"}
    assert second["level"] == "error"
    assert second["exception"].endswith("ValueError: why")
    assert third["message"] == "openkline: no board"
    assert fourth["logger"] == "py.warnings"
    assert "old" in fourth["message"]


def test_version() -> None:
    assert run("-v").output.startswith("openkline")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("bridge", "--level", "9"),
        ("bridge", "-d", "/dev/ttyUSB0", "--replay", __file__),
        ("bridge", "-d", "sim", "-i", "0.0.0.0"),
        ("bridge", "-d", "sim", "--sim", '--noise "2'),
        ("elm327", "-d", "sim", "--sim", '--noise "2'),
        ("send", "68"),
        ("send", "68 18 xx"),
        ("send", "--name", "no such thing"),
        ("log", "/no/such/file"),
        ("log", "--source", "1FF", __file__),
    ],
)
def test_wrong_usage_is_2(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("68 03 18 01 72", 'frame. Length and checksum are added here: openkline send "68 18 01"'),
        ("680318 0172", 'openkline send "68 18 01"'),
        ("68 03 18 01 73", "whole frame, but the checksum is 73, should be 72. Length and checksum"),
        ("80 08 BF 1D 05 01 02 03 04 2B", 'openkline send "80 BF 1D 05 01 02 03 04"'),  # 08 is a module's address, too
    ],
)
def test_a_whole_frame_is_told_from_a_message(frame: str, says: str) -> None:
    result = run("send", "-d", "/dev/ttyNOSUCH", frame)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "message", ["68 18 01", "68 02 18 72", "68 04 18 01 72", "68 02 18 72 00", "80 08 BF 1D 05 01 02 03 04 2C"]
)
def test_what_may_be_a_message_is_one(message: str) -> None:
    assert run("send", "-d", "/dev/ttyNOSUCH", message).exit_code == 3  # so it would have been sent


@pytest.mark.parametrize(
    ("more", "answer", "status"),
    [((), "", 1), ((), "n\n", 1), ((), "y\n", 3), (("--yes",), "", 3)],  # 3: it would have been sent
)
def test_what_locks_something_is_sent_with_a_yes_only(more: tuple[str, ...], answer: str, status: int) -> None:
    result = run("send", "-d", "/dev/ttyNOSUCH", "--name", "doors_lock_key", *more, stdin=answer.encode())
    assert result.exit_code == status
    assert ("Lock the doors (the label adds key, unexplained) (3F 05 00 0C 34 01 03)" in result.stderr) == (not more)
    assert ("Nothing was sent. Without a terminal, use --yes" in result.stderr) == (status == 1)


def test_a_port_that_is_missing_is_3() -> None:
    result = run("send", "-d", "/dev/ttyNOSUCH", "68 18 01")
    assert result.exit_code == 3
    assert "no such port" in result.stderr


def test_ports_as_lines_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    board = serialx.SerialPortInfo(
        "/dev/ttyUSB0", "/dev/ttyUSB0", 0x10C4, 0xEA60, "77", "SiLabs", "CP2102", None, None, None
    )
    plain = serialx.SerialPortInfo("/dev/ttyS0", "/dev/ttyS0", None, None, None, None, None, None, None, None)
    monkeypatch.setattr(serialx, "list_serial_ports", lambda: [plain, board])
    assert run("ports").stdout.splitlines() == ["* /dev/ttyUSB0          10C4:EA60  CP210x bridge  77", "  /dev/ttyS0"]
    objects = [json.loads(line) for line in run("ports", "--json").stdout.splitlines()]
    assert [(item["device"], item["is_candidate"]) for item in objects] == [
        ("/dev/ttyUSB0", True),
        ("/dev/ttyS0", False),
    ]


def test_ports_without_a_board_say_what_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = serialx.SerialPortInfo("/dev/ttyS0", "/dev/ttyS0", None, None, None, None, None, None, None, None)
    for found, says in (([plain], "no port has the USB id"), ([], "no serial port found")):
        monkeypatch.setattr(serialx, "list_serial_ports", lambda found=found: found)
        result = run("ports")
        assert result.exit_code == 0
        assert says in result.stderr and "plugged in" in result.stderr


def test_log_converts_without_loss(capture: Path) -> None:
    as_json = run("log", str(capture), "--json").stdout_bytes
    assert next(json.loads(line)["frame"] for line in as_json.splitlines()) == "C0 04 68 32 11 8F"
    assert run("log", "-", "--to", "gateway", stdin=as_json).stdout_bytes == LINES
    assert run("log", str(capture), "--to", "raw").stdout_bytes == b"".join(
        frame.data for frame in read_frames(io.BytesIO(LINES), lambda problem: None)
    )


def test_log_recognises_stdin(capture: Path) -> None:
    assert run("log", "-", "--to", "gateway", stdin=LINES).stdout_bytes == LINES


def wait_until_read(pipe: IO[bytes]) -> None:
    waiting = array.array("i", [1])
    end_s = time.monotonic() + 20
    while waiting[0] and time.monotonic() < end_s:
        fcntl.ioctl(pipe.fileno(), termios.FIONREAD, waiting)
        time.sleep(0.001)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into a pipe")
@pytest.mark.parametrize("first", [b"", b"0: C0 04 68\n"], ids=["whole", "torn"])
def test_log_shows_a_frame_of_a_pipe_as_soon_as_its_line_is_whole(first: bytes) -> None:
    """As from `tail -f`: it comes in pieces, and the next line comes later, or never."""
    words = [sys.executable, "-m", "openkline", "log", "-", "--to", "gateway"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in LINES.splitlines(keepends=True):
            for piece in (first, line[:6], line[6:30], line[30:]):
                process.stdin.write(piece)
                process.stdin.flush()
                wait_until_read(process.stdin)
            first = b""
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(20) == 0


def test_log_shows_all_lines_that_came_at_once() -> None:
    """`tail -f` begins with ten; then perhaps nothing comes for hours."""
    words = [sys.executable, "-m", "openkline", "log", "-", "--to", "gateway"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LINES)
        process.stdin.flush()
        too_late = threading.Timer(20, process.kill)
        too_late.start()
        lines = [process.stdout.readline() for _ in LINES.splitlines()]
        too_late.cancel()
        process.stdin.close()
        assert b"".join(lines) == LINES and process.wait(20) == 0


def test_log_filters(capture: Path) -> None:
    assert run("log", str(capture), "--source", "68", "--to", "gateway").stdout_bytes == LINES.splitlines(True)[2]
    both = run("log", str(capture), "--destination", "68", "--message", "1", "--to", "gateway").stdout_bytes
    assert both == LINES.splitlines(True)[1]


def test_log_reads_for_people(capture: Path) -> None:
    first = run("log", str(capture)).stdout.splitlines()[0]
    assert "MID -> RAD" in first
    assert first.endswith("C0 04 68 32 11 8F")


def test_log_names_torn_lines_and_goes_on(capture: Path) -> None:
    capture.write_bytes(LINES + LINES[:40] + b"\n" + LINES)
    result = run("log", str(capture), "--stats", "--json")
    assert json.loads(result.stdout)["frames"] == 6
    assert json.loads(result.stdout)["unreadable"] == 1
    assert f"{capture}:4: " in result.stderr
