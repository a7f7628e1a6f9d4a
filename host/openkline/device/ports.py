"""Which serial ports there are, and which of them is the board."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import serialx

from openkline.errors import DeviceAmbiguous, DeviceMissing

# USB ids under which ESP32 boards appear. Vendor ids are those that the USB-IF assigned to the makers of the bridge
# chips; product ids are the chips' defaults. None: any product of that vendor. FT232R and FT231X are left out: they are
# what plain I-Bus adapters have, and our greeting would go straight onto the car's bus.
_BOARDS: dict[tuple[int, int | None], str] = {
    (0x303A, 0x1001): "ESP32 with USB-Serial-JTAG (S3, C3, C6)",
    (0x303A, None): "Espressif native USB",
    (0x10C4, 0xEA60): "CP210x bridge",
    (0x1A86, 0x7523): "CH340 bridge",
    (0x1A86, 0x55D3): "CH343 bridge",
    (0x1A86, 0x55D4): "CH9102 bridge",
    (0x0403, 0x6010): "FT2232 bridge",
    (0x2E8A, 0x0005): "MicroPython board",
    (0xF055, 0x9802): "MicroPython board",
}


@dataclass(frozen=True, slots=True)
class PortInfo:
    """device: what to open; board: why it may be the board, "" when nothing says so."""

    device: str
    board: str
    description: str
    usb_id: str
    serial_number: str

    @property
    def is_candidate(self) -> bool:
        return bool(self.board)


def _describe(port: serialx.SerialPortInfo) -> PortInfo:
    board = usb_id = ""
    if port.vid is not None and port.pid is not None:
        usb_id = f"{port.vid:04X}:{port.pid:04X}"
        board = _BOARDS.get((port.vid, port.pid)) or _BOARDS.get((port.vid, None), "")
    words = [word for word in (port.manufacturer, port.product) if word]
    return PortInfo(port.device, board, " ".join(words), usb_id, port.serial_number or "")


def list_ports(lister: Callable[[], Iterable[serialx.SerialPortInfo]] | None = None) -> list[PortInfo]:
    """All serial ports, those that may be the board first."""
    ports = [_describe(port) for port in (lister or serialx.list_serial_ports)()]
    return sorted(ports, key=lambda port: (not port.is_candidate, port.device))


def find_board(ports: Iterable[PortInfo] | None = None) -> PortInfo:
    """The one port that a board hangs on. DeviceMissing: none; DeviceAmbiguous: several (it carries them)."""
    candidates = [port for port in (list_ports() if ports is None else ports) if port.is_candidate]
    if not candidates:
        raise DeviceMissing(
            "no board found: no serial port has the USB id of an ESP32 board. "
            "Plug it in (a cable with data lines), name the port with -d /dev/..., or try -d sim without a board"
        )
    if len(candidates) > 1:
        names = ", ".join(f"{port.device} ({port.board})" for port in candidates)
        raise DeviceAmbiguous(f"several boards found: {names}. Name one with -d, or its id with -d id:..", candidates)
    return candidates[0]
