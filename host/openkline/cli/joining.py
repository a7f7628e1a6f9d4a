"""How a command reaches the bus: through a running bridge, or by opening the board itself."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rich_click as click

from openkline.cli.common import DEFAULT_ADDRESS, DEFAULT_PORT, address_option, device_option, port_option
from openkline.lazy import LazyModule
from openkline.terminal import echo

if TYPE_CHECKING:
    import asyncio
    import logging

    from openkline.device.device import Device
    from openkline.device.opening import Mode
else:
    asyncio = LazyModule("asyncio")
    logging = LazyModule("logging")

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
    name: str | None, car: str = "demo", mode: Mode | None = "ibus", about: str = "without a bridge: "
) -> AsyncIterator[Device]:
    """The board, ready, as open_device() gives it. Errors are final: a one-shot command does not wait for a cable."""
    from openkline.device.opening import open_device

    name = name or "auto"
    echo(f"{about}opening {'a board found by its USB id' if name == 'auto' else name}", err=True)
    device_log = logging.getLogger("openkline.device.device")
    device_log.setLevel(logging.ERROR)  # what goes wrong until it is ready is the error that we end with
    try:
        async with open_device(name, mode, car=car) as device:
            device_log.setLevel(logging.NOTSET)
            yield device
    finally:
        device_log.setLevel(logging.NOTSET)
