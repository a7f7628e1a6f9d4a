"""Which port flash takes, and the words for what speaks against it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openkline.device import ports
from openkline.device.ports import PortInfo
from openkline.errors import DeviceAmbiguous, DeviceBusy, DeviceError, DeviceForbidden, DeviceMissing
from openkline.flash import find, trouble
from openkline.flash.esp import BootLoader, Found
from openkline.flash.trouble import FlashError


def nobody(question: str, lines: list[str]) -> None:
    return None


@pytest.fixture
def terminals() -> Iterator[list[Path]]:
    """Two serial ports that nobody has open."""
    masters, found = [], []
    for _ in range(2):
        master, slave = os.openpty()
        masters.append(master)
        found.append(Path(os.ttyname(slave)))
        os.close(slave)
    yield found
    for master in masters:
        os.close(master)


def candidates(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """These are connected, each with the USB id of a CP210x."""
    found = [PortInfo(str(path), "CP210x bridge", "", "10C4:EA60", "") for path in paths]
    monkeypatch.setattr(ports, "list_ports", lambda: [*found, PortInfo("/dev/ttyS0", "", "", "", "")])


def test_one_board_is_taken(terminals: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    port = terminals[0]
    candidates(monkeypatch, port)
    assert find.find_port(None, nobody) == (str(port), "CP210x bridge, USB id 10C4:EA60")
    assert find.find_port("auto", nobody) == (str(port), "CP210x bridge, USB id 10C4:EA60")


def test_several_boards_are_listed_with_chip_and_usb_id(
    terminals: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, gone = *terminals, tmp_path / "ttyUSB2"
    candidates(monkeypatch, first, second, gone)

    def detect(loader: BootLoader, go_on: bool = False) -> Found:
        assert go_on, "a board that is not meant would stay in its boot loader"
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
    with pytest.raises(DeviceMissing, match=r"no such port. Found here: /dev/ttyS0"):
        find.find_port(str(tmp_path / "none"), nobody)


def test_what_is_no_serial_port_is_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not to be in use by all who have /dev/null open."""
    candidates(monkeypatch)
    (tmp_path / "file").touch()
    for path in ("/dev/null", str(tmp_path), str(tmp_path / "file")):
        with pytest.raises(DeviceError, match=rf"^{path}: this is not a serial port\. Found here: /dev/ttyS0"):
            find.check(path)
    with pytest.raises(DeviceError, match="expected socket://host:port"):
        find.check("socket://127.0.0.1")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (errno.EBUSY, DeviceBusy, "in use. End that program"),
        (errno.EPERM, DeviceForbidden, "no permission to open the port"),
        (errno.ENXIO, DeviceMissing, "there is no such port"),
        (errno.EIO, DeviceError, "cannot be opened"),
    ],
)
def test_a_port_that_does_not_open(
    error: int, kind: type[DeviceError], words: str, terminals: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(error, os.strerror(error), path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(kind, match=words) as caught:
        find.check(str(terminals[0]))
    assert type(caught.value) is kind


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
