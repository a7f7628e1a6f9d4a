"""esptool and mpremote as flash runs them: their words explained; and what a person sees meanwhile."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from openkline.boards.catalogue import find_profile
from openkline.flash import tools
from openkline.flash.esp import BootLoader, Found
from openkline.flash.progress import Progress
from openkline.flash.trouble import FlashError, explain

# As esptool 5.6 and mpremote 1.29 say it; what can be provoked without a board is in tests/e2e/test_flash*.py.
SAID = {
    "Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n([Errno 13] could not open port /dev/ttyUSB0: "
    "[Errno 13] Permission denied: '/dev/ttyUSB0')": "no permission to open the port",
    "Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n([Errno 11] Could not exclusively lock port "
    "/dev/ttyUSB0: [Errno 11] Resource temporarily unavailable)": "in use",
    "mpremote: failed to access /dev/ttyUSB0 (it may be in use by another program)": "in use",
    "Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n([Errno 2] could not open port /dev/ttyUSB0: "
    "[Errno 2] No such file or directory: '/dev/ttyUSB0')": "there is no such port",
    "A fatal error occurred: Failed to connect to ESP32: Wrong boot mode detected (0x13)! The chip needs to be in "
    "download mode.": "does not enter its boot loader: hold the board's BOOT button",
    "A fatal error occurred: Failed to connect to Espressif device: No serial data received.": "boot loader: hold",
    "A fatal error occurred: MD5 of file does not match data in flash!": "not what the flash holds",
    "ValueError: invalid URL, protocol 'foo' not known": "Expected a serial port's path, or socket://host:port",
    "Brownout detector was triggered": "brown-out",
    "OSError: [Errno 28] ENOSPC": "file system is full",
    "OSError: [Errno 30] EROFS": "read-only or damaged",
    "A fatal error occurred: Packet content transfer stopped (received 8 bytes)": "connection was lost",
    "serial.serialutil.SerialException: device reports readiness to read but returned no data": "connection was lost",
    "mpremote.transport.TransportError: could not enter raw repl": "connection was lost",
    "A fatal error occurred: something new": "something new. Try another cable",
}


@pytest.mark.parametrize("text", list(SAID))
def test_what_the_programs_say_is_explained(text: str) -> None:
    error = explain("/dev/null", "writing MicroPython", text, 2)  # a port that is there
    assert SAID[text] in str(error)
    assert str(error).startswith("/dev/null: ") and "while writing MicroPython" in str(error)


def test_a_port_that_is_gone_is_not_called_busy(tmp_path: Path) -> None:
    """mpremote has the same words for both."""
    said = "mpremote: failed to access X (it may be in use by another program)"
    assert "there is no such port" in str(explain(str(tmp_path / "gone"), "copying", said, 1))
    refused = "Could not open socket://x:1, the port is busy or doesn't exist.\n(Could not open port socket://x:1)"
    assert "Is the serial server running there?" in str(explain("socket://x:1", "asking", refused, 1))
    (tmp_path / "there").touch()
    assert "in use. End that program" in str(explain(str(tmp_path / "there"), "copying", said, 1))


def test_what_fails_at_the_fast_baud_rate_is_tried_at_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = find_profile("ESP32_GENERIC")
    assert profile.chip is not None
    calls: list[str] = []

    def run(tool: str, words: list[str], timeout_s: float, on_line: object) -> tools.Finished:
        calls.append(words[words.index("--baud") + 1])
        fast = "Changing baud rate to 460800...\nA fatal error occurred: Packet content transfer stopped"
        return tools.Finished(2, fast) if calls[-1] == "460800" else tools.Finished(0, "Hash of data verified.")

    monkeypatch.setattr(tools, "run", run)
    loader = BootLoader("/dev/ttyUSB0")
    loader.erase(profile.chip)
    loader.write(profile.chip, Path("x.bin"), 0x1000, lambda *_: None)
    assert calls == ["460800", "115200", "115200"]
    assert BootLoader("rfc2217://host:1").baud == 115200


@pytest.mark.parametrize(("size", "flash_bytes"), [("4MB", 4 << 20), ("512KB", 512 << 10), ("Unknown", None)])
def test_what_esptool_says_of_the_chip(size: str, flash_bytes: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards it stays in its boot loader, or starts what it has."""
    after: list[str] = []

    def run(tool: str, words: list[str], timeout_s: float, on_line: object) -> tools.Finished:
        after.append(words[words.index("--after") + 1])
        said = "Detecting chip type... ESP32-S3\nMAC:                24:0A:c4:80:33:5f\nDetected flash size: "
        return tools.Finished(0, said + size)

    monkeypatch.setattr(tools, "run", run)
    for go_on in (False, True):
        assert BootLoader("/dev/x").detect(go_on) == Found("ESP32-S3", "240ac480335f", flash_bytes)
    assert after == ["no-reset", "hard-reset"]


def test_a_writing_that_esptool_does_not_call_verified_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = find_profile("ESP32_GENERIC")
    assert profile.chip is not None
    monkeypatch.setattr(tools, "run", lambda *_: tools.Finished(0, "Wrote 5 bytes"))
    with pytest.raises(FlashError, match="what was written is not what the flash holds"):
        BootLoader("/dev/null").write(profile.chip, Path("x.bin"), 0x1000, lambda *_: None)


def test_a_program_that_hangs_is_ended_and_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text("print('begun', flush=True)\nimport time\ntime.sleep(600)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tools, "python_program", lambda tool, *words: ([sys.executable, str(tmp_path / tool)], {}))
    lines: list[str] = []
    done = tools.run("hanging.py", [], 0.3, lines.append)
    assert done.status is None and lines == ["begun"]
    assert "fell silent" in str(explain("P", "waiting", "", done.status))


def test_progress_has_bars_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(2)
    with progress.step("write") as step:
        step.bar(0.5)
        step.say("a note")
        step.result = "written"
    with pytest.raises(ZeroDivisionError), progress.step("start"):
        raise ZeroDivisionError
    lines = ("      a note", "[1/2] write       written", "[2/2] start       stopped")
    assert capsys.readouterr().err.splitlines() == list(lines)


def terminal(columns: int) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=columns, force_terminal=True, color_system=None), stream


def test_progress_on_a_terminal() -> None:
    console, stream = terminal(80)
    with Progress(1, console).step("write") as step:
        step.wait("compiling")
        step.bar(0.5, "half")
    shown = [line.rstrip() for line in stream.getvalue().split("\x1b[2K")]
    assert shown[1] == "[1/1] write          .. compiling"
    assert shown[2] == f"[1/1] write        {'━' * 15:<30}  50% half"
    assert shown[-1] == "[1/1] write       done"


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_a_bar_never_needs_a_second_line(columns: int) -> None:
    """Its first would stay."""
    console, stream = terminal(columns)
    with Progress(12, console).step("self-test") as step:
        step.bar(1.0, "x" * 263)
        shown = stream.getvalue().removeprefix("\x1b[?25l").split("\r\x1b[2K")
    assert [len(line) for line in shown] == [columns, columns]
    assert columns < 40 or "100% x" in shown[1]


def test_what_is_said_stays_whole_on_a_narrow_terminal() -> None:
    console, stream = terminal(20)
    with Progress(1, console).step("chip") as step:
        step.say("a note [bold] :smile: " + "x" * 40)
        step.result = "y" * 40
    assert "      a note [bold]\n:smile:\n" + "x" * 40 + "\n" in stream.getvalue()
    assert stream.getvalue().endswith("[1/1] chip\n" + "y" * 40 + "\n")


def test_while_a_person_is_asked_no_step_is_on_the_terminal() -> None:
    console, stream = terminal(80)
    progress = Progress(1, console)
    with progress.step("interface"):
        with progress.paused():
            assert stream.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor, and an empty line
            stream.truncate(0)
            console.print("Which one?")
        assert stream.getvalue().lstrip("\0").startswith("Which one?\n\x1b[?25l\r\x1b[2K[1/1] interface")


def test_the_page_has_the_words_that_the_program_says() -> None:
    root = Path(__file__).resolve().parents[2]
    host = root / "host" / "openkline"
    sources = [
        *(host / "flash").glob("*.py"),
        host / "device" / "prompt.py",
        host / "programs.py",
        host / "boards" / "catalogue.py",
        host / "cli" / "flash.py",
    ]
    code = " ".join(" ".join(path.read_text() for path in sources).split()).replace('" f"', "").replace('" "', "")
    rows = (root / "docs" / "flash.md").read_text().split("| It says |")[1].splitlines()[2:]
    said = [row.split("|")[1].strip() for row in rows if row.startswith("|")]
    assert len(said) > 20
    assert [words for words in said if words not in code] == []
