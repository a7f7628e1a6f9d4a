"""`openkline elm327`"""

from __future__ import annotations

import asyncio
import errno

import rich_click as click

from openkline.cli.common import device_option, set_up_logging, shell_words, stop_on_signals, tell
from openkline.cli.options import setting_options
from openkline.device.device import Device
from openkline.device.port import port_for
from openkline.device.sim import SimOptions
from openkline.elm.backend import BoardLine
from openkline.elm.options import DEFAULT_HOST, DEFAULT_PORT, ElmOptions, parse_listen
from openkline.elm.pseudo import PseudoPort
from openkline.elm.server import ElmServer
from openkline.errors import OpenklineError
from openkline.net.access import host_port
from openkline.obd.session import SETTINGS
from openkline.settings import settings_of
from openkline.terminal import echo


@click.command(
    epilog="Examples: openkline elm327 -d sim --car obd; openkline elm327 --listen 0.0.0.0:35000 "
    "--allow 192.168.0.0/24; openkline elm327 --pty"
)
@device_option
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    default=f"{DEFAULT_HOST}:{DEFAULT_PORT}",
    show_default=True,
    help="Address to listen on; for a phone use 0.0.0.0:35000 with --allow.",
)
@setting_options(settings_of(ElmOptions))
@click.option("--pty", "with_pty", is_flag=True, help="Also create a pseudo serial port and print its path on stdout.")
@click.option("--car", default="obd", help="With -d sim: the virtual car, a name or a file.")
@click.option(
    "--sim", default="", metavar="WORDS", callback=shell_words, help="With -d sim: more options for boards/SIM/boot.py."
)
@click.option("--log-json", is_flag=True, help="Print messages on stderr as JSON, one object per line.")
def elm327(
    device: str | None,
    listen: str,
    allow: tuple[str, ...],
    with_pty: bool,
    volts: float,
    uncounted_refusals: bool,
    car: str,
    sim: tuple[str, ...],
    log_json: bool,
) -> None:
    """Act as an ELM327 for OBD apps and programs.

    Phone apps and programs such as python-OBD connect over TCP and reach the car through the board's K-line
    (ISO 9141-2, ISO 14230-4), one client at a time. Messages go to stderr; Ctrl-C or SIGTERM stops it.
    """
    set_up_logging(0, log_json)
    host, port = parse_listen(listen)
    options = ElmOptions(host=host, port=port, allow=allow, volts=volts, uncounted_refusals=uncounted_refusals)
    name = device or "auto"
    board = Device(port_for(name, SimOptions(car=car, extra=sim)), SETTINGS)
    asyncio.run(_serve(board, options, with_pty, f"a virtual car ({car})" if name == "sim" else name))


async def _serve(board: Device, options: ElmOptions, with_pty: bool, about: str) -> None:
    server = ElmServer(BoardLine(board), options)
    pseudo = PseudoPort(server)
    stop = asyncio.Event()
    stop_on_signals(stop)
    try:
        await board.start()
        await server.start()
        if with_pty:
            echo(pseudo.start())
        tell(
            f"openkline elm327\n  board    {about}\n  clients  {host_port(options.host, server.port)}\n"
            + (f"  pty      {pseudo.path}\n" if with_pty else "")
            + "  stop     Ctrl-C"
        )
        await board.run_until(stop)
        tell("stopping")
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = "chooses another port" if taken else "must be an address of this computer and a port that you may use"
        raise OpenklineError(
            f"cannot listen on {host_port(options.host, options.port)} ({error.strerror or error}). --listen {remedy}"
        ) from error
    finally:
        pseudo.stop()
        await server.stop()
        await board.stop()
