"""The PC's side: is the port there, may we open it, and who else has it."""

from __future__ import annotations

import asyncio

from openkline.device import ports
from openkline.device.port import Port, group_of, who_has
from openkline.doctor.facts import PcFacts
from openkline.errors import (
    DeviceAmbiguous,
    DeviceBusy,
    DeviceError,
    DeviceForbidden,
    DeviceMissing,
    SimulatorError,
)

_KINDS: tuple[tuple[type[DeviceError], str], ...] = (
    (DeviceAmbiguous, "several"),
    (DeviceMissing, "missing"),
    (DeviceForbidden, "forbidden"),
    (DeviceBusy, "busy"),
    (SimulatorError, "simulator"),
)


class _Trial(asyncio.Protocol):
    """Until it is closed the port can't be opened again."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


async def examine(name: str, port: Port) -> PcFacts:
    """Opens the port once and closes it; the bytes that it carries meanwhile are ignored."""
    loop = asyncio.get_running_loop()
    path = name
    try:
        if name == "auto":
            path = (await loop.run_in_executor(None, ports.find_board)).device
        trial = _Trial()
        (await port.connect(lambda: trial)).abort()
        await trial.closed.wait()
    except DeviceError as error:
        return _described(name, "" if path in ("auto", "sim") else path, error)
    return _described(name, path, None)


def _described(name: str, path: str, error: DeviceError | None) -> PcFacts:
    kind = ""
    if error is not None:
        kind = next((kind for what, kind in _KINDS if isinstance(error, what)), "other")
        if kind == "missing" and name == "auto":
            kind = "none"
    serial = bool(path) and path != "sim" and "://" not in path
    return PcFacts(
        name,
        path,
        kind,
        str(error) if error is not None else "",
        usb=_usb(path) if serial else "",
        group=group_of(path) if serial else "",
        users=who_has(path) if serial else "",
    )


def _usb(path: str) -> str:
    """`10C4:EA60 CP210x bridge`; "" when the port has no USB id."""
    for port in ports.list_ports():
        if port.device == path and port.usb_id:
            return f"{port.usb_id} {port.board or port.description}".strip()
    return ""
