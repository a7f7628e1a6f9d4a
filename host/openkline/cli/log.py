"""`openkline log`: read, filter, convert and count bus logs."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import rich_click as click

from kline.protocol.ibus import names
from kline.protocol.ibus.frames import BYTE_US
from openkline.bus import BusFrame
from openkline.cli.common import pretty
from openkline.log.formats import FORMATS, LogFormat, LogFrame, LogProblem, detect

_HEAD = 512
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
        self.sources[names.address_name(frame.data[0])] += 1
        self.messages[names.message_name(frame.data[3])] += 1

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
    """Tells of what can't be read: each with its place, but not without end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    def __call__(self, problem: LogProblem) -> None:
        self.count += 1
        if self.count <= _MAX_SHOWN_PROBLEMS:
            text = f": {problem.text[:80]}" if problem.text else ""
            click.echo(f"{self.name}:{problem.line}: {problem.reason}{text}", err=True)
        elif self.count == _MAX_SHOWN_PROBLEMS + 1:
            click.echo(f"{self.name}: more lines can't be read; they are counted", err=True)


class _Again(io.RawIOBase):
    """What was read already, then the rest."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        # Not readinto1(): what it has, it gives only with more, where `into` is bigger than its buffer.
        data = self._head or self._rest.read1(len(into))  # type: ignore[attr-defined]
        n = min(len(into), len(data))
        into[:n], self._head = data[:n], data[n:]
        return n


def _reader(file: BinaryIO, name: str) -> tuple[LogFormat, BinaryIO]:
    """The format that was named, or that the first bytes show; and a stream that still has those bytes."""
    if name != "auto":
        return FORMATS[name](), file
    head = file.readline(_HEAD)  # whole, though it may come in pieces
    if detect(head).name == "raw":
        head += file.readline(_HEAD)  # the first line may be torn
    return detect(head), io.BufferedReader(_Again(head, file))


def _wanted(
    frames: Iterable[LogFrame], source: set[int], destination: set[int], message: set[int]
) -> Iterator[LogFrame]:
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
@click.option("--from", "log_format", type=click.Choice(["auto", *FORMATS]), default="auto", show_default=True)
@click.option("--to", type=click.Choice(["text", *FORMATS]), default="text", show_default=True, help="Output format.")
@click.option("--json", "as_json", is_flag=True, help="The same as --to json.")
@click.option("--source", multiple=True, type=HexByte(), help="Only frames from this address (repeatable).")
@click.option("--destination", multiple=True, type=HexByte(), help="Only frames to this address (repeatable).")
@click.option("--message", multiple=True, type=HexByte(), help="Only frames with this first data byte (repeatable).")
@click.option("--stats", is_flag=True, help="Count instead of printing frames.")
def log(
    files: tuple[BinaryIO, ...],
    log_format: str,
    to: str,
    as_json: bool,
    source: tuple[int, ...],
    destination: tuple[int, ...],
    message: tuple[int, ...],
    stats: bool,
) -> None:
    """Read gateway logs, NavCoder logs, raw bytes and JSON lines; filter, convert, count. `-` is stdin.

    A line that can't be read is reported on stderr and skipped.
    """
    render = pretty(sys.stdout.isatty()) if to == "text" and not as_json else None
    write = FORMATS["json" if as_json else to]().write if render is None else None
    statistics = Statistics()
    out = sys.stdout.buffer
    try:
        for file in files:
            reader, stream = _reader(file, log_format)
            live = not file.seekable()  # such as tail -f: whoever looks at it wants each frame now
            problems = Problems(str(getattr(file, "name", "-")))
            for frame in _wanted(reader.read(stream, problems), set(source), set(destination), set(message)):
                statistics.add(frame)
                if stats:
                    continue
                out.write(write(frame) if write else render(BusFrame(frame.time or 0.0, frame.data, frame.own)))  # type: ignore[misc]
                if live:
                    out.flush()
            statistics.problems += problems.count
        if stats:
            _print_statistics(statistics, as_json)
        out.flush()
    except BrokenPipeError:
        sys.stderr.close()


def _print_statistics(statistics: Statistics, as_json: bool) -> None:
    result = statistics.as_dict()
    if as_json:
        click.echo(json.dumps(result))
        return
    for name, value in result.items():
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for word, count in value.items():
                click.echo(f"  {count:7d}  {word}")
        else:
            click.echo(f"{name}: {'not known, without times' if value is None else value}")
