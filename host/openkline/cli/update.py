"""`openkline update`"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.bridge.status import default_port, fetch
from openkline.cli.bundle import load, summary
from openkline.cli.common import (
    DEFAULT_ADDRESS,
    DEFAULT_PORT,
    Password,
    device_option,
    json_option,
    set_up_logging,
    tell,
)
from openkline.cli.joining import opened_device, someone_serves
from openkline.device.device import DeviceSettings
from openkline.device.welcome import BoardInfo
from openkline.errors import GatewayError, UpdateFailed
from openkline.flash.progress import Progress, Step
from openkline.gateway.client import GatewayClient
from openkline.net.access import host_port
from openkline.update import bundle as bundles
from openkline.update import passwords
from openkline.update.updater import Updater

# The board's boot window, the import of all modules, and when the new version fails, its minute of trial before.
_BACK_S = 120.0
_ASK_S = 0.25  # a bridge gives the same status for 0.1 s
_LOCAL = (DEFAULT_ADDRESS, "localhost", "::1")

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Runs:
    """What the board says it runs. slot: "" when it doesn't say it, or the gateway can't."""

    version: Version
    slot: str = ""

    @classmethod
    def of(cls, info: BoardInfo) -> _Runs:
        return cls(info.firmware, info.slot)


@click.command(epilog="Examples: openkline update; openkline update -d auto openkline-0.2.0.okb")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@device_option
@click.option("--gateway", metavar="HOST:PORT", help=f"The bridge.  [default: {DEFAULT_ADDRESS}:{DEFAULT_PORT}]")
@click.option("--password", type=Password(), help="The board's, 8 hex digits, where this computer doesn't know it.")
@json_option
def update(file: Path | None, device: str | None, gateway: str | None, password: int | None, as_json: bool) -> None:
    """Bring a new version to a board that `openkline flash` has set up once.

    FILE is a bundle (`openkline bundle`); without one, this program's own firmware is taken. It goes through the bridge
    if one runs, which goes on; otherwise, or with -d, the board is opened. The bus is heard until the board restarts.

    Exit status 8: refused, or the new version did not start. Then the board runs what it ran before.
    """
    if device is not None and gateway is not None:
        raise click.UsageError("either -d, or --gateway")
    host, port = _address(gateway)
    set_up_logging(2)
    found = load(file) if file is not None else bundles.build()
    tell(summary(found))
    work = _Work(found, password, as_json)
    if device is None and (gateway is not None or asyncio.run(someone_serves(host, port))):
        asyncio.run(work.through_gateway(host, port))
    else:
        asyncio.run(work.to_device(device))


def _address(gateway: str | None) -> tuple[str, int]:
    host, _, port = (gateway or f"{DEFAULT_ADDRESS}:{DEFAULT_PORT}").rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise click.UsageError(f"--gateway is {gateway!r}, must be HOST:PORT such as 127.0.0.1:4287")
    return host.strip("[]"), int(port)


@dataclass(slots=True)
class _Work:
    bundle: bundles.Bundle
    password: int | None
    as_json: bool

    async def to_device(self, name: str | None) -> None:
        progress = Progress(3)
        async with opened_device(name, settings=DeviceSettings(), about="") as device:
            updater = Updater(device)
            assert updater.take(self) and device.info is not None
            before, unique_id = _Runs.of(device.info), device.info.unique_id
            try:
                with progress.step("password") as step:
                    updater.check_able()
                    await updater.open(self._password(unique_id))
                    step.result = f"{device.info.board} {unique_id} agrees"
                with progress.step("upload") as step:
                    crc, version = self.bundle.crc, self.bundle.version[:2]
                    await updater.write(self.bundle.raw, crc, version, lambda count: self._progress(step, count))
            except asyncio.CancelledError:
                await updater.abort_and_wait()
                raise
            with progress.step("restart") as step:
                logging.getLogger("openkline.device.device").setLevel(logging.ERROR)  # that it is away is what we want
                info = await updater.back(_BACK_S)
                self._ended(step, before, _Runs.of(info) if info is not None else None)

    async def through_gateway(self, host: str, port: int) -> None:
        progress = Progress(3)
        async with GatewayClient(host, port) as client:
            with progress.step("gateway") as step:
                known = await _status(host, port)
                version = await client.firmware_version()
                before = _of_status(known) or _Runs((version.major, version.minor))
                if before.version == (0, 0):
                    raise UpdateFailed(
                        f"no board is at the gateway {host_port(host, port)}, or it is just restarting: "
                        "see `openkline status`"
                    )
                password = self._password(known["device"]["unique_id"] if known else None)
                step.result = f"{host_port(host, port)}, board with version {_dotted(before.version)}"
            with progress.step("upload") as step:
                await client.update(
                    self.bundle.raw, password, self.bundle.version[:2], lambda count: self._progress(step, count)
                )
            with progress.step("restart") as step:
                self._ended(step, before, await _after(client, host, port))

    def _password(self, unique_id: str | None) -> int:
        if self.password is not None:
            return self.password
        known = passwords.known()
        if unique_id is None and len(known) == 1:
            return next(iter(known.values()))
        if unique_id in known:
            return known[unique_id]
        which = f"the board {unique_id}" if unique_id else "the board at this gateway"
        raise passwords.PasswordError(
            f"the password of {which} is not known on this computer; --password gives it. `openkline flash` told it, "
            f"and remembered it in {passwords.path().name} on the computer where it ran"
        )

    def _progress(self, step: Step, count: int) -> None:
        total = len(self.bundle.raw)
        step.bar(count / total, f"{count} of {total} bytes")
        step.result = f"{count} of {total} bytes"
        self._tell("uploading" if count < total else "restarting", bytes=count, total=total)

    def _ended(self, step: Step, before: _Runs, after: _Runs | None) -> None:
        """UpdateFailed: the board is back with the version before, or not at all."""
        if after is None:
            raise UpdateFailed(
                f"the board took the update, but has not said that it is back within {_BACK_S:.0f} s. Its reset button "
                "leads to the version before, if the new one does not start"
            )
        number = _dotted(after.version)
        wanted = self.bundle.version[: len(after.version)]
        slots_told = bool(before.slot and after.slot)
        stayed = slots_told and after.slot == before.slot
        if after.version != wanted or stayed:
            raise UpdateFailed(
                f"the new version {_dotted(self.bundle.version)} did not start; the board is back with {number}"
                + (f" in slot {after.slot}, as before" if stayed else "")
            )
        certain = slots_told or before.version[: len(wanted)] != wanted
        step.result = f"version {number} runs"
        self._tell("updated", version=number, certain=certain)
        if not certain:
            tell(f"it was {number} before, too: whether the new one started can't be told from the number")
        if not self.as_json:
            click.echo(f"{'updated' if certain else 'the board is back'}: version {number} runs")

    def _tell(self, state: str, **values: object) -> None:
        if self.as_json:
            click.echo(json.dumps({"state": state, **values}))


async def _after(client: GatewayClient, host: str, port: int) -> _Runs | None:
    """What the board says when it is back: all of it from the bridge's status, else two numbers. None: not in time."""
    end_s = asyncio.get_running_loop().time() + _BACK_S
    while asyncio.get_running_loop().time() < end_s:
        version = await client.firmware_version()
        await asyncio.sleep(_ASK_S)
        if (version.major, version.minor) != (0, 0):
            return _of_status(await _status(host, port)) or _Runs((version.major, version.minor))
    return None


async def _status(host: str, port: int) -> dict[str, Any] | None:
    """Of a bridge on this computer that tells it; it knows more than the gateway protocol."""
    if host not in _LOCAL or not default_port(port):
        return None
    try:
        found = await fetch(default_port(port))
    except GatewayError:
        return None
    return found if found.get("gateway", {}).get("port") == port else None


def _of_status(known: dict[str, Any] | None) -> _Runs | None:
    device = known["device"] if known else {}
    firmware = device.get("firmware")
    return _Runs(tuple(map(int, firmware.split("."))), device.get("slot") or "") if firmware else None


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
