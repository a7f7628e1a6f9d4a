"""Shared by the commands: options, how frames look on a terminal, and where messages go."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import rich_click as click

from kline.protocol.ibus import names
from openkline.bus import BusFrame, hex_bytes
from openkline.lazy import LazyModule
from openkline.printable import printable
from openkline.terminal import BOLD, DIM, OFF, RED, YELLOW, colours, echo, width_of

if TYPE_CHECKING:
    import asyncio
    import logging
    import shlex
    import signal
else:
    asyncio = LazyModule("asyncio")
    logging = LazyModule("logging")
    shlex = LazyModule("shlex")
    signal = LazyModule("signal")

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 4287  # "IBUS" on a telephone's keys

DEVICE_HELP = (
    "Board: a serial port, socket://HOST:PORT, auto (find it by its USB id), id:ID (its own id, as `openkline status` "
    "shows it), or sim (virtual board)."
)

device_option = click.option(
    "-d",
    "--device",
    metavar="DEVICE",
    help=DEVICE_HELP,
)
address_option = click.option(
    "-i", "--address", default=DEFAULT_ADDRESS, show_default=True, metavar="HOST", help="IP address of the bridge."
)
port_option = click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    metavar="PORT",
    help="TCP port of the bridge.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, one object per line.")


class HexBytes(click.ParamType[bytes]):
    """Hex bytes in any common notation: `68 18 01`, `681801`, `68:18:01`, `0x68 0x18`."""

    name = "hex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        words = str(value).replace(":", " ").replace(",", " ").split()
        try:
            return bytes.fromhex("".join(word.lower().removeprefix("0x").rjust(2, "0") for word in words))
        except ValueError:
            self.fail(f"{value!r} is not a list of hex bytes such as 68 18 01", param, ctx)


def shell_words(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Callback of an option: its text, split into words as by a shell."""
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from error


def set_up_logging(level: int, as_json: bool = False) -> None:
    """Messages to stderr. Levels as the original gateway counts them: 0 info, 1 debug, 2 warn, 3 error, 4 raw."""
    from openkline.log.json_lines import JsonLines
    from openkline.log.moderated import Moderated
    from openkline.log.plain_lines import PlainLines

    names_of = {0: logging.INFO, 1: logging.DEBUG, 2: logging.WARNING, 3: logging.ERROR, 4: logging.INFO}
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines() if as_json else PlainLines(for_terminal=True))
    handler = Moderated(stream)
    logger = logging.getLogger("openkline")
    logger.handlers[:] = [handler]
    logger.setLevel(names_of[level])
    logger.propagate = False
    logging.root.handlers[:] = [handler]  # messages of libraries and of Python itself
    logging.captureWarnings(as_json)


def tell(text: str, as_error: bool = False) -> None:
    """A line on stderr for people; a message like all others when those are JSON. Never an OSError."""
    from openkline.log.json_lines import JsonLines

    logger = logging.getLogger("openkline")
    if any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        logger.log(logging.ERROR if as_error else logging.INFO, "%s", text)
    else:
        with contextlib.suppress(OSError):  # a full disk, or the terminal is gone
            echo(text, err=True, paint={"openkline:": RED} if as_error else None)


def tell_error(text: str) -> None:
    """The error that ends a command."""
    tell(f"openkline: {text}", as_error=True)


def ask(question: str, done: str) -> None:
    """Continue on yes, else end the command. done: what was then not done, such as "sent". For commands with --yes."""
    try:
        click.confirm(printable(question), abort=True, err=True)
    except click.Abort as abort:
        hint = "" if sys.stdin.isatty() else " Without a terminal, use --yes."
        echo(f"\nNothing was {done}.{hint}", err=True)
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def pretty(stream: TextIO, elapsed: bool = False) -> Callable[[BusFrame], bytes]:
    """A frame for people: time (elapsed: since some start), who to whom, about what, the bytes.

    One line; on a narrow terminal the bytes that don't fit stand below it.
    """
    dim, bold, own, off = (DIM, BOLD, YELLOW, OFF) if colours(stream) else ("", "", "", "")

    def render(frame: BusFrame) -> bytes:
        second, millis = divmod(int(frame.time * 1000), 1000)
        clock = f"+{frame.time:.3f}" if elapsed else _clock(second, millis) if frame.time else "-"
        data = frame.data
        route = f"{names.address_name(data[0]):>4} -> {names.address_name(data[2]):<4}"
        about = names.message_name(data[0], data[2], data[3])
        mark = f"{own}*{off}" if frame.own else " "
        used = len(f"{clock:>12}  {route}  ")
        rest = _about_and_bytes(about, hex_bytes(data), used, width_of(stream))
        rest = rest[: len(about)] + dim + rest[len(about) :] + off
        line = f"{dim}{clock:>12}{off} {mark}{bold}{route}{off}  {rest}\n"
        return line.encode("utf-8", "replace")

    return render


def _about_and_bytes(about: str, data: str, used: int, width: int | None) -> str:
    """What follows `used` columns of a line; below one another where the terminal (None: there is none) is narrow."""
    line = f"{about:<34} {data}"
    room = sys.maxsize if width is None else width - used
    if len(line) <= room:
        return line
    if len(about) + 2 + len(data) <= room:
        return about + data.rjust(room - len(about))
    step = max((room + 1) // 3, 4) * 3  # "80 ": whole bytes only
    rows = [data[at : at + step].rstrip() for at in range(0, len(data), step)]
    return "\n".join([about, *(" " * used + row for row in rows)])


def _clock(second: int, millis: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second)) + f".{millis:03d}"


def terminal_renderer(as_json: bool, plain: Callable[[BusFrame], bytes] | None = None) -> Callable[[BusFrame], bytes]:
    """How frames go to stdout: as JSON on request, else as lines for people; `plain` if stdout is not a terminal."""
    if as_json:
        from openkline.log.formats import JsonFormat

        return JsonFormat().write
    if sys.stdout.isatty():
        return pretty(sys.stdout)
    return plain or pretty(sys.stdout)


def stop_on_signals(stop: asyncio.Event, signals: Sequence[str] = ("SIGINT", "SIGTERM")) -> None:
    """Set `stop` on one of the signals, where the platform has them."""
    loop = asyncio.get_running_loop()
    for name in signals:
        number = getattr(signal, name, None)
        if number is not None:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.add_signal_handler(number, stop.set)
