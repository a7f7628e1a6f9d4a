"""Shared by the commands: options, how frames look on a terminal, and where messages go."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from kline.protocol.ibus import names
from openkline.bus import BusFrame, hex_bytes
from openkline.lazy import LazyModule

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

DEVICE_HELP = "Board: a serial port, socket://HOST:PORT, auto (find it by its USB id), or sim (virtual board)."

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

    names_of = {0: logging.INFO, 1: logging.DEBUG, 2: logging.WARNING, 3: logging.ERROR, 4: logging.INFO}
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(message)s"))
    logger = logging.getLogger("openkline")
    logger.handlers[:] = [handler]
    logger.setLevel(names_of[level])
    logger.propagate = False
    if as_json:  # messages of libraries and of Python itself, too
        logging.root.handlers[:] = [handler]
        logging.captureWarnings(True)


def tell(text: str, as_error: bool = False) -> None:
    """A line on stderr for people; a message like all others when those are JSON. Never an OSError."""
    from openkline.log.json_lines import JsonLines

    logger = logging.getLogger("openkline")
    if any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        logger.log(logging.ERROR if as_error else logging.INFO, "%s", text)
    else:
        with contextlib.suppress(OSError):  # a full disk, or the terminal is gone
            click.echo(text, err=True)


def tell_error(text: str) -> None:
    """The error that ends a command."""
    tell(f"openkline: {text}", as_error=True)


def ask(question: str, done: str) -> None:
    """Continue on yes, else end the command. done: what was then not done, such as "sent". For commands with --yes."""
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as abort:
        hint = "" if sys.stdin.isatty() else " Without a terminal, use --yes."
        click.echo(f"\nNothing was {done}.{hint}", err=True)
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def pretty(colour: bool, elapsed: bool = False) -> Callable[[BusFrame], bytes]:
    """A frame as one line for people: time (elapsed: since some start), who to whom, about what, the bytes."""
    dim, bold, own, off = ("\x1b[2m", "\x1b[1m", "\x1b[33m", "\x1b[0m") if colour else ("", "", "", "")

    def render(frame: BusFrame) -> bytes:
        second, millis = divmod(int(frame.time * 1000), 1000)
        clock = f"+{frame.time:.3f}" if elapsed else _clock(second, millis) if frame.time else "-"
        data = frame.data
        route = f"{names.address_name(data[0]):>4} -> {names.address_name(data[2]):<4}"
        about = names.message_name(data[0], data[2], data[3])
        mark = f"{own}*{off}" if frame.own else " "
        line = f"{dim}{clock:>12}{off} {mark}{bold}{route}{off}  {about:<34} {dim}{hex_bytes(data)}{off}\n"
        return line.encode("utf-8", "replace")

    return render


def _clock(second: int, millis: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second)) + f".{millis:03d}"


def terminal_renderer(as_json: bool, plain: Callable[[BusFrame], bytes] | None = None) -> Callable[[BusFrame], bytes]:
    """How frames go to stdout: as JSON on request, else as lines for people; `plain` if stdout is not a terminal."""
    if as_json:
        from openkline.log.formats import JsonFormat

        return JsonFormat().write
    if sys.stdout.isatty():
        return pretty(colour="NO_COLOR" not in os.environ)
    return plain or pretty(colour=False)


def stop_on_signals(stop: asyncio.Event, signals: Sequence[str] = ("SIGINT", "SIGTERM")) -> None:
    """Set `stop` on one of the signals, where the platform has them."""
    loop = asyncio.get_running_loop()
    for name in signals:
        number = getattr(signal, name, None)
        if number is not None:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.add_signal_handler(number, stop.set)
