"""What flash decides before it touches a board, and the words for what speaks against it."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.e2e import esp_image

from openkline import ports
from openkline.boards import ProfileError, find_profile
from openkline.cli import flash as cli_flash
from openkline.cli import main
from openkline.errors import DeviceAmbiguous, DeviceBusy, DeviceForbidden, DeviceMissing
from openkline.flash import find, flasher, images, memory, plan, tools, trouble
from openkline.flash.esp import BootLoader, Found
from openkline.flash.files import BoardFiles, Seen, sha256
from openkline.flash.plan import Wishes
from openkline.flash.progress import Progress
from openkline.flash.trouble import FlashError, explain
from openkline.ports import PortInfo


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def nobody(question: str, lines: list[str]) -> None:
    return None


# -- the port ----------------------------------------------------------------------------------------------------------


def candidates(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """These are connected, each with the USB id of a CP210x."""
    found = [PortInfo(str(path), "CP210x bridge", "", "10C4:EA60", "") for path in paths]
    monkeypatch.setattr(ports, "list_ports", lambda: [*found, PortInfo("/dev/ttyS0", "", "", "", "")])


def test_one_board_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    candidates(monkeypatch, port)
    assert find.find_port(None, nobody) == (str(port), "CP210x bridge, USB id 10C4:EA60")
    assert find.find_port("auto", nobody) == (str(port), "CP210x bridge, USB id 10C4:EA60")


def test_several_boards_are_listed_with_chip_and_usb_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, gone = (tmp_path / name for name in ("ttyUSB0", "ttyUSB1", "ttyUSB2"))
    first.touch()
    second.touch()
    candidates(monkeypatch, first, second, gone)

    def detect(loader: BootLoader) -> Found:
        if loader.port == str(second):
            raise FlashError("silent")
        return Found("ESP32-C3", "240ac41f677d")

    monkeypatch.setattr(BootLoader, "detect", detect)
    listed = [
        f"{first}  10C4:EA60  CP210x bridge, chip ESP32-C3",
        f"{second}  10C4:EA60  CP210x bridge, chip unknown (no answer from its boot loader)",
        f"{gone}  10C4:EA60  CP210x bridge, chip unknown (no answer from its boot loader)",
    ]
    with pytest.raises(DeviceAmbiguous) as caught:
        find.find_port(None, nobody)
    assert str(caught.value).splitlines()[1:] == [f"  {line}" for line in listed]
    asked: list[list[str]] = []
    assert find.find_port(None, lambda _, lines: asked.append(lines) or 1) == (str(second), "USB id 10C4:EA60")
    assert asked == [listed]


def test_no_board_and_no_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates(monkeypatch)
    with pytest.raises(DeviceMissing, match="no board found"):
        find.find_port(None, nobody)
    with pytest.raises(DeviceMissing, match=r"no such port. There are: /dev/ttyS0"):
        find.find_port(str(tmp_path / "none"), nobody)


def test_a_port_without_permission_names_group_and_udev_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may open everything
    monkeypatch.setattr(trouble, "permission_hint", lambda path: "Join its group: sudo usermod -aG dialout $USER")
    with pytest.raises(DeviceForbidden, match="usermod -aG dialout") as caught:
        find.check(str(port))
    assert "70-openkline.rules" in str(caught.value) and 'TAG+="uaccess"' in str(caught.value)


def test_a_busy_port_names_the_program(tmp_path: Path) -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    code = f"import sys; f = open({path!r}, 'rb', buffering=0); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdin is not None
        other.stdout.readline()
        with pytest.raises(DeviceBusy, match=rf"in use by python\S* \(pid {other.pid}\). End that program"):
            find.check(path)
        other.stdin.close()
    find.check(path)
    os.close(master)


# -- board, pins, interface --------------------------------------------------------------------------------------------


def test_the_interface_is_asked_once_and_remembered() -> None:
    profile = find_profile("ESP32_GENERIC")
    asked: list[str] = []

    def second(question: str, lines: list[str]) -> int:
        asked.extend(lines)
        return 1

    interface, why = plan.choose_interface(Wishes(), profile, None, second)
    assert (interface, why) == (profile.interfaces[1], "as chosen")
    assert [line.split()[0] for line in asked] == [one.name for one in profile.interfaces]
    memory.remember("240ac4e29526", memory.Choice(profile.name, interface.name))
    known = memory.recall("240ac4e29526")
    assert plan.choose_interface(Wishes(), profile, known, nobody) == (interface, "as last time")
    assert plan.choose_interface(Wishes(interface="ibus-pc817"), profile, known, nobody)[1] == "as named"
    with pytest.raises(ProfileError, match="no interface is called"):
        plan.choose_interface(Wishes(interface="x"), profile, known, nobody)
    other = find_profile("ESP32_GENERIC_C3")
    with pytest.raises(FlashError, match="--interface NAME"):
        plan.choose_interface(Wishes(), other, known, nobody)
    gone = memory.Choice(profile.name, "an-older-name")
    assert plan.choose_interface(Wishes(), profile, gone, second)[1] == "as chosen"


def test_pins_are_those_named_or_remembered() -> None:
    profile = find_profile("ESP32_GENERIC")
    known = memory.Choice(profile.name, "ibus-pc817", "WROVER")
    assert plan.choose_pins(Wishes(), profile, None) == (profile, "")
    assert plan.choose_pins(Wishes(), profile, known)[0].pins.rx == 26
    assert plan.choose_pins(Wishes(pins="usual"), profile, known) == (profile, "")
    assert plan.choose_pins(Wishes(pins="wrover"), profile, None)[0].pins.tx == 27
    with pytest.raises(ProfileError, match="no alternative is called"):
        plan.choose_pins(Wishes(pins="x"), profile, None)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"1": 5}', '{"1": {"colour": "red"}}'])
def test_a_damaged_memory_is_as_good_as_none(text: str) -> None:
    memory.path().parent.mkdir(parents=True)
    memory.path().write_text(text)
    assert memory.recall("1") is None
    memory.remember("1", memory.Choice("B", "i"))
    assert memory.recall("1") == memory.Choice("B", "i")


def test_the_virtual_board_and_an_unknown_chip_are_refused() -> None:
    with pytest.raises(FlashError, match="SIM can't be flashed"):
        plan.choose_profile(Wishes(board="sim"), "ESP32")
    with pytest.raises(ProfileError, match=r"no board here has the chip ESP8266; supported are ESP32"):
        plan.choose_profile(Wishes(), "ESP8266")


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_dry_run_prints_the_plan_and_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flasher, "compile_modules", lambda: {"kline/x.mpy": b"12", "kline/y.mpy": b"345"})
    words = ["flash", "--dry-run", "-d", str(tmp_path / "not-there"), "--board", "esp32_generic", "--pins", "WROVER"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    steps = "board chip profile interface image erase write start modules settings self-test"
    assert " ".join(line.split()[0] for line in lines) == steps
    assert "2 files, 5 bytes" in lines[8]
    assert "an address that we have not checked" in lines[4] and "to 0x1000" in lines[4]
    image = images.cache_folder() / "ESP32_GENERIC-20260406-v1.28.0.bin"
    image.parent.mkdir(parents=True)
    image.touch()
    assert str(image) in CliRunner().invoke(main, words).stdout
    assert CliRunner().invoke(main, ["flash", "--dry-run", "--board", "x"]).exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-d", "sim"], "virtual board has its firmware already"),
        (["--board", "x"], "no board is called 'x'; there are ESP32_GENERIC"),
        (["--interface", "x"], "no interface is called 'x'"),
        (["--board", "ESP32_GENERIC", "--interface", "x"], "ESP32_GENERIC knows ibus-pc817"),
        (["--board", "ESP32_GENERIC_C3", "--pins", "WROVER"], "no alternative is called 'WROVER'"),
        (["--firmware", "~/none.bin"], "/home/me/none.bin: there is no such file"),
    ],
)
@pytest.mark.parametrize("plan_only", [True, False])
def test_names_of_nothing_are_refused_before_any_port_is_opened(
    words: list[str], said: str, plan_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(find, "find_port", lambda *_: pytest.fail("looked for a port"))
    result = CliRunner().invoke(main, ["flash", *words, *(["--dry-run"] if plan_only else [])])
    assert result.exit_code == 1 and said in " ".join(result.stderr.split()), result.output
    assert result.stdout == ""


def test_pins_of_one_board_are_enough_where_none_is_named() -> None:
    plan.check(Wishes(pins="WROVER", interface="ibus-pc817"))


def test_make_passes_each_word_as_it_is() -> None:
    given = {"PORT": "/dev/tty USB0", "BOARD": "A", "FIRMWARE": "/tmp/my image.bin", "INTERFACE": "ibus-pc817"}
    words = [f"{name}={value}" for name, value in given.items()]
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(["make", "-s", "-n", "flash", *words], cwd=root, capture_output=True, text=True, check=True)
    command = next(line for line in said.stdout.replace("\\\n", "").splitlines() if "openkline flash" in line)
    assert shlex.split(command)[1:] == [
        "flash", "-d", "/dev/tty USB0", "--board", "A", "--firmware", "/tmp/my image.bin", "--interface", "ibus-pc817"
    ]  # fmt: skip
    said = subprocess.run(["make", "-s", "-n", "flash"], cwd=root, capture_output=True, text=True, check=True)
    assert "openkline flash" in said.stdout and " -" not in said.stdout.split("openkline flash")[1]


def test_a_password_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["flash", "--password", "12"])
    assert result.exit_code == 2 and "8 hex digits" in result.stderr
    got: list[Wishes] = []

    class Stop(Exception): ...

    def wish(wishes: Wishes, *_: object) -> None:
        got.append(wishes)
        raise Stop

    monkeypatch.setattr(cli_flash, "Flasher", wish)
    CliRunner().invoke(main, ["flash", "--password", "11 22 33 44"])
    assert got[0].password == 0x11223344


def test_a_bad_image_in_the_cache_is_removed(tmp_path: Path) -> None:
    profile = find_profile("ESP32_GENERIC")
    assert profile.image is not None
    cached = images.cache_folder() / profile.image.file
    cached.parent.mkdir(parents=True)
    cached.write_bytes(esp_image.merged("esp32s3", 0x1000))
    work = flasher.Flasher(Wishes(), Progress(1), nobody)
    with pytest.raises(FlashError, match="bad file is removed: run this again to download it anew"):
        work._image(profile)
    assert not cached.exists()


def seen(**fields: object) -> Seen:
    given: dict[str, object] = {
        "sha256": {}, "sizes": {}, "folders": (), "texts": {}, "free": 2**20, "unique_id": "1",
        "micropython": (1, 28, 0),
    }  # fmt: skip
    return Seen(**(given | fields))  # type: ignore[arg-type]


def test_not_enough_room_is_found_before_copying() -> None:
    files = BoardFiles("/dev/none")
    with pytest.raises(FlashError, match=r"has 8 KiB free, the modules need 12 KiB"):
        files.put(seen(free=8192), {"a/x": bytes(8193)}, [], lambda *_: None)


def test_an_old_micropython_is_refused() -> None:
    with pytest.raises(FlashError, match=r"the image is MicroPython 1.24.1, needed is 1.27.0 or later"):
        flasher._check_version("/dev/x", seen(micropython=(1, 24, 1)))
    flasher._check_version("/dev/x", seen(micropython=(1, 27, 0)))


class CountedFiles:
    """The board's file system, as flasher uses it: what it has at each look, and what was asked of it."""

    def __init__(self, *looks: Seen) -> None:
        self.port = "/dev/x"
        self.looks = list(looks)
        self.puts: list[tuple[list[str], list[str]]] = []

    def look(self, doing: str = "") -> Seen:
        return self.looks.pop(0)

    def put(self, before: Seen, wanted: dict[str, bytes], stale: list[str], on_share: object) -> list[str]:
        self.puts.append((list(wanted), stale))
        return list(wanted)


def test_a_slot_is_no_slot_while_it_changes_and_what_arrived_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flasher, "compile_modules", lambda: {"kline/x.mpy": b"new"})
    profile = find_profile("ESP32_GENERIC")
    label = flasher.slot_json(profile.name, {"kline/x.mpy": b"new"})
    old = seen(sha256={"a/kline/x.mpy": "0", "a/kline/gone.mpy": "0", "a/slot.json": "0"})
    right = seen(sha256={"a/kline/x.mpy": sha256(b"new"), "a/slot.json": sha256(label)})
    files = CountedFiles(old, right)
    work = flasher.Flasher(Wishes(), Progress(9), nobody)
    assert work._copy_modules(files, profile) is right  # type: ignore[arg-type]
    assert files.puts == [(["a/kline/x.mpy", "a/slot.json"], ["a/slot.json", "a/kline/gone.mpy"])]
    with pytest.raises(FlashError, match=r"/dev/x: a/kline/x.mpy did not arrive as it was copied. Try another cable"):
        work._copy_modules(CountedFiles(old, old), profile)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"slot": "c"}', '{"slot": 1}'])
def test_a_damaged_boot_json_means_slot_a(text: str) -> None:
    assert flasher.active_slot(seen(texts={"boot.json": text})) == "a"


def test_a_person_is_asked_by_number_and_nobody_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["ibus-pc817  I-Bus", "kline-transistor  K-line"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n"))
    assert cli_flash.ask("Which?", lines) is None
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda text, **_: 2)
    assert cli_flash.ask("Which?", lines) == 1
    assert "  2  kline-transistor  K-line" in capsys.readouterr().err


# -- the programs ------------------------------------------------------------------------------------------------------

# As esptool 5.6 and mpremote 1.29 say it; what can be provoked without a board is in tests/e2e/test_flash.py.
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
    "Brownout detector was triggered": "brown-out",
    "OSError: [Errno 28] ENOSPC": "file system is full",
    "OSError: [Errno 30] EROFS": "read-only or damaged",
    "A fatal error occurred: Packet content transfer stopped (received 8 bytes)": "connection broke off",
    "serial.serialutil.SerialException: device reports readiness to read but returned no data": "connection broke off",
    "mpremote.transport.TransportError: could not enter raw repl": "connection broke off",
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


def test_progress_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress(1, stream).step("write") as step:
        step.bar(0.5, "half")
    assert "[###############...............]  50% half" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K[1/1] write       done\n")


def test_the_page_has_the_words_that_the_program_says() -> None:
    root = Path(__file__).resolve().parents[2]
    host = root / "host" / "openkline"
    sources = [*(host / "flash").glob("*.py"), host / "programs.py", host / "boards.py", host / "cli" / "flash.py"]
    code = " ".join(" ".join(path.read_text() for path in sources).split()).replace('" f"', "").replace('" "', "")
    rows = (root / "docs" / "flash.md").read_text().split("| It says |")[1].splitlines()[2:]
    said = [row.split("|")[1].strip() for row in rows if row.startswith("|")]
    assert len(said) > 20
    assert [words for words in said if words not in code] == []
