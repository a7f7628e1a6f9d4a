"""A board for one piece of work: opened, ready, and closed again. (A bridge waits for its board; see Device.)"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Literal

from kline.protocol.link import records
from openkline.device.device import Device
from openkline.device.port import port_for
from openkline.device.sim import SimOptions
from openkline.device.state import DeviceSettings, State
from openkline.errors import DeviceError, DeviceMissing

READY_TIMEOUT_S = 20.0  # a board that restarts needs some seconds
Mode = Literal["ibus", "obd"]
_MODES = {"ibus": records.MODE_IBUS, "obd": records.MODE_OBD}


@contextlib.asynccontextmanager
async def open_device(name: str = "auto", mode: Mode | None = "ibus", *, car: str = "demo") -> AsyncIterator[Device]:
    """A board that is ready: `async with open_device("/dev/ttyUSB0") as device: ..`

    name  a serial port, socket://HOST:PORT, auto (the one board that is found by its USB id), sim (the virtual board)
    mode  what the board is to be; None: what it is set to
    car   what the virtual board has on its wire: "demo" and "none" for the I-Bus, "obd" or a file for OBD

    DeviceError, one of its kinds: there is no such port or no board, or another program has it, or it does not answer.
    DeviceRefused: the versions of board and PC don't fit.
    """
    configure = () if mode is None else ((records.CONFIG_MODE, _MODES[mode]),)
    device = Device(port_for(name, SimOptions(car=car)), DeviceSettings(configure=configure))
    try:
        await device.start()
        await _ready(device, name)
        yield device
    finally:
        await device.stop()


async def _ready(device: Device, name: str) -> None:
    try:
        state = await device.wait_for(State.READY, State.WAITING, timeout_s=READY_TIMEOUT_S)
    except TimeoutError:
        raise DeviceError(device.away or f"{name}: no answer from the board in {READY_TIMEOUT_S:.0f} s") from None
    if state is State.WAITING:
        raise DeviceMissing(device.away)
