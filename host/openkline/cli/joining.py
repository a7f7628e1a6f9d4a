"""How `monitor` and `send` get to the bus: over a running bridge, or by opening the board themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import rich_click as click

from kline.protocol.link import records
from openkline.cli.common import DEFAULT_ADDRESS, DEFAULT_PORT
from openkline.device.device import Device, DeviceSettings, State
from openkline.device.port import port_for
from openkline.device.sim import SimOptions
from openkline.errors import DeviceError, DeviceMissing

_IBUS = DeviceSettings(configure=((records.CONFIG_MODE, records.MODE_IBUS),))  # whatever its board.json says
READY_TIMEOUT_S = 20.0  # a board that starts anew needs some seconds
_PROBE_TIMEOUT_S = 2.0


async def someone_serves(address: str, port: int) -> bool:
    """Whether anything accepts TCP connections there."""
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def goes_through_bridge(device: str | None, address: str, port: int) -> bool:
    """A bridge that is named must be there; at the usual place it is joined if one runs. With a board named: no."""
    named = (address, port) != (DEFAULT_ADDRESS, DEFAULT_PORT)
    return device is None and (named or await someone_serves(address, port))


@contextlib.asynccontextmanager
async def opened_device(
    name: str | None, car: str = "demo", settings: DeviceSettings | None = None, about: str = "no bridge joined: "
) -> AsyncIterator[Device]:
    """The board, ready. Errors are final here: nobody wants to wait for a cable in a one-shot command.

    car: what the virtual board has on its wire; settings: None is for the I-Bus
    """
    name = name or "auto"
    device = Device(port_for(name, SimOptions(car=car)), settings or _IBUS)
    click.echo(f"{about}opening {'a board found by its USB id' if name == 'auto' else name}", err=True)
    device_log = logging.getLogger("openkline.device.device")
    device_log.setLevel(logging.ERROR)  # what goes wrong until it is ready is the error that we end with
    try:
        await device.start()
        try:
            state = await device.wait_for(State.READY, State.WAITING, timeout_s=READY_TIMEOUT_S)
        except TimeoutError:
            raise DeviceError(
                device.trouble or f"{name}: no answer from the board in {READY_TIMEOUT_S:.0f} s"
            ) from None
        if state is State.WAITING:
            raise DeviceMissing(device.trouble)
        device_log.setLevel(logging.NOTSET)
        yield device
    finally:
        device_log.setLevel(logging.NOTSET)
        await device.stop()
