"""`openkline log`: read, filter, convert and count bus logs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import rich_click as click

from kline.protocol.ibus import names
from kline.protocol.ibus.frames import BYTE_US
from openkline.bus import BusFrame
from openkline.cli.common import pretty
from openkline.errors import OpenklineError
from openkline.log.formats import FORMATS, LogFrame, LogProblem
from openkline.log.reader import READERS, read_frames
from openkline.terminal import echo

_MAX_SHOWN_PROBLEMS = 20


@dataclass
class Statistics:
    """What --stats prints."""

    frames: int = 0
    bytes: int = 0
    first_s: float | None = None
    last_s: float | None = None
    problems: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)

    def add(self, frame: LogFrame) -> None:
        self.frames += 1
        self.bytes += len(frame.data)
        if frame.time is not None:
            self.first_s = frame.time if self.first_s is None else self.first_s
            self.last_s = frame.time
        source, _, destination, kind = frame.data[:4]
        self.sources[names.address_name(source)] += 1
        self.messages[names.message_name(source, destination, kind)] += 1

    def as_dict(self) -> dict[str, object]:
        seconds = (self.last_s or 0.0) - (self.first_s or 0.0)
        load = self.bytes * BYTE_US / 1e6 / seconds if seconds > 0 else None
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "seconds": round(seconds, 6),
            "bus_load": None if load is None else round(load, 4),
            "unreadable": self.problems,
            "sources": dict(self.sources.most_common()),
            "messages": dict(self.messages.most_common()),
        }


class Problems:
    """Reports what can't be read, each with its line, up to a limit."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = self.frames = 0

    def __call__(self, problem: LogProblem) -> None:
        self.count += 1
        if self.count <= _MAX_SHOWN_PROBLEMS:
            line = f":{problem.line}" if problem.line else ""
            text = f": {problem.text[:80]}" if problem.text else ""
            echo(f"{self.name}{line}: {problem.reason}{text}", err=True)
        elif self.count == _MAX_SHOWN_PROBLEMS + 1:
            echo(f"{self.name}: further unreadable lines are counted, not shown", err=True)

    def counted(self, frames: Iterable[LogFrame]) -> Iterator[LogFrame]:
        for frame in frames:
            self.frames += 1
            yield frame

    def verdict(self) -> str:
        """Why this file was hardly a log; "" when it was one, or empty."""
        if self.count and not self.frames:
            return f"{self.name}: no frame found. `--from raw` reads it as bytes of the wire"
        if self.count > self.frames:
            return f"{self.name}: more unreadable lines ({self.count}) than frames ({self.frames})"
        return ""


def _wanted(frames: Iterable[LogFrame], only: tuple[set[int], set[int], set[int]]) -> Iterator[LogFrame]:
    source, destination, message = only
    for frame in frames:
        data = frame.data
        if (
            (not source or data[0] in source)
            and (not destination or data[2] in destination)
            and (not message or data[3] in message)
        ):
            yield frame


class HexByte(click.ParamType[int]):
    name = "hex"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(str(value), 16)
        except ValueError:
            number = -1
        if not 0 <= number <= 255:
            self.fail(f"{value!r} is not one byte in hex, such as 68", param, ctx)
        return number


@click.command(
    epilog="Examples: openkline log ibus.log --source 68; openkline log capture.bin --to gateway; "
    "openkline log ibus.log --stats; tail -f ibus.log | openkline log -"
)
@click.argument("files", nargs=-1, required=True, type=click.File("rb"), metavar="FILE...")
@click.option(
    "--from", "how", type=click.Choice(READERS), default="auto", show_default=True, help="Read as text or as bytes."
)
@click.option("--to", type=click.Choice(["text", *FORMATS]), default="text", show_default=True, help="Output format.")
@click.option("--json", "as_json", is_flag=True, help="Same as --to json.")
@click.option("--source", multiple=True, type=HexByte(), help="Only frames from this address (repeatable).")
@click.option("--destination", multiple=True, type=HexByte(), help="Only frames to this address (repeatable).")
@click.option("--message", multiple=True, type=HexByte(), help="Only frames with this first data byte (repeatable).")
@click.option("--stats", is_flag=True, help="Print statistics instead of frames.")
def log(
    files: tuple[BinaryIO, ...],
    how: str,
    to: str,
    as_json: bool,
    source: tuple[int, ...],
    destination: tuple[int, ...],
    message: tuple[int, ...],
    stats: bool,
) -> None:
    """Read, filter and convert bus logs and captures of any program.

    Reads logs of gateways, NavCoder and BlueBus, JSON lines, hex in any text, dumps, one byte per line, and raw bytes
    of the wire; gzip, too. `-` is stdin. A line that can't be read is reported on stderr and skipped.

    Exit status 1: a file held no frame, or more unreadable lines than frames.
    """
    show = None if stats else _renderer("json" if as_json else to)
    only = set(source), set(destination), set(message)
    verdicts: list[str] = []
    statistics = Statistics()
    try:
        for file in files:
            problems = Problems(str(getattr(file, "name", "-")))
            frames = _wanted(problems.counted(read_frames(file, problems, how)), only)
            _show(frames, statistics, show, flush=not file.seekable())
            statistics.problems += problems.count
            verdicts.append(problems.verdict())
        if stats:
            _print_statistics(statistics, as_json)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        sys.stderr.close()
        return
    if any(verdicts):
        raise OpenklineError("; ".join(filter(None, verdicts)))


def _show(
    frames: Iterable[LogFrame], statistics: Statistics, show: Callable[[LogFrame], bytes] | None, flush: bool
) -> None:
    """flush: each frame at once, as `tail -f` wants it; show: None counts only."""
    out = sys.stdout.buffer
    for frame in frames:
        statistics.add(frame)
        if show is not None:
            out.write(show(frame))
            if flush:
                out.flush()


def _renderer(to: str) -> Callable[[LogFrame], bytes]:
    if to != "text":
        return FORMATS[to]().write
    absolute, relative = pretty(sys.stdout), pretty(sys.stdout, elapsed=True)
    return lambda frame: (relative if frame.relative else absolute)(BusFrame(frame.time or 0.0, frame.data, frame.own))


def _print_statistics(statistics: Statistics, as_json: bool) -> None:
    result = statistics.as_dict()
    if as_json:
        echo(json.dumps(result), wrap=False)
        return
    for name, value in result.items():
        if isinstance(value, dict):
            echo(f"{name}:")
            for word, count in value.items():
                echo(f"  {count:7d}  {word}")
        else:
            echo(f"{name}: {'unknown, the log has no times' if value is None else value}")
