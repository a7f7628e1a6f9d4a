"""`openkline bridge`"""

from __future__ import annotations

import asyncio
import errno
import logging
import shlex
import sys
from typing import Any

import rich_click as click

from kline.protocol.link import records
from openkline import __version__
from openkline.bridge.bridge import Bridge, BridgeSettings
from openkline.bridge.events import EventRunner, load_events
from openkline.bridge.status import default_port
from openkline.cli.bridge_logs import add_logs
from openkline.cli.bridge_options import TABLES, BridgeOptions, bridge_options, check, options_from
from openkline.cli.common import DEFAULT_ADDRESS, DEFAULT_PORT, set_up_logging, tell
from openkline.cli.config import config_options, current_config
from openkline.device import ports
from openkline.device.port import Port, port_for
from openkline.device.replay import ReplayOptions
from openkline.device.sim import SimOptions
from openkline.device.state import DeviceSettings
from openkline.elm.options import ElmOptions, parse_listen
from openkline.errors import DeviceAmbiguous, DeviceError, OpenklineError
from openkline.net.access import host_port
from openkline.printable import printable
from openkline.terminal import echo

log = logging.getLogger("openkline.bridge.bridge")


@click.command(
    epilog="Examples: openkline bridge -d sim; openkline bridge -d /dev/ttyUSB0 -l 4 -f ibus.log; "
    "openkline bridge -d sim --replay drive.log"
)
@bridge_options
@click.version_option(__version__, "-v", "--version", prog_name="openkline")
@config_options(TABLES, check)
def bridge(**words: Any) -> None:
    """Connect a board to OpenBM gateway clients, and log the bus.

    Frames go to stdout (or to -f), messages to stderr. Ctrl-C or SIGTERM stops it, SIGHUP reopens the log file,
    SIGUSR1 gives up messages of clients that have gone.
    """
    options = options_from(words, current_config())
    set_up_logging(options.level or 0, options.log_json)
    if options.web_port is not None or options.web_root is not None:
        log.warning("this version serves no web page: -o (--web-port) and -r (--web-root) do nothing")
    _check_replay(options)
    device = options.device or ("sim" if options.replay else "auto")
    asyncio.run(_serve(options, ask_which_board() if device == "auto" else device))


def _check_replay(options: BridgeOptions) -> None:
    if options.replay is not None and options.device not in (None, "sim"):
        raise click.UsageError("--replay plays on the virtual wire: it needs -d sim")
    if options.replay is None:
        for name in ("from_time", "max_gap", "speed", "loop"):
            if getattr(options, name):
                raise click.UsageError(f"--{name.replace('_', '-')} is for a replay: it needs --replay FILE")


def ask_which_board() -> str:
    """`auto`, unless there are several boards: then ask, on a terminal, or say which there are."""
    try:
        ports.find_board()
    except DeviceAmbiguous as error:
        if not sys.stdin.isatty():
            raise
        names = [printable(port.device) for port in error.candidates if isinstance(port, ports.PortInfo)]
        echo(str(error), err=True)
        chosen: str = click.prompt("Which one", type=click.Choice(names), default=names[0], err=True)
        return chosen
    except DeviceError:
        pass  # none yet: the bridge waits for one
    return "auto"


async def _serve(options: BridgeOptions, device: str) -> None:
    bridge = Bridge(_port(options, device), _settings(options))
    add_logs(options, bridge)
    if options.events is not None:
        rules = load_events(options.events, options.event_shell)
        bridge.run_events(EventRunner(rules, timeout_s=options.event_timeout, shell=options.event_shell))
    bridge.listen_to_signals()
    try:
        await _start(bridge, options)
        tell(_introduction(options, device))
        bridge.systemd.start()
        await bridge.run()
        tell("stopping")
    finally:
        bridge.systemd.stop()
        await bridge.close()


def _port(options: BridgeOptions, device: str) -> Port:
    words = tuple(shlex.split(options.sim))
    return port_for(device, SimOptions(car=_car(options), replay=_replay(options), seed=options.seed, extra=words))


def _replay(options: BridgeOptions) -> ReplayOptions | None:
    if options.replay is None:
        return None
    from_time, max_gap_s, speed = options.from_time or "", options.max_gap or 0.0, options.speed or 1.0
    return ReplayOptions(options.replay, from_time, max_gap_s, speed, options.loop)


def _settings(options: BridgeOptions) -> BridgeSettings:
    status_port = default_port(options.gateway.port) if options.status_port is None else options.status_port
    return BridgeSettings(
        device=DeviceSettings(wake=options.wake == "allow", configure=_configure(options)),
        gateway=options.gateway,
        status_port=status_port or None,
        elm=_elm(options),
    )


async def _start(bridge: Bridge, options: BridgeOptions) -> None:
    try:
        await bridge.start()
    except OSError as error:
        where, other = host_port(options.gateway.host, options.gateway.port), "-p chooses another port"
        usable = "-i must be an address of this computer, -p a port that you may use"
        if options.elm327:
            where, other = f"{where} or {options.elm327}", "-p and --elm327 choose other ports"
            usable += "; the same goes for --elm327"
        remedy = f"Is a bridge already running? {other}" if error.errno == errno.EADDRINUSE else usable
        raise OpenklineError(f"cannot listen on {where} ({error.strerror or error}). {remedy}") from error


def _car(options: BridgeOptions) -> str:
    """What sits on the virtual wire."""
    return options.car or ("none" if options.replay else "obd" if options.elm327 else "demo")


def _elm(options: BridgeOptions) -> ElmOptions | None:
    if options.elm327 is None:
        return None
    host, port = parse_listen(options.elm327)
    return ElmOptions(host=host, port=port, allow=options.gateway.allow)


def _configure(options: BridgeOptions) -> tuple[tuple[int, int], ...]:
    """Settings sent to the board after each start: only those that were given."""
    wanted = (
        (records.CONFIG_MAX_FRAME, options.max_frame),
        (records.CONFIG_SLEEP_AFTER_S, options.sleep_after),
        (records.CONFIG_WAKINGS_PER_HOUR, options.wakings),
        (records.CONFIG_RATE_PER_MINUTE, options.max_rate),
    )
    return tuple((key, value) for key, value in wanted if value is not None)


def _introduction(options: BridgeOptions, device: str) -> str:
    """What is running, how to connect, how to stop it."""
    gateway = options.gateway
    where = host_port(gateway.host, gateway.port)
    if options.log_json:
        return f"serving clients on {where}, board: {device}"
    usual = (gateway.host, gateway.port) == (DEFAULT_ADDRESS, DEFAULT_PORT)
    join = "" if usual else f" -i {gateway.host} -p {gateway.port}"
    elm = f"{host_port(*parse_listen(options.elm327))}, for apps; the I-Bus is silent" if options.elm327 else ""
    rows = (
        ("board", _board(options, device)),
        ("clients", f"{where}, OpenBM gateway protocol, up to {gateway.clients} at once"),
        ("log", str(options.file or "")),
        ("elm327", elm),
        ("connect", f"openkline monitor{join}"),
        ("", f'openkline send{join} "68 18 01"     (source, destination, data)'),
        ("state", f"openkline status{'' if gateway.port == DEFAULT_PORT else f' -p {gateway.port}'}"),
        ("stop", "Ctrl-C"),
    )
    return "\n".join(["openkline bridge", *(f"  {name:<8} {text}" for name, text in rows if text)])


def _board(options: BridgeOptions, device: str) -> str:
    if device != "sim":
        return "the one board found by its USB id" if device == "auto" else device
    return "the virtual board, " + (
        f"playing {options.replay}" if options.replay else f"with a virtual car ({_car(options)})"
    )
