"""How a command reaches the bus: through a running bridge, or by opening the board itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rich_click as click

from openkline.cli.common import DEFAULT_ADDRESS, DEFAULT_PORT, address_option, device_option, port_option
from openkline.errors import DeviceError, DeviceMissing

if TYPE_CHECKING:
    from openkline.device.device import Device
    from openkline.device.state import DeviceSettings

READY_TIMEOUT_S = 20.0  # a board that restarts needs some seconds
_PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """What -d, -i and -p name: a board, or a bridge."""

    device: str | None
    address: str
    port: int

    def __post_init__(self) -> None:
        if self.device is not None and self._names_a_bridge():
            raise click.UsageError("-d opens a board, -i and -p name a bridge: give one or the other")

    def _names_a_bridge(self) -> bool:
        return (self.address, self.port) != (DEFAULT_ADDRESS, DEFAULT_PORT)

    async def is_bridge(self) -> bool:
        """A bridge that is named has to be there; the one at the default place is used when it runs."""
        return self.device is None and (self._names_a_bridge() or await _is_served(self.address, self.port))


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds -d, -i and -p; the command gets them as `target`."""

    @functools.wraps(function)
    def command(*args: Any, device: str | None, address: str, port: int, **words: Any) -> Any:
        return function(*args, target=Target(device, address, port), **words)

    return device_option(address_option(port_option(command)))


async def _is_served(address: str, port: int) -> bool:
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


@contextlib.asynccontextmanager
async def opened_device(
    name: str | None, car: str = "demo", settings: DeviceSettings | None = None, about: str = "without a bridge: "
) -> AsyncIterator[Device]:
    """The board, ready. Errors are final: a one-shot command does not wait for a cable.

    car: what the virtual board has on its wire; settings: None is for the I-Bus
    """
    from openkline.device.device import Device
    from openkline.device.port import port_for
    from openkline.device.sim import SimOptions

    name = name or "auto"
    device = Device(port_for(name, SimOptions(car=car)), settings or _ibus())
    click.echo(f"{about}opening {'a board found by its USB id' if name == 'auto' else name}", err=True)
    device_log = logging.getLogger("openkline.device.device")
    device_log.setLevel(logging.ERROR)  # what goes wrong until it is ready is the error that we end with
    try:
        await device.start()
        await _ready(device, name)
        device_log.setLevel(logging.NOTSET)
        yield device
    finally:
        device_log.setLevel(logging.NOTSET)
        await device.stop()


def _ibus() -> DeviceSettings:
    """For the I-Bus, whatever the board's board.json says."""
    from kline.protocol.link import records
    from openkline.device.state import DeviceSettings

    return DeviceSettings(configure=((records.CONFIG_MODE, records.MODE_IBUS),))


async def _ready(device: Device, name: str) -> None:
    """DeviceError, DeviceMissing."""
    from openkline.device.state import State

    try:
        state = await device.wait_for(State.READY, State.WAITING, timeout_s=READY_TIMEOUT_S)
    except TimeoutError:
        raise DeviceError(device.away or f"{name}: no answer from the board in {READY_TIMEOUT_S:.0f} s") from None
    if state is State.WAITING:
        raise DeviceMissing(device.away)
