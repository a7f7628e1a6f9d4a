"""`openkline bridge`"""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click

from kline.protocol.link import records
from openkline import __version__
from openkline.bridge.bridge import Bridge, BridgeSettings
from openkline.bridge.events import EventRunner, load_events
from openkline.bridge.status import default_port
from openkline.cli.bridge_logs import add_logs
from openkline.cli.common import (
    DEFAULT_ADDRESS,
    DEFAULT_PORT,
    device_option,
    set_up_logging,
    shell_words,
    tell,
)
from openkline.cli.config import config_options, current_config
from openkline.device import ports
from openkline.device.port import port_for
from openkline.device.replay import ReplayOptions
from openkline.device.sim import SimOptions
from openkline.device.state import DeviceSettings
from openkline.elm.options import ElmOptions, parse_listen
from openkline.errors import DeviceAmbiguous, DeviceError, OpenklineError
from openkline.net.access import host_port

log = logging.getLogger("openkline.bridge.bridge")


@dataclass(slots=True)
class Options:
    """The command line of `bridge`."""

    device: str | None
    level: int | None
    file: Path | None
    events: Path | None
    event_timeout: float
    event_shell: bool
    clients: int
    port: int
    address: str
    timeout: float
    replay: Path | None
    car: str | None
    seed: int | None
    sim: tuple[str, ...]
    allow: tuple[str, ...]
    read_only: bool
    deny: tuple[str, ...]
    wake: str
    sleep_after: int | None
    wakings: int | None
    max_rate: int | None
    max_frame: int | None
    direction: bool
    rotate_size: int
    rotate_hours: float
    keep: int
    log_format: str | None
    status_port: int | None
    elm327: str | None
    as_json: bool
    log_json: bool
    web_port: int | None
    web_root: str | None


@click.command(
    epilog="Examples: openkline bridge -d sim; openkline bridge -d /dev/ttyUSB0 -l 4 -f ibus.log; "
    "openkline bridge -d sim --replay drive.log"
)
@device_option
@click.option(
    "-l",
    "--level",
    type=click.IntRange(0, 4),
    help="0 info, 1 debug, 2 warnings, 3 errors: messages only. 4: raw frames, in the gateway's format. "
    "Without -l: frames as readable lines.",
)
@click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Log file: frames at level 4 and without -l, messages at levels 0 to 3.",
)
@click.option(
    "-e",
    "--events",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Event file: "F0 04 3B 49 81 07" = command. Runs the command when that frame is seen; ?? is any byte.',
)
@click.option(
    "--event-timeout",
    type=click.FloatRange(0.1, 86_400),
    default=10.0,
    show_default=True,
    help="Seconds that a command may take.",
)
@click.option("--event-shell", is_flag=True, help="Run commands by a shell.")
@click.option("-c", "--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="TCP clients at once.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="TCP port.")
@click.option("-i", "--address", default=DEFAULT_ADDRESS, show_default=True, help="IP address to listen on.")
@click.option("-t", "--timeout", type=float, default=10.0, show_default=True, help="Seconds a client may be silent.")
@click.option(
    "--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="sim: play this capture on the wire."
)
@click.option("--car", help="sim: what sits on the virtual wire (demo, none).  [default: demo, none with --replay]")
@click.option("--seed", type=int, help="sim: seed of everything random.")
@click.option(
    "--sim",
    default="",
    metavar="WORDS",
    callback=shell_words,
    help="sim: more options of boards/SIM/boot.py, such as '--noise 2'.",
)
@click.option("--allow", multiple=True, metavar="CIDR", help="Networks that may connect (repeatable).")
@click.option("--read-only", is_flag=True, help="Clients listen only; nothing is sent to the bus.")
@click.option(
    "--deny",
    multiple=True,
    metavar="RULE",
    help='What clients must not send: source, destination, data, such as "3F ?? 0C", or cautious (repeatable).',
)
@click.option(
    "--wake",
    type=click.Choice(["allow", "deny"]),
    default="allow",
    show_default=True,
    help="Whether a message may wake a sleeping car.",
)
@click.option(
    "--sleep-after",
    type=click.IntRange(0, 86_400),
    metavar="S",
    help="Seconds of silence after which the car counts as asleep.",
)
@click.option("--wakings", type=click.IntRange(0, 100), metavar="N", help="How often an hour our messages may wake it.")
@click.option("--max-rate", type=click.IntRange(0, 60_000), metavar="N", help="Messages a minute that we send at most.")
@click.option("--max-frame", type=click.IntRange(5, 257), metavar="BYTES", help="Longest frame, 64 unless told.")
@click.option("--direction", is_flag=True, help="Mark our own transmissions in the raw log with >.")
@click.option(
    "--rotate-size", type=click.IntRange(0), default=0, metavar="BYTES", help="Begin a new log file at this size."
)
@click.option(
    "--rotate-hours",
    type=click.FloatRange(0),
    default=0.0,
    metavar="HOURS",
    help="Begin a new log file after this time.",
)
@click.option("--keep", type=click.IntRange(1), default=5, show_default=True, help="Old log files to keep.")
@click.option(
    "--format",
    "log_format",
    type=click.Choice(["gateway", "json"]),
    help="How frames are logged: the original gateway's lines, or JSON lines.  [default: gateway]",
)
@click.option(
    "--status-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Where `openkline status` asks, on this computer only; 0: nowhere.  [default: one below -p]",
)
@click.option(
    "--elm327",
    metavar="[HOST:]PORT",
    help="The board on a K-line instead, and an ELM327 for apps there, as of `openkline elm327`; 35000 is usual.",
)
@click.option("--json", "as_json", is_flag=True, help="Frames as JSON, one object a line, on stdout and in the log.")
@click.option("--log-json", is_flag=True, help="Messages on stderr as JSON, one object a line.")
@click.option(
    "-o",
    "--web-port",
    type=click.IntRange(0, 65535),
    help="Accepted for start scripts of the original gateway, and ignored.",
)
@click.option(
    "-r", "--web-root", metavar="DIR", help="Accepted for start scripts of the original gateway, and ignored."
)
@click.version_option(__version__, "-v", "--version", prog_name="openkline")
@config_options
def bridge(**words: Any) -> None:
    """Connect a board to OpenBM gateway clients, and log the bus.

    Frames go to stdout (or to -f), messages to stderr. Ctrl-C or SIGTERM stops it, SIGHUP reopens the log file.
    """
    options = Options(**words)
    set_up_logging(options.level or 0, options.log_json)
    if options.web_port is not None or options.web_root is not None:
        log.warning("this version serves no web page: -o (--web-port) and -r (--web-root) do nothing")
    if options.replay is not None and options.device not in (None, "sim"):
        raise click.UsageError("--replay plays on the virtual wire: it needs -d sim")
    options.device = options.device or ("sim" if options.replay else "auto")
    if options.device == "auto":
        options.device = ask_which_board()
    asyncio.run(_serve(options))


def ask_which_board() -> str:
    """`auto`, unless there are several boards: then ask, on a terminal, or say which there are."""
    try:
        ports.find_board()
    except DeviceAmbiguous as error:
        if not sys.stdin.isatty():
            raise
        names = [port.device for port in error.candidates if isinstance(port, ports.PortInfo)]
        click.echo(str(error), err=True)
        chosen: str = click.prompt("Which one", type=click.Choice(names), default=names[0], err=True)
        return chosen
    except DeviceError:
        pass  # none yet: the bridge waits for one
    return "auto"


async def _serve(options: Options) -> None:
    device = options.device or "auto"
    replay = ReplayOptions(options.replay) if options.replay is not None else None
    sim = SimOptions(car=_car(options), replay=replay, seed=options.seed, extra=options.sim)
    port = port_for(device, sim)
    settings = BridgeSettings(
        device=DeviceSettings(wake=options.wake == "allow", configure=_configure(options)),
        gateway=current_config().gateway_options(
            host=options.address,
            port=options.port,
            clients=options.clients,
            alive_timeout_s=options.timeout,
            allow=options.allow,
            read_only=options.read_only,
            deny=options.deny,
        ),
        status_port=(default_port(options.port) if options.status_port is None else options.status_port) or None,
        elm=_elm(options),
    )
    bridge = Bridge(port, settings)
    add_logs(options, bridge)
    if options.events is not None:
        rules = load_events(options.events, options.event_shell)
        bridge.run_events(EventRunner(rules, timeout_s=options.event_timeout, shell=options.event_shell))
    bridge.listen_to_signals()
    try:
        await _start(bridge, options)
        _introduce(options, device)
        bridge.systemd.start()
        await bridge.run()
        tell("stopping")
    finally:
        bridge.systemd.stop()
        await bridge.close()


async def _start(bridge: Bridge, options: Options) -> None:
    try:
        await bridge.start()
    except OSError as error:
        where, other = host_port(options.address, options.port), "-p names another port"
        usable = "-i must be an address of this computer, -p a port that you may have"
        if options.elm327:
            where, other = f"{where} or {options.elm327}", "-p and --elm327 name other ports"
            usable += "; so must those of --elm327"
        remedy = f"Is a bridge running already? {other}" if error.errno == errno.EADDRINUSE else usable
        raise OpenklineError(f"cannot listen on {where} ({error.strerror or error}). {remedy}") from error


def _car(options: Options) -> str:
    """What sits on the virtual wire."""
    return options.car or ("none" if options.replay else "obd" if options.elm327 else "demo")


def _elm(options: Options) -> ElmOptions | None:
    if options.elm327 is None:
        return None
    host, port = parse_listen(options.elm327)
    return ElmOptions(host=host, port=port, allow=options.allow)


def _configure(options: Options) -> tuple[tuple[int, int], ...]:
    """What the board is told after each start: only what the command line names."""
    wanted = (
        (records.CONFIG_MAX_FRAME, options.max_frame),
        (records.CONFIG_SLEEP_AFTER_S, options.sleep_after),
        (records.CONFIG_WAKINGS_PER_HOUR, options.wakings),
        (records.CONFIG_RATE_PER_MINUTE, options.max_rate),
    )
    return tuple((key, value) for key, value in wanted if value is not None)


def _introduce(options: Options, device: str) -> None:
    """What runs, how to connect, how to end it."""
    if options.log_json:
        tell(f"serving clients on {host_port(options.address, options.port)}, board: {device}")
        return
    what = {"sim": "the virtual board", "auto": "the one board found by its USB id"}.get(device, device)
    if device == "sim":
        what += f", playing {options.replay}" if options.replay else f", with a virtual car ({_car(options)})"
    join = (
        ""
        if (options.address, options.port) == (DEFAULT_ADDRESS, DEFAULT_PORT)
        else (f" -i {options.address} -p {options.port}")
    )
    logged = f"\n  log      {options.file}" if options.file else ""
    if options.elm327:
        logged += f"\n  elm327   {host_port(*parse_listen(options.elm327))}, for apps; the I-Bus is silent"
    tell(
        "openkline bridge\n"
        f"  board    {what}\n"
        f"  clients  {host_port(options.address, options.port)}, OpenBM gateway protocol, "
        f"up to {options.clients} at once"
        f"{logged}\n"
        f"  connect  openkline monitor{join}\n"
        f'           openkline send{join} "68 18 01"     (source, destination, data)\n'
        f"  state    openkline status{'' if options.port == DEFAULT_PORT else f' -p {options.port}'}\n"
        f"  stop     Ctrl-C"
    )
