"""`openkline obd live`"""

from __future__ import annotations

import asyncio
import difflib
import sys
import time
from collections.abc import Coroutine
from typing import Any

import rich_click as click

from kline.protocol.obd import pids
from openkline.cli.common import json_option, stop_on_signals
from openkline.cli.numbers import Number
from openkline.cli.obd_common import car_options, ecu_name, opened_car, reach_of
from openkline.cli.obd_show import Csv, Json, Lines, Show, Table
from openkline.errors import ObdError
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.live import Cell, LiveValues
from openkline.terminal import echo

_USUAL = ("RPM", "SPEED", "COOLANT", "LOAD", "THROTTLE", "VOLTAGE")
_RETRY_S = 1.0
# The car went away: it is asked again until it is back. Anything else ends the command.
_AWAY = ("no_car", "silent", "too_soon", "no_echo", "echo_wrong", "stuck_low", "busy", "no_sync", "sync_wrong",
         "no_key_bytes", "no_address", "late", "interrupted", "timeout")  # fmt: skip


class Pid(click.ParamType[int]):
    """A quantity's name, or a PID in hexadecimal."""

    name = "pid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number = pids.number(str(value))
        if number < 0:
            try:
                number = int(str(value), 16)
            except ValueError:
                number = -1
        if not 0 <= number <= 0xFF:
            names = [field.name for pid in pids.known() for field in pids.fields(pid)]
            near = difflib.get_close_matches(str(value).upper(), names, 3)
            hint = "; did you mean " + ", ".join(near) if near else ""
            self.fail(f"{value!r} is neither a quantity known here nor a PID from 00 to FF{hint}", param, ctx)
        return number


@click.command(epilog="Examples: openkline obd live RPM SPEED; openkline obd live --csv RPM 05 > drive.csv")
@click.argument("wanted", metavar="[PID]...", nargs=-1, type=Pid())
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values on stdout.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after this many rounds.")
@click.option("--interval", type=Number(0, 3600), default=0.0, metavar="S", help="Seconds between rounds.")
@click.option(
    "--fastest",
    is_flag=True,
    help="Ask the ECU for its shortest times (AccessTimingParameters); only with the --address of one ECU: those of "
    "address 33 are fixed by ISO 14230-4.",
)
@car_options
@json_option
def live(
    wanted: tuple[int, ...],
    as_csv: bool,
    count: int | None,
    interval: float,
    fastest: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Values as they change: PIDs by name (RPM, SPEED ..) or number (0C); without any, the usual ones.

    PIDs that are not known here are shown as the bytes that came.

    A table with a curve on a terminal, otherwise lines. Goes on when the car comes back after the ignition was off.
    """
    if as_csv and as_json:
        raise click.UsageError("either --csv or --json")
    reach = reach_of(words)

    async def work() -> None:
        async with opened_car(reach, whole=False) as car:
            if fastest:
                await _faster(car)
            chosen = list(dict.fromkeys(wanted)) or await _usual(car)
            values = LiveValues(car.session, chosen)
            cells = await values.begin()
            if as_csv or as_json or not sys.stdout.isatty():
                await rounds(values, Csv(cells) if as_csv else Json() if as_json else Lines(), count, interval)
            else:
                with Table() as table:
                    await rounds(values, table, count, interval)

    asyncio.run(_until_stopped(work()))


async def _faster(car: Diagnostics) -> None:
    try:
        times = await car.session.timing(fastest=True)
        echo(
            f"  the ECU answers after {times.p2_min_us / 1000:g} ms, and takes the next request after "
            f"{times.p3_min_us / 1000:g} ms", err=True
        )  # fmt: skip
    except ObdError as error:
        if error.name == "not_allowed":
            raise ObdError(f"{error}: name one ECU, such as --address 10", "not_allowed") from None
        echo(f"  no faster: {error}", err=True)


async def _usual(car: Diagnostics) -> list[int]:
    have = await car.supported()
    chosen = [pid for pid in map(pids.number, _USUAL) if pid in have]
    if not chosen:
        raise ObdError(
            "the car has none of the usual values: name some (openkline obd scan lists what it has)", "silent"
        )
    return chosen


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Until it ends, or Ctrl-C or SIGTERM breaks it off, whatever it waits for."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait((working,))
    elif not working.cancelled():
        working.result()


async def rounds(values: LiveValues, to: Show, count: int | None, interval_s: float) -> None:
    """Without an interval the next round is asked for before the present one is complete: the car never waits."""
    away = ""
    under_way: list[asyncio.Task[list[Cell]]] = []
    strangers: set[tuple[int, int]] = set()
    try:
        while count is None or count > 0:
            begun_s = time.monotonic()
            ahead = 1 if interval_s or away or count == 1 else 2
            while len(under_way) < ahead:
                under_way.append(asyncio.create_task(values.round()))
            try:
                cells = await under_way[0]
            except ObdError as error:
                if error.name not in _AWAY:
                    raise
                await _drop(under_way)
                if error.name != away and not (away and error.name == "too_soon"):
                    echo(f"  the car is not there: {error}", err=True)
                    away = error.name
                    to.gone()
                await asyncio.sleep(_RETRY_S)
                continue
            del under_way[0]
            if away:
                echo("  the car is back", err=True)
                away = ""
            _tell_strangers(values.strangers - strangers)
            strangers |= values.strangers
            to.show(time.time(), cells)
            count = None if count is None else count - 1
            await asyncio.sleep(max(0.0, begun_s + interval_s - time.monotonic()))
    finally:
        await _drop(under_way)


def _tell_strangers(new: set[tuple[int, int]]) -> None:
    for pid, ecu in sorted(new):
        name = pids.fields(pid)[0].name
        echo(f"  {ecu_name(ecu)} has {name} too, but did not say so at the start: not shown", err=True)


async def _drop(under_way: list[asyncio.Task[list[Cell]]]) -> None:
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    under_way.clear()
