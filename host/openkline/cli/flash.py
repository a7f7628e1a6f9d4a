"""`openkline flash`: install MicroPython and openkline on a board."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.cli.common import device_option
from openkline.cli.password import password_option
from openkline.flash.flasher import STEPS, Done, Flasher, dry_run
from openkline.flash.plan import Wishes
from openkline.flash.progress import Progress
from openkline.flash.trouble import AGAIN
from openkline.terminal import echo


def _at_home(path: Path) -> Path:
    """Make passes FIRMWARE=~/.. on as it is. Like a shell, leave ~x alone where there is no user x."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


@click.command(
    epilog="Examples: openkline flash; openkline flash -d /dev/ttyUSB0 --interface ibus-pc817; "
    "openkline flash --firmware ESP32_GENERIC-20260406-v1.28.0.bin"
)
@device_option
@click.option(
    "--board",
    metavar="NAME",
    help="Type of board (`openkline boards`).  [default: as last time, or by the chip found]",
)
@click.option(
    "--firmware",
    type=click.Path(path_type=Path),
    callback=lambda ctx, param, value: value and _at_home(value),
    help="MicroPython image that is already downloaded.",
)
@click.option("--interface", metavar="NAME", help="Circuit between board and wire.  [default: as last time, or ask]")
@click.option(
    "--pins", metavar="NAME", help="Alternative pins of the board, such as WROVER; `usual` for the standard ones."
)
@password_option("File with the password for later updates, 8 hex digits.  [default: as last time, or random]")
@click.option(
    "--mirror", metavar="URL", envvar="OPENKLINE_IMAGES", help="Download images from here instead of micropython.org."
)
@click.option(
    "--baud", type=click.IntRange(1200), help="Baud rate for flashing.  [default: 460800 on a serial port, else 115200]"
)
@click.option("--erase", is_flag=True, help="Erase the flash first, even if this MicroPython is already installed.")
@click.option("--dry-run", "only_plan", is_flag=True, help="Print what would be done; leave the board alone.")
def flash(only_plan: bool, **given: Any) -> None:
    """Install MicroPython and openkline on an ESP32 board, and test it.

    A board that runs other firmware is erased completely. If flashing stops at any point, run it again: it continues.
    """
    logging.getLogger("openkline").addHandler(logging.NullHandler())  # the steps tell what matters
    wishes = Wishes(**given)
    if only_plan:
        echo("\n".join(dry_run(wishes)))
        return
    try:
        done = Flasher(wishes, Progress(STEPS), ask).run()
    except KeyboardInterrupt:
        echo(f"interrupted: {AGAIN}", err=True)
        raise
    _tell_next(done)


def ask(question: str, lines: list[str]) -> int | None:
    """The index of the chosen line; None: no terminal to ask on."""
    if not sys.stdin.isatty():
        return None
    echo(f"\n{question}", err=True)
    for number, line in enumerate(lines, 1):
        echo(f"  {number}  {line}", err=True)
    try:
        answer = click.prompt("Number", type=click.IntRange(1, len(lines)), err=True)
    except click.Abort:  # Ctrl-C, as anywhere else
        raise KeyboardInterrupt from None
    return int(answer) - 1


def _tell_next(done: Done) -> None:
    first = "openkline obd live" if done.interface.mode == "obd" else "openkline bridge"
    echo(f"{done.profile.name} on {done.port} is ready. Next:")
    for command, what in (
        (f"openkline boards {done.profile.name}", "the wiring diagram"),
        (f"openkline doctor -d {done.port}", "check the wiring"),
        (f"{first} -d {done.port}", "connect to the car"),
    ):
        echo(f"  {command:<40} {what}")
