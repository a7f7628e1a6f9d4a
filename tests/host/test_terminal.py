"""What reaches a terminal: printable text only, lines that fit, colours where they are wanted, and one way there."""

from __future__ import annotations

import ast
import fcntl
import io
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from tests.sources import ROOT, files_of

from openkline.bus import BusFrame
from openkline.cli.common import pretty
from openkline.cli.markdown import plain
from openkline.log.json_lines import JsonLines
from openkline.log.messages import TimedLines
from openkline.log.moderated import BURST, PER_S, Moderated
from openkline.log.plain_lines import PlainLines
from openkline.printable import printable
from openkline.rich_console import PrintableConsole
from openkline.terminal import echo, wrapped

EVIL = "\x1b]0;title\x07\x1b[2J\r\x9b31m\u202e\x00"
HOST = Path("host/openkline")

# Who else may write to stdout, and why it holds nothing that others wrote.
OTHER_WAYS = {
    "terminal.py": "is the way",
    "rich_console.py": "is the way of rich's tables",
    "cli/log.py": "sys.stdout.buffer: frames, rendered from their bytes",
    "cli/common.py": "click.confirm: a question that printable() has passed",
    "cli/doctor.py": "click.confirm: a question that printable() has passed",
    "cli/flash.py": "click.prompt: `Number`",
    "cli/password.py": "click.prompt: a question without names",
    "cli/bridge.py": "click.prompt: `Which one`, and names of ports",
}
PRINTS = re.compile(
    r"(rich_)?click\.(secho|echo|prompt|confirm|echo_via_pager)|print|sys\.std(out|err)\..*write.*|Console"
)


def prints(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Call) and PRINTS.fullmatch(ast.unparse(node.func)):
            yield f"{path}:{node.lineno}: {ast.unparse(node.func)}"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout.buffer", "sys.__stdout__"):
            yield f"{path}:{node.lineno}: {ast.unparse(node)}"


def test_nothing_is_printed_around_the_filter() -> None:
    """A new print, or a console of rich's own, fails here: openkline.terminal has echo() and console()."""
    found = [one for path in files_of() if HOST in path.parents and path.suffix == ".py"
             if str(path.relative_to(HOST)) not in OTHER_WAYS for one in prints(path)]  # fmt: skip
    assert not found, "\n".join(found)


def test_the_exceptions_are_used() -> None:
    for name in OTHER_WAYS:
        assert (ROOT / HOST / name).is_file()
        if name not in ("terminal.py", "rich_console.py"):
            assert list(prints(HOST / name)), name


def test_no_formatter_of_messages_but_the_filtered_ones() -> None:
    for path in files_of():
        if HOST in path.parents and path.suffix == ".py" and path.name != "plain_lines.py":
            source = (ROOT / path).read_text("utf-8")
            assert not re.search(r"logging\.Formatter\(\"|logging\.basicConfig", source), path


def test_echo_writes_out_what_would_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    echo(f"board: {EVIL}\nnext")
    echo(EVIL, err=True)
    said = capsys.readouterr()
    assert said.out.split("\n") == [printable(f"board: {EVIL}"), "next", ""]
    assert all(text.replace("\n", "").isprintable() for text in said)


@pytest.mark.parametrize("formatter", [PlainLines(), PlainLines(for_terminal=True), TimedLines(), JsonLines()])
def test_messages_are_printable(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("openkline.board", logging.ERROR, "", 0, "board: %s", (EVIL + "\nwhy",), None)
    assert all(line.isprintable() for line in formatter.format(record).split("\n"))


def test_tables_are_printable() -> None:
    file = io.StringIO()
    console = PrintableConsole(file=file, force_terminal=True, width=60)
    table = Table("name")
    table.add_row(Text(EVIL))
    console.print(table)
    console.print(EVIL, markup=False)
    text = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())  # rich's own colours
    assert all(line.isprintable() for line in text.split("\n")) and "\\x1b" in text


def test_lines_are_broken_between_words() -> None:
    line = "  board    " + "word " * 30 + "end"
    lines = wrapped(line, 80)
    assert all(len(one) <= 80 for one in lines) and len(lines) == 3
    assert " ".join(" ".join(lines).split()) == " ".join(line.split())
    assert all(one.startswith(" " * 11 + "word") for one in lines[1:])
    assert wrapped(line, None) == [line]


@pytest.mark.parametrize("width", [1, 10, 20, 40, 80])
def test_a_word_without_end_stays_whole(width: int) -> None:
    for line in ("x" * 200, "    " + "y" * 200 + " z", "a " + "b" * 200 + " c d", " " * 300, "", "a  " * 100):
        lines = wrapped(line, width)
        assert "".join("".join(lines).split()) == "".join(line.split())


class Screen(io.StringIO):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.slave


def frame(size: int) -> BusFrame:
    return BusFrame(1e9, bytes([0x80, size - 2, 0xBF, 0x11, *range(size - 4)]))


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize("size", [5, 6, 7, 8, 12, 20, 64, 257])
def test_a_frame_fits_the_terminal_and_keeps_its_bytes(width: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    sent = frame(size)
    lines = pretty(Screen(width))(sent).decode().splitlines()
    assert width < 80 or all(len(line) <= width for line in lines), lines
    assert " ".join("\n".join(lines).split()).endswith(sent.data[-1:].hex().upper())
    shown = re.findall(r"\b[0-9A-F]{2}\b", "\n".join(lines))
    assert bytes.fromhex("".join(shown[-size:])) == sent.data
    assert all(line[:28].strip() == "" for line in lines[1:])


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_where_they_are_wanted(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in pretty(Screen(80))(frame(5)).decode()) == coloured
    assert b"\x1b[" not in pretty(io.StringIO())(frame(5))


def on_a_terminal(words: list[str], width: int = 80) -> str:
    screen = Screen(width)
    done = subprocess.Popen(
        [sys.executable, "-m", "openkline", *words], stdin=screen.slave, stdout=screen.slave, stderr=screen.slave,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "", "NO_COLOR": ""},
    )  # fmt: skip
    os.close(screen.slave)
    text = b""
    try:
        while data := os.read(screen.master, 65536):
            text += data
    except OSError:  # Linux: the last one has closed it
        pass
    done.wait(60)
    os.close(screen.master)
    return text.decode()


def test_a_fault_of_the_doctor_is_red_and_its_lines_fit() -> None:
    text = on_a_terminal(["doctor", "-d", "/dev/nosuch"])
    assert "\x1b[31mFAULT\x1b[0m" in text
    assert all(len(re.sub(r"\x1b\[\d+m", "", line)) <= 80 for line in text.splitlines())


class Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def test_what_repeats_itself_is_counted() -> None:
    now_s, target = 0.0, Messages()
    log = Moderated(target, lambda: now_s)

    def say(text: str, *values: object) -> None:
        log.emit(logging.LogRecord("openkline.board", logging.INFO, "", 0, text, values, None))

    for i in range(BURST + 312):
        say("board: %s", i)
    say("another")
    assert target.texts == [*(f"board: {i}" for i in range(BURST)), "another"]
    now_s += 1 / PER_S
    say("board: %s", "again")
    assert target.texts[-2:] == ["312 more messages like 'board: %s' left out", "board: again"]
    say("board: %s", "lost")
    log.close()
    assert target.texts[-1] == "1 more message like 'board: %s' left out"


def test_a_day_of_one_message_is_bounded_and_kinds_are_too() -> None:
    now_s, target = 0.0, Messages()
    log = Moderated(target, lambda: now_s)
    for i in range(86_400 * 2):
        now_s = i / 2
        log.emit(logging.LogRecord("openkline.board", logging.INFO, "", 0, "board: %s", ("x",), None))
    assert len(target.texts) <= 2 * (BURST + 86_400 * PER_S) + 2
    for i in range(5000):
        log.emit(logging.LogRecord("openkline.board", logging.INFO, "", 0, f"kind {i}", (), None))
    assert len(log._kinds) <= 1000


def test_too_many_open_files_has_no_traceback() -> None:
    try:
        raise OSError(24, "Too many open files")
    except OSError:
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "accept() failed\nsocket: x", (), sys.exc_info())
    assert PlainLines().format(record) == "accept() failed: too many open files. `ulimit -n` raises the limit"
    assert "exception" not in JsonLines().format(record)


def test_a_boards_page_is_text_without_marks() -> None:
    page = "# Board\n\nSome **bold** `code`\nand a [link](x.md).\n\n- one\n  more\n- two\n"
    page += "\n| a | b |\n|---|---|\n| `x` | y z |\n"
    drawing = "```\n +12 V ──[ `2k2` ]\n```\n"
    assert list(plain(page + drawing)) == [
        ("Board", True), ("", True), ("Some bold code and a link.", True), ("", True), ("- one more", True),
        ("- two", True), ("", True), ("  a  b", True), ("  x  y z", True), (" +12 V ──[ `2k2` ]", False), ("", True),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["ESP32_GENERIC", "ESP32_GENERIC_S3", "ESP32_GENERIC_C3"])
def test_what_boards_shows_fits_80_columns(name: str) -> None:
    text = on_a_terminal(["boards", name])
    assert all(len(line) <= 80 for line in text.splitlines()), text
    assert "**" not in text and "```" not in text and "|---" not in text
