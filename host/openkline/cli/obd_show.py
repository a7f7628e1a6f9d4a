"""How live values are shown: a table that is drawn over, lines, CSV, JSON."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from kline.protocol.obd.words import quantity
from openkline.bus import hex_bytes
from openkline.cli.obd_common import cells_json, in_words, number, print_json
from openkline.obd.live import Cell, RawValue
from openkline.terminal import console, echo

if TYPE_CHECKING:
    from rich.console import Console

_BARS = "▁▂▃▄▅▆▇█"
_HISTORY = 40
_WIDEST_VALUE = 20  # of words, beside a curve
_NO_CURVE = ("bits", "code")  # units of what is no quantity


class Show(Protocol):
    """show() gets each round; gone(): the car is away, and what was shown is old."""

    def show(self, at_s: float, cells: list[Cell]) -> None: ...

    def gone(self) -> None: ...


class Lines:
    def show(self, at_s: float, cells: list[Cell]) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(at_s)) + f".{int(at_s * 1000) % 1000:03d}"
        echo(f"{clock}  " + "  ".join(f"{cell.name} {in_words(cell)}" for cell in cells))

    def gone(self) -> None:
        pass


class Json:
    """One object a round."""

    def show(self, at_s: float, cells: list[Cell]) -> None:
        print_json({"time": round(at_s, 3), **cells_json(cells)})

    def gone(self) -> None:
        pass


class Csv:
    """cells: as LiveValues.begin() tells them: the columns, behind local date and time and seconds since 1970."""

    def __init__(self, cells: list[Cell]) -> None:
        titles = (f"{cell.name} [{cell.value.unit}]" if cell.value.unit else cell.name for cell in cells)
        echo(_row(["time", "unix time [s]", *titles]), wrap=False)

    def show(self, at_s: float, cells: list[Cell]) -> None:
        at_s = round(at_s, 3)
        at = datetime.datetime.fromtimestamp(at_s).isoformat(" ", "milliseconds")
        echo(_row([at, f"{at_s:.3f}", *(_number(cell) for cell in cells)]), wrap=False)

    def gone(self) -> None:
        pass


def _number(cell: Cell) -> str:
    value = cell.value.value
    if isinstance(cell.value, RawValue):
        return hex_bytes(cell.value.data)
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _row(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


def sparkline(values: list[float]) -> str:
    """One block for each value, from the lowest to the highest of them."""
    if not values:
        return ""
    low, high = min(values), max(values)
    top = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / (high - low) * top) if high > low else 0] for value in values)


class Table(contextlib.AbstractContextManager["Table"]):
    """On a terminal, drawn over: what, value, and where there is room a curve with its lowest and highest."""

    def __init__(self, screen: Console | None = None) -> None:
        from rich.live import Live

        # What goes to stderr appears above the table where both are the same terminal.
        self._live = Live(console=screen or console(), auto_refresh=False, redirect_stderr=sys.stderr.isatty())
        self._history: dict[str, deque[float]] = {}
        self._times: deque[float] = deque(maxlen=_HISTORY)
        self._cells: list[Cell] = []

    def __enter__(self) -> Table:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, at_s: float, cells: list[Cell]) -> None:
        self._times.append(at_s)
        self._cells = cells
        for cell in cells:
            history = self._history.setdefault(cell.name, deque(maxlen=_HISTORY))
            if isinstance(cell.value, RawValue):
                continue  # no quantity
            if cell.value.value is not None and cell.value.unit not in _NO_CURVE:
                history.append(cell.value.value)
        span_s = self._times[-1] - self._times[0]
        rate = f"{(len(self._times) - 1) / span_s:.1f} rounds/s" if span_s > 0 else ""
        self._draw(rate, [in_words(cell) for cell in cells])

    def gone(self) -> None:
        """The values would look as if they were still so."""
        self._times.clear()
        if self._cells:
            self._draw("the car is not there", ["-"] * len(self._cells))

    def _draw(self, title: str, words: list[str]) -> None:
        from rich.table import Table as RichTable

        names = [
            quantity(cell.value.name) + (f", ECU {cell.ecu:02X}" if cell.ecu is not None else "")
            for cell in self._cells
        ]
        ends = [self._ends(cell) for cell in self._cells]
        # Between columns, and at both sides, 3 characters of frame; the curve is given what is left.
        wide = [max(map(len, column), default=0) for column in (names, words, *zip(*ends, strict=True))]
        wide[1] = min(wide[1], _WIDEST_VALUE)
        room = self._live.console.width - sum(max(n, 7) for n in wide) - 16
        table = RichTable("", title=title or None, title_justify="left")
        table.add_column("value", max_width=_WIDEST_VALUE if room >= len("curve") else None)
        if room >= len("curve"):
            for column in ("curve", "lowest", "highest"):
                table.add_column(column, no_wrap=True)
        for cell, name, word, (low, high) in zip(self._cells, names, words, ends, strict=True):
            curve = sparkline(list(self._history[cell.name])[-room:]) if room > 0 else ""
            table.add_row(name, word, *((curve, low, high) if room >= len("curve") else ()))
        self._live.update(table, refresh=True)

    def _ends(self, cell: Cell) -> tuple[str, str]:
        history = self._history[cell.name]
        return (number(min(history)), number(max(history))) if history else ("", "")
