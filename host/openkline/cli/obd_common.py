"""What the `openkline obd` commands share: how the car is reached, and how ECUs and values look."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import rich_click as click

from kline.protocol.obd import pids
from kline.protocol.obd.words import describe
from openkline.bus import hex_bytes
from openkline.cli.common import device_option, set_up_logging
from openkline.cli.joining import opened_device
from openkline.errors import ObdError, OpenklineError
from openkline.obd import profile as profiles
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.limits import RANGES, Limits, parse
from openkline.obd.live import Cell, RawValue
from openkline.obd.search import ADDRESSES, search
from openkline.obd.session import WAYS, ObdSession, Way
from openkline.terminal import echo

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

AUTO = -1  # as an address


class HexNumber(click.ParamType[int]):
    """An address such as 33 or 0x13, always hexadecimal."""

    name = "hex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            number = int(str(value), 16)
        except ValueError:
            number = -1
        if not 0 <= number <= 0xFF:
            self.fail(f"{value!r} is not a hexadecimal number from 00 to FF", param, ctx)
        return number


class AddressOrAuto(HexNumber):
    """The address of an initialisation, or AUTO."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return AUTO if value == "auto" else super().convert(value, param, ctx)


class Timing(click.ParamType[dict[str, int]]):
    """`P2=100`, or several with commas."""

    name = "timing"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        try:
            return parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class Reach:
    """How the car is reached, as the command line says."""

    device: str | None
    profile: str | None
    init: str | None
    address: int | None
    baud: int | None
    car: str
    wait: int | None
    timing: tuple[dict[str, int], ...]

    def limits(self) -> Limits:
        found = {name: ms for one in self.timing for name, ms in one.items()}
        if self.wait is not None:
            found["p2"] = self.wait
        return Limits(**found)

    def kinds(self) -> tuple[str, ...]:
        return (self.init,) if self.init else tuple(kind for kind, _ in WAYS)

    def ways(self) -> tuple[Way, ...]:
        """() unless the command line names something."""
        if self.init is None and self.address is None:
            return ()
        addresses = ADDRESSES if self.address == AUTO else (0x33 if self.address is None else self.address,)
        return tuple((kind, address) for address in addresses for kind in self.kinds())

    def profile_name(self) -> str:
        """A virtual car is remembered only under a name that is given."""
        if self.profile is None:
            return "" if self.device == "sim" else profiles.DEFAULT_NAME
        return "" if self.profile == "none" else self.profile


def car_options(command: F) -> F:
    """-d and how the car is reached; the command gets `reach`."""
    for option in reversed(
        (
            device_option,
            click.option(
                "--profile",
                metavar="NAME",
                help="Remember the car under this name, for a faster start next time; none: don't.  [default: car]",
            ),
            click.option(
                "--init", type=click.Choice(["slow", "fast"]), help="Only this initialisation (default: both)."
            ),
            click.option(
                "--address",
                type=AddressOrAuto(),
                help="Initialise this address instead of 33 (hexadecimal); auto: try the usual ones, half a minute.",
            ),
            click.option(
                "--baud",
                type=click.IntRange(1200, 15000),
                help="Rate to begin with; slow initialisation measures it anyway.  [default: 10400]",
            ),
            click.option(
                "--wait",
                type=click.IntRange(*RANGES["P2"]),
                metavar="MS",
                help="Time to wait for an answer (the standard's P2max is 50; raw: 100); four times as long "
                "where nothing comes.",
            ),
            click.option(
                "--timing",
                type=Timing(),
                multiple=True,
                metavar="P2=MS",
                help="Limits for a car that does not keep to the standard's, in ms: P1 (20), P2 (50), P3 (55), W1 "
                "(300). See docs/obd.md.",
            ),
            click.option("--car", default="obd", help="Virtual car for -d sim: a name or a file."),
        )
    ):
        command = option(command)
    return command


def reach_of(words: dict[str, Any]) -> Reach:
    """Take the car_options out of a command's words; also sets up logging."""
    set_up_logging(2)
    names = ("device", "profile", "init", "address", "baud", "car", "wait", "timing")
    reach = Reach(**{name: words.pop(name) for name in names})
    if reach.wait is not None and any("p2" in one for one in reach.timing):
        raise click.UsageError("either --wait or --timing P2=..: they set the same limit")
    if reach.profile and reach.profile != "none":
        try:
            profiles.path_of(reach.profile)
        except OpenklineError as error:
            raise click.BadParameter(str(error), param_hint="--profile") from error
    return reach


def tell_progress(text: str) -> None:
    echo(f"  {text}", err=True)


@contextlib.asynccontextmanager
async def opened_car(reach: Reach, connect: bool = True, whole: bool = True) -> AsyncIterator[Diagnostics]:
    """The board in OBD mode, and the car connected (progress on stderr).

    whole: ObdError where the car has gone meanwhile: then silence says nothing about what it has.
    """
    async with opened_device(reach.device, reach.car, "obd", about="") as board:
        session = ObdSession(board, reach.profile_name(), reach.limits())
        try:
            if connect and reach.address == AUTO:
                await search(session, reach.kinds(), reach.baud or 0, tell_progress)
            elif connect:
                await session.connect(reach.ways(), reach.baud or 0, tell_progress)
            car = Diagnostics(session)
            yield car
            if car.damaged:
                echo("  an answer stayed damaged despite repetitions: something may be missing here", err=True)
            if connect and whole and not session.alive:
                raise ObdError("the car stopped answering halfway through. Is the ignition still on?", "silent")
        finally:
            await session.close()


async def unless_damaged(asked: Awaitable[T], nothing: T) -> T:
    """What was asked for; `nothing` where only damaged answers came, which opened_car() says at the end."""
    try:
        return await asked
    except ObdError as error:
        if error.name != "damaged":
            raise
        return nothing


def ecu_key(ecu: int) -> str:
    """In JSON: `10`; `FF`, as on the link, where the frames carry no address."""
    return f"{ecu & 0xFF:02X}"


def ecu_name(ecu: int | str) -> str:
    """For a person, of an address or an ecu_key()."""
    key = ecu if isinstance(ecu, str) else ecu_key(ecu)
    return "ECU" if key == "FF" else f"ECU {key}"


def number(value: int | float) -> str:
    """`840`, `14.1`, `12000`: never with an exponent."""
    if isinstance(value, int):
        return str(value)
    size = abs(value)
    return f"{value:.0f}" if size >= 1000 else f"{value:.4g}" if size >= 0.001 else f"{value:.4f}"


def cells_json(cells: list[Cell]) -> dict[str, Any]:
    """Each value by name; `missing`: why some are null. Of bits and codes the number; of unknown PIDs the bytes."""
    missing = {cell.name: cell.why for cell in cells if cell.why}
    return {cell.name: _plain(cell.value) for cell in cells} | ({"missing": missing} if missing else {})


def _plain(value: pids.Value) -> int | float | str | None:
    return hex_bytes(value.data) if isinstance(value, RawValue) else value.value


def in_words(cell: Cell) -> str:
    """`840 rpm`, `closed loop: ..`, `refused (12: ..)`"""
    return cell.why or shown(cell.value)


def shown(value: pids.Value) -> str:
    """`840 rpm`, `14.1 V`, `closed loop: oxygen sensors control the mixture`; hexadecimal where there are no words."""
    if value.value is None:
        return "not used"
    if isinstance(value, RawValue):
        return hex_bytes(value.data)
    if isinstance(value.value, int) and value.unit in ("bits", "code"):
        return _meaning(value.name, value.value)
    return f"{number(value.value)} {value.unit}".rstrip()


def _meaning(name: str, raw: int) -> str:
    pid = pids.number(name)
    fields = pids.fields(pid)
    at = [field.name for field in fields].index(name)
    field = fields[at]
    digits = raw.to_bytes(field.size, "big")
    data = bytearray(field.length)
    data[field.first : field.first + field.size] = digits
    words = describe(pid, data)
    if len(fields) > 1:
        return words[at]  # each says something of its own
    return ", ".join(words) or digits.hex(" ").upper()


def print_json(fields: dict[str, Any]) -> None:
    echo(json.dumps(fields), wrap=False)
