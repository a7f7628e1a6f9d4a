"""`openkline update`"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.bridge.status import fetch_beside
from openkline.cli.bundle import load, summary
from openkline.cli.common import json_option, set_up_logging, tell
from openkline.cli.joining import Target, opened_device, target_options
from openkline.cli.password import WAYS, ask_password, password_option
from openkline.device.welcome import BoardInfo
from openkline.errors import UpdateFailed
from openkline.flash.progress import Progress, Step
from openkline.gateway.client import GatewayClient
from openkline.net.access import host_port
from openkline.terminal import echo
from openkline.update import bundle as bundles
from openkline.update import passwords
from openkline.update.updater import Updater
from openkline.words import plural

# The board's boot window, the import of all modules, and when the new version fails, its minute of trial before.
_BACK_S = 120.0
_NOT_BACK = (
    f"the board accepted the update but did not come back within {_BACK_S:.0f} s. Press its reset button: if the new "
    "version does not start, the previous one will"
)
_ASK_S = 0.25  # a bridge gives the same status for 0.1 s

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Runs:
    """What the board runs. slot: "" when it is not known."""

    version: Version
    slot: str = ""

    @classmethod
    def of(cls, info: BoardInfo) -> _Runs:
        return cls(info.firmware, info.slot)


@click.command(
    epilog="Examples: openkline update; openkline update -d auto openkline-0.2.0.okb; openkline update -i 192.168.0.20"
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@target_options
@password_option(
    "File with the board's update password, 8 hex digits; only needed if `openkline flash` ran on another computer."
)
@json_option
def update(file: Path | None, target: Target, password: int | None, as_json: bool) -> None:
    """Update the firmware of a board.

    FILE is a bundle made by `openkline bundle`; the default is the firmware of this version. The board must have been
    set up by `openkline flash` before. The update goes through the bridge given by -i and -p, by default the one on
    this computer, which keeps running; if no bridge is running, or with -d, the board is opened directly. Frames are
    received until the board restarts.

    Exit status 8: the update was refused, or the new version did not start; the board then runs its previous version.
    """
    set_up_logging(2)
    found = load(file) if file is not None else bundles.build()
    tell(summary(found))
    work = _Work(found, password, as_json)
    try:
        asyncio.run(work.run(target))
    except _UnknownPassword:  # asked here: within, board and bridge would wait for an answer to their messages
        if (asked := ask_password()) is None:
            raise
        work.password = asked
        asyncio.run(work.run(target))


class _UnknownPassword(passwords.PasswordError):
    """It was not given, and this computer does not remember it."""


@dataclass(slots=True)
class _Work:
    bundle: bundles.Bundle
    password: int | None
    as_json: bool

    async def run(self, target: Target) -> None:
        if await target.is_bridge():
            await self.through_gateway(target.address, target.port)
        else:
            await self.to_device(target.device)

    async def to_device(self, name: str | None) -> None:
        progress = Progress(3)
        async with opened_device(name, mode=None, about="") as device:
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
                known = await fetch_beside(host, port)
                version = await client.firmware_version()
                before = _of_status(known) or _Runs((version.major, version.minor))
                if before.version == (0, 0):
                    raise UpdateFailed(
                        f"the bridge at {host_port(host, port)} has no board, or the board is restarting: "
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
        which = f"board {unique_id}" if unique_id else "the board at this bridge"
        raise _UnknownPassword(
            f"this computer does not know the password of {which}: give it with {WAYS}. `openkline flash` printed it "
            f"and saved it in {passwords.path().name} on the computer where it ran"
        )

    def _progress(self, step: Step, count: int) -> None:
        total = len(self.bundle.raw)
        step.bar(count / total, f"{count} of {plural(total, 'byte')}")
        step.result = f"{count} of {plural(total, 'byte')}"
        self._tell("uploading" if count < total else "restarting", bytes=count, total=total)

    def _ended(self, step: Step, before: _Runs, after: _Runs | None) -> None:
        """UpdateFailed: the board is back with its previous version, or not at all."""
        if after is None:
            raise UpdateFailed(_NOT_BACK)
        number = _dotted(after.version)
        wanted = self.bundle.version[: len(after.version)]
        slots_told = bool(before.slot and after.slot)
        stayed = slots_told and after.slot == before.slot
        if after.version != wanted or stayed:
            raise UpdateFailed(
                f"version {_dotted(self.bundle.version)} did not start; the board runs {number}"
                + (f" from slot {after.slot}, as before" if stayed else "")
            )
        certain = slots_told or before.version[: len(wanted)] != wanted
        step.result = f"version {number} runs"
        self._tell("updated", version=number, certain=certain)
        if not certain:
            tell(f"the board ran {number} before the update, too: the number does not show whether the new one started")
        if not self.as_json:
            echo(f"{'updated' if certain else 'the board is back'}: version {number} runs")

    def _tell(self, state: str, **values: object) -> None:
        if self.as_json:
            echo(json.dumps({"state": state, **values}), wrap=False)


async def _after(client: GatewayClient, host: str, port: int) -> _Runs | None:
    """The board's version once it is back: in full from the bridge's status, else two numbers. None: not in time."""
    end_s = asyncio.get_running_loop().time() + _BACK_S
    while asyncio.get_running_loop().time() < end_s:
        version = await client.firmware_version()
        await asyncio.sleep(_ASK_S)
        if (version.major, version.minor) != (0, 0):
            return _of_status(await fetch_beside(host, port)) or _Runs((version.major, version.minor))
    return None


def _of_status(known: dict[str, Any] | None) -> _Runs | None:
    device = known["device"] if known else {}
    firmware = device.get("firmware")
    return _Runs(tuple(map(int, firmware.split("."))), device.get("slot") or "") if firmware else None


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
