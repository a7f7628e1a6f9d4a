"""Flashing without a board: real esptool against esp32-mock-bootloader, real mpremote and our link against a real
MicroPython, behind one port (flash_board.py). What stops it, with which words, and that a rerun finishes the job.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.flash_board import FlashBoard, program
from tests.e2e.flash_fronts import PtyFront, TcpFront
from tests.e2e.flash_rig import BOARDS, FAULTS, fault, flash, image_for, into_boot_loader
from tests.e2e.terminal import Terminal

from kline.version import VERSION
from openkline.boards.catalogue import find_profile
from openkline.device.port import port_for
from openkline.errors import DeviceError
from openkline.firmware.modules import compile_modules
from openkline.flash import flasher, images, memory, selftest
from openkline.flash.esp import BootLoader
from openkline.flash.files import sha256
from openkline.flash.trouble import FlashError
from openkline.update import passwords

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def modules() -> dict[str, bytes]:
    return compile_modules()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: dict[str, bytes]) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(flasher, "compile_modules", lambda: modules)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[FlashBoard]:
    """A bare ESP32 on a serial port."""
    with FlashBoard(tmp_path, PtyFront()) as board:
        yield board


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """esptool gives up after two attempts to connect instead of seven."""
    path = tmp_path / "esptool.cfg"
    path.write_text("[esptool]\nconnect_attempts = 2\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(path))


# -- all of it ---------------------------------------------------------------------------------------------------------


def test_a_bare_board_is_flashed_and_a_second_run_keeps_what_is_right(
    board: FlashBoard, tmp_path: Path, modules: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    done, said = flash(board, tmp_path, password=0x11223344, pins="WROVER")
    image = image_for(board, tmp_path).read_bytes()
    assert board.flash.data[0x1000 : 0x1000 + len(image)] == image
    assert board.flash.data[:0x1000] == b"\xff" * 0x1000
    for path, data in modules.items():
        assert (board.folder / "a" / path).read_bytes() == data
    slot = json.loads((board.folder / "a" / "slot.json").read_text())
    assert slot == {
        "version": VERSION,
        "board": "ESP32_GENERIC",
        "files": {path: sha256(data) for path, data in modules.items()},
    }
    settings = json.loads((board.folder / "board.json").read_text())
    assert (settings["rx"], settings["tx"], settings["tx_invert"]) == (26, 27, True)
    assert settings["password"] == 0x11223344
    assert json.loads((board.folder / "boot.json").read_text()) == {"slot": "a"}
    assert passwords.find(done.unique_id) == 0x11223344
    assert "11223344" in said

    # Nothing is said of interface, pins and password this time: they are remembered, here or on the board. The slot
    # that is active stays so, what doesn't belong there goes, and a trial that was pending is called off.
    (board.folder / "a").rename(board.folder / "b")
    (board.folder / "boot.json").write_text('{"slot": "b", "trial": "a"}')
    (board.folder / "b" / "kline" / "old.mpy").write_bytes(b"M")
    (board.folder / "board.json").write_text(json.dumps(settings | {"vin_pin": 34, "vin_ratio": 7.8}))
    files = [board.folder / "main.py", board.folder / "board.json", *(board.folder / "b").rglob("*.mpy")]
    written = {path: path.stat().st_mtime_ns for path in files if path.name != "old.mpy"}
    done, said = flash(board, tmp_path, interface=None)
    assert "this MicroPython is there already" in said
    assert f"0 of {len(modules) + 1} files copied to slot b" in said
    assert "ibus-pc817 as last time, RX 26, TX 27 (WROVER)" in said
    assert done.password == 0x11223344
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert not (board.folder / "b" / "kline" / "old.mpy").exists()
    assert json.loads((board.folder / "boot.json").read_text()) == {"slot": "b"}

    # As if another kline came first on the board.
    monkeypatch.setattr(selftest, "VERSION", "99.0.0")
    with pytest.raises(FlashError, match=f"runs openkline {VERSION} and not 99.0.0.*another kline on it"):
        asyncio.run(selftest.self_test(port_for(board.front.address)))


def test_over_a_tcp_socket_a_person_presses_the_buttons_and_what_is_cut_off_is_finished_by_running_again(
    hasty: None, tmp_path: Path, modules: dict[str, bytes]
) -> None:
    with FlashBoard(tmp_path, TcpFront("socket")) as board:
        cuts = (("download", 60, "asking for the chip"), ("download", 40_000, "writing MicroPython"),
                ("run", 9_000, "copying files"))  # fmt: skip
        for state, count, step in cuts:
            into_boot_loader(board)
            board.cut_after(count, state)
            with pytest.raises(FlashError, match=f"was lost.*run this again.*while {step}"):
                flash(board, tmp_path)
        assert (board.folder / "a" / "kline").is_dir()
        assert not (board.folder / "a" / "slot.json").exists(), "a slot that is not whole must not count"
        held = board.flash.data

    with FlashBoard(tmp_path, PtyFront()) as board:  # another cable
        board.flash.data = held
        _, said = flash(board, tmp_path)
        assert "this MicroPython is there already" in said
        assert f"{len(modules) + 1} of {len(modules) + 1} files" not in said, "copied again what was there"
        assert "[10/10] self-test   ESP32_GENERIC" in said


def test_fault_upon_fault_and_the_last_run_is_whole(hasty: None, board: FlashBoard, tmp_path: Path) -> None:
    """One after the other on one bare board: each run gets past what stopped the one before."""
    for name, words in FAULTS.items():
        with fault(name, board, tmp_path) as wishes, pytest.raises((FlashError, DeviceError), match=words):
            flash(board, tmp_path, **wishes)
        if name == "digest":
            assert set(board.flash.data) == {0xFF} and not board.folder.exists()
    _, said = flash(board, tmp_path)
    assert "this MicroPython is there already" in said
    assert "[10/10] self-test   ESP32_GENERIC" in said


@pytest.mark.soak
@pytest.mark.parametrize("name", list(FAULTS))
def test_a_run_after_a_fault_is_whole(name: str, board: FlashBoard, tmp_path: Path) -> None:
    with fault(name, board, tmp_path) as wishes, pytest.raises((FlashError, DeviceError), match=FAULTS[name]):
        flash(board, tmp_path, **wishes)
    _, said = flash(board, tmp_path)
    assert "[10/10] self-test   ESP32_GENERIC" in said


def test_at_a_terminal_the_interface_is_asked_and_ctrl_c_interrupts(board: FlashBoard, tmp_path: Path) -> None:
    bad = tmp_path / "bad.bin"
    bad.write_bytes(b"no image")
    words = ("flash", "-d", board.front.address, "--firmware", str(bad))
    with Terminal(*words) as terminal:
        terminal.read_until(r"What is between the board and the car's wire\?.*2  kline-transistor.*Number: ")
        assert terminal.interrupt() == 130
        assert "run this again" in terminal.text
    assert memory.recall("240ac4e29526") is None
    with Terminal(*words) as terminal:
        terminal.read_until("Number: ")
        terminal.write(b"9\n")
        terminal.read_until("not in the range.*Number: ")
        terminal.write(b"2\n")
        terminal.read_until(r"interface   ESP32_GENERIC, kline-transistor as chosen, RX 16, TX 17")
        terminal.read_until(r"bad\.bin: its boot loader is not an image for an ESP32")
        assert terminal.end() == 1
    assert memory.recall("240ac4e29526") == memory.Choice("ESP32_GENERIC", "kline-transistor")
    assert set(board.flash.data) == {0xFF}


@pytest.mark.parametrize("chip", ["esp32s3", "esp32c3"])
def test_boot_loaders_of_the_other_chips(chip: str, tmp_path: Path) -> None:
    with FlashBoard(tmp_path, PtyFront(), chip) as board:
        loader = BootLoader(board.front.address)
        found = loader.detect()
        profile = find_profile(BOARDS[chip])
        assert profile.chip is not None and found.chip == profile.chip.title and found.flash_bytes == 4 << 20
        whole = images.verify(image_for(board, tmp_path), profile, lambda *_: None)
        assert not loader.holds(profile.chip, whole.path, whole.fixed)
        loader.erase(profile.chip)
        shares: list[float] = []
        loader.write(profile.chip, whole.path, board.offset, lambda share, _: shares.append(share))
        assert shares == sorted(shares) and shares[-1] == 1.0
        assert board.flash.data[: whole.size] == whole.path.read_bytes()
        board.flash.data[0x9000:0x10000] = bytes(0x7000)  # NVS and calibration: a running board writes there
        assert loader.holds(profile.chip, whole.path, whole.fixed)
        board.flash.data[0x10000] ^= 1
        assert not loader.holds(profile.chip, whole.path, whole.fixed)


def test_control_lines_lead_into_the_boot_loader_and_out_again(tmp_path: Path) -> None:
    """DTR and RTS as esptool moves them, through the circuit of two transistors."""
    with FlashBoard(tmp_path, TcpFront("rfc2217")) as board:
        program(board)
        words = ["--port", board.front.address, "--no-stub", "--after", "hard-reset", "read-mac"]
        done = subprocess.run([sys.executable, "-m", "esptool", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "24:0a:c4" in done.stdout
        assert board.starts[-2:] == ["download", "run"]


@pytest.mark.soak
def test_whole_way_over_a_tcp_socket(tmp_path: Path) -> None:
    with FlashBoard(tmp_path, TcpFront("socket")) as board:
        into_boot_loader(board)
        _, said = flash(board, tmp_path)
        assert "[10/10] self-test   ESP32_GENERIC" in said


@pytest.mark.soak
@pytest.mark.parametrize("state", ["download", "run"])
def test_cut_off_everywhere(state: str, tmp_path: Path) -> None:
    """Later and later, until nothing is cut off: each time with a word to the person, and the last run is whole."""
    with FlashBoard(tmp_path, TcpFront("socket")) as board:
        count = 10
        for _ in range(40):
            into_boot_loader(board)
            board.cut_after(count, state)
            try:
                _, said = flash(board, tmp_path)
            except (FlashError, DeviceError) as error:
                assert re.search(r"run (this )?again|Is the serial server running", str(error)), str(error)
            else:
                break
            count += count // 2
        else:
            pytest.fail("cut off every time")
        assert "[10/10] self-test   ESP32_GENERIC" in said


@pytest.mark.soak
@pytest.mark.parametrize("chip", list(BOARDS))
def test_whole_way_on_every_chip(chip: str, tmp_path: Path) -> None:
    with FlashBoard(tmp_path, PtyFront(), chip) as board:
        done, _ = flash(board, tmp_path)
        assert done.profile.name == BOARDS[chip]


@pytest.mark.soak
def test_an_installed_wheel_flashes_from_a_folder_of_its_own(board: FlashBoard, tmp_path: Path) -> None:
    """As the Debian package has it: /usr/lib/openkline is on the path of that one process."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    lib = tmp_path / "lib"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(lib)
    start = f"import sys; sys.path.insert(0, {str(lib)!r}); from openkline.cli import main; sys.exit(main())"
    words = ["flash", "-d", board.front.address, "--interface", "ibus-pc817", "--firmware"]
    words.append(str(image_for(board, tmp_path)))
    done = subprocess.run(
        [sys.executable, "-c", start, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (board.folder / "main.py").read_bytes() == (lib / "openkline/_data/firmware/main.py").read_bytes()


# -- what stops it before anything is written --------------------------------------------------------------------------


def test_without_an_interface_nothing_is_erased(board: FlashBoard, tmp_path: Path) -> None:
    program(board)
    before = bytes(board.flash.data)
    with pytest.raises(FlashError, match=r"which interface.*--interface NAME(.|\n)*kline-transistor"):
        flash(board, tmp_path, interface=None)
    assert bytes(board.flash.data) == before


def test_a_board_that_does_not_enter_its_boot_loader(hasty: None, tmp_path: Path) -> None:
    with FlashBoard(tmp_path, TcpFront("socket")) as board:
        program(board)
        with pytest.raises(FlashError, match="does not enter its boot loader: hold the board's BOOT button"):
            BootLoader(board.front.address).detect()
