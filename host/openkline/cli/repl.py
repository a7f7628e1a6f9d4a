"""`openkline repl`: the MicroPython prompt on the board."""

from __future__ import annotations

import asyncio
import sys

import rich_click as click

from openkline.cli import returns
from openkline.cli.common import device_option
from openkline.device.port import Port, SimPort, port_for
from openkline.device.prompt import reach_prompt
from openkline.device.sim import SimOptions
from openkline.errors import DeviceError
from openkline.programs import python_program
from openkline.terminal import echo


@click.command(epilog="Examples: openkline repl; openkline repl -d sim --car obd")
@device_option
@click.option("--car", default="demo", show_default=True, help="With -d sim: the virtual car.")
@click.pass_context
def repl(ctx: click.Context, device: str | None, car: str) -> None:
    """Open the MicroPython prompt on the board.

    Stops the board's application, then runs mpremote's terminal; Ctrl-] leaves it. Ctrl-D, the reset button or
    `openkline bridge` starts the application again.
    """
    if not sys.stdin.isatty():  # mpremote would find out when the application has quit
        raise click.UsageError("the MicroPython prompt needs a terminal, but standard input is not one")
    ctx.exit(asyncio.run(_repl(device or "auto", car)))


async def _repl(device: str, car: str) -> int:
    if "://" in device:
        raise DeviceError(f"{device}: the prompt needs a serial port; give one with -d, or sim")
    port = port_for(device, SimOptions(car=car))
    echo("stopping the board's application, waiting for the prompt", err=True)
    try:
        await reach_prompt(port)
        echo("the application has stopped; press Enter for the prompt", err=True)
        command, environment = python_program("mpremote", "connect", _path(port), "resume", "repl")
        if isinstance(port, SimPort):
            return await returns.run(command, environment)
        program = await asyncio.create_subprocess_exec(*command, env=environment)
        return await program.wait()
    finally:
        await port.close()


def _path(port: Port) -> str:
    return port.board.path if isinstance(port, SimPort) else port.name
