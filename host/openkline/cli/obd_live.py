"""`openkline obd live`"""

from __future__ import annotations

import asyncio
import csv
import difflib
import io
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import rich_click as click

from kline.protocol import pids
from openkline.cli.common import json_option, stop_on_signals
from openkline.cli.obd_common import car_options, opened_car, print_json, reach_of, shown
from openkline.errors import ObdError
from openkline.obd.diagnostics import Diagnostics

_USUAL = ("RPM", "SPEED", "COOLANT", "LOAD", "THROTTLE", "VOLTAGE")
_BARS = "▁▂▃▄▅▆▇█"
_HISTORY = 40
_RETRY_S = 1.0
# The car went away: it is asked again until it is back. Anything else ends the command.
_AWAY = ("no_car", "silent", "too_soon", "no_echo", "echo_wrong", "stuck_low", "busy", "no_sync", "sync_wrong",
         "no_key_bytes", "no_address", "late", "interrupted", "timeout")  # fmt: skip

Sample = dict[str, pids.Value]


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
        if not 0 <= number <= 0xFF or not pids.fields(number):
            names = [field.name for pid in pids.known() for field in pids.fields(pid)]
            near = difflib.get_close_matches(str(value).upper(), names, 3)
            self.fail(
                f"{value!r} is no PID known here{'; did you mean ' + ', '.join(near) if near else ''}", param, ctx
            )
        return number


@click.command(epilog="Examples: openkline obd live RPM SPEED; openkline obd live --csv RPM 05 > drive.csv")
@click.argument("wanted", metavar="[PID]...", nargs=-1, type=Pid())
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values on stdout.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many rounds.")
@click.option(
    "--interval", type=click.FloatRange(0, 3600), default=0.0, metavar="S", help="Seconds between two rounds."
)
@click.option(
    "--fastest",
    is_flag=True,
    help="Ask the ECU for its shortest times (AccessTimingParameters); only with the --address of one ECU, as the law "
    "fixes those of address 33.",
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

    A table with a curve on a terminal, otherwise lines. Goes on when the car comes back after the ignition was off.
    """
    if as_csv and as_json:
        raise click.UsageError("either --csv or --json")
    reach = reach_of(words)

    async def work() -> None:
        async with opened_car(reach) as car:
            if fastest:
                await _faster(car)
            chosen = list(dict.fromkeys(wanted)) or await _usual(car)
            show = _csv(chosen) if as_csv else _json if as_json else None
            if show is None and not sys.stdout.isatty():
                show = _lines
            if show is not None:
                await _rounds(car, chosen, show, count, interval)
            else:
                with Table() as table:
                    await _rounds(car, chosen, table.show, count, interval)

    asyncio.run(_until_stopped(work()))


async def _faster(car: Diagnostics) -> None:
    try:
        times = await car.session.timing(fastest=True)
        click.echo(
            f"  the ECU answers after {times.p2_min_us / 1000:g} ms, and takes the next request after "
            f"{times.p3_min_us / 1000:g} ms", err=True
        )  # fmt: skip
    except ObdError as error:
        if error.name == "not_allowed":
            raise ObdError(f"{error}: name one ECU, such as --address 10", "not_allowed") from None
        click.echo(f"  no faster: {error}", err=True)


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


async def _rounds(
    car: Diagnostics, chosen: list[int], show: Callable[[float, Sample], None], count: int | None, interval_s: float
) -> None:
    """Without an interval the next round is asked for before the present one is complete: the car never waits."""
    away = ""
    rounds: list[asyncio.Task[Sample]] = []
    try:
        while count is None or count > 0:
            begun_s = time.monotonic()
            ahead = 1 if interval_s or away or count == 1 else 2
            while len(rounds) < ahead:
                rounds.append(asyncio.create_task(_sample(car, chosen)))
            try:
                sample = await rounds[0]
            except ObdError as error:
                if error.name not in _AWAY:
                    raise
                await _drop(rounds)
                if error.name != away:
                    click.echo(f"  the car is not there: {error}", err=True)
                away = error.name
                await asyncio.sleep(_RETRY_S)
                continue
            del rounds[0]
            if away:
                click.echo("  the car is back", err=True)
                away = ""
            show(time.time(), sample)
            count = None if count is None else count - 1
            await asyncio.sleep(max(0.0, begun_s + interval_s - time.monotonic()))
    finally:
        await _drop(rounds)


async def _drop(rounds: list[asyncio.Task[Sample]]) -> None:
    for task in rounds:
        task.cancel()
    await asyncio.gather(*rounds, return_exceptions=True)
    rounds.clear()


async def _sample(car: Diagnostics, chosen: list[int]) -> Sample:
    """One round."""
    return {value.name: value for values in (await car.live_all(chosen)).values() for value in values}


def _json(at_s: float, sample: Sample) -> None:
    print_json({"time": round(at_s, 3), **{name: value.value for name, value in sample.items()}})


def _csv(chosen: list[int]) -> Callable[[float, Sample], None]:
    names = [(field.name, field.unit) for pid in chosen for field in pids.fields(pid)]
    click.echo(_row(["time", *(f"{name} [{unit}]" if unit else name for name, unit in names)]))

    def show(at_s: float, sample: Sample) -> None:
        values = [sample[name].value for name, _ in names]
        click.echo(_row([f"{at_s:.3f}", *("" if value is None else f"{value:g}" for value in values)]))

    return show


def _row(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


def _lines(at_s: float, sample: Sample) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(at_s)) + f".{int(at_s * 1000) % 1000:03d}"
    click.echo(f"{clock}  " + "  ".join(f"{name} {shown(value)}" for name, value in sample.items()))


def sparkline(values: list[float]) -> str:
    """One block for each value, from the lowest to the highest of them."""
    if not values:
        return ""
    low, high = min(values), max(values)
    top = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * top) if high > low else 0] for value in values)


class Table:
    """A table on the terminal that is drawn over: name, value, curve, lowest and highest of what it shows."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(auto_refresh=False)
        self._history: dict[str, deque[float]] = {}
        self._times: deque[float] = deque(maxlen=_HISTORY)

    def __enter__(self) -> Table:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, at_s: float, sample: Sample) -> None:
        from rich.table import Table as RichTable

        self._times.append(at_s)
        span_s = self._times[-1] - self._times[0]
        rate = f"{(len(self._times) - 1) / span_s:.1f} rounds/s" if span_s > 0 else ""
        table = RichTable("", "value", "curve", "lowest", "highest", title=rate, title_justify="left")
        for name, value in sample.items():
            history = self._history.setdefault(name, deque(maxlen=_HISTORY))
            if value.value is not None:
                history.append(value.value)
            ends = (f"{min(history):.4g}", f"{max(history):.4g}") if history else ("", "")
            table.add_row(value.text or name, shown(value), sparkline(list(history)), *ends)
        self._live.update(table, refresh=True)
