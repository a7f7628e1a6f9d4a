"""The settings of `openkline bridge`: its options, and the keys of its settings file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.bridge.config import Config
from openkline.bridge.events import load_events
from openkline.cli.common import DEVICE_HELP
from openkline.cli.options import setting_options
from openkline.device.replay import start_test
from openkline.elm.options import parse_listen
from openkline.errors import OptionError
from openkline.gateway.options import GatewayOptions
from openkline.settings import setting, settings_of

BOARD, CLIENTS, LOG, EVENTS, SIM, OTHER = "Board and bus", "Clients", "Log", "Events", "Virtual board (-d sim)", "Other"
PANELS = (BOARD, CLIENTS, LOG, EVENTS, SIM, OTHER)  # in this order
_OTHERS = ["config", "check_config", "version", "help"]


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What `bridge` is to do. key="": an option only."""

    device: str | None = setting(
        None, DEVICE_HELP, "-d", "--device", metavar="DEVICE", panel=BOARD, default_help="auto"
    )
    wake: str = setting(
        "allow", "Whether a message may wake a sleeping car.", "--wake", choices=("allow", "deny"), panel=BOARD
    )
    sleep_after: int | None = setting(
        None,
        "Consider the car asleep after this many seconds of silence.",
        "--sleep-after",
        low=0,
        high=86_400,
        metavar="SECONDS",
        panel=BOARD,
    )
    wakings: int | None = setting(
        None, "Wake the car at most this often per hour.", "--wakings", low=0, high=100, panel=BOARD
    )
    max_rate: int | None = setting(
        None, "Send at most this many messages per minute.", "--max-rate", low=0, high=60_000, panel=BOARD
    )
    max_frame: int | None = setting(
        None,
        "Longest frame to receive and send, in bytes.",
        "--max-frame",
        low=5,
        high=257,
        metavar="BYTES",
        panel=BOARD,
        default_help="64",
    )
    status_port: int | None = setting(
        None,
        "Port for `openkline status`, on this computer only; 0: none.",
        "--status-port",
        low=0,
        high=65535,
        metavar="PORT",
        panel=CLIENTS,
        default_help="one below -p",
    )
    elm327: str | None = setting(
        None,
        "Serve OBD apps as an ELM327 here, such as 35000; the board then uses the K-line and the I-Bus is silent.",
        "--elm327",
        metavar="[HOST:]PORT",
        check=parse_listen,
        panel=CLIENTS,
    )
    level: int | None = setting(
        None,
        "Log level: 0 info, 1 debug, 2 warnings, 3 errors (messages only), 4 raw frames in the gateway's format. "
        "Without -l: frames as readable lines.",
        "-l",
        "--level",
        low=0,
        high=4,
        panel=LOG,
    )
    file: Path | None = setting(
        None,
        "Log to this file: frames at level 4 or without -l, messages at levels 0 to 3.",
        "-f",
        "--file",
        panel=LOG,
    )
    log_format: str | None = setting(
        None,
        "Log frames as lines of the original gateway or as JSON.",
        "--format",
        choices=("gateway", "json"),
        panel=LOG,
        default_help="gateway",
    )
    direction: bool = setting(False, "Mark frames sent by this bridge with > in the raw log.", "--direction", panel=LOG)
    rotate_size: int = setting(
        0, "Start a new log file at this size in bytes.", "--rotate-size", low=0, metavar="BYTES", panel=LOG
    )
    rotate_hours: float = setting(
        0.0, "Start a new log file after this many hours.", "--rotate-hours", low=0, metavar="HOURS", panel=LOG
    )
    keep: int = setting(5, "Number of old log files to keep.", "--keep", low=1, panel=LOG)
    as_json: bool = setting(
        False, "Write frames as JSON, one object per line, to stdout and to the log.", "--json", key="", panel=LOG
    )
    log_json: bool = setting(False, "Print messages on stderr as JSON, one object per line.", "--log-json", panel=LOG)
    events: Path | None = setting(
        None,
        'Run commands on frames: the file has lines such as "F0 04 3B 49 81 07" = COMMAND; ?? is any byte.',
        "-e",
        "--events",
        exists=True,
        panel=EVENTS,
    )
    event_timeout: float = setting(
        10.0,
        "Stop a command after this many seconds.",
        "--event-timeout",
        low=0.1,
        high=86_400,
        metavar="SECONDS",
        panel=EVENTS,
    )
    event_shell: bool = setting(False, "Run commands in a shell.", "--event-shell", panel=EVENTS)
    replay: Path | None = setting(
        None, "Play this capture, of any form, on the virtual wire.", "--replay", key="", exists=True, panel=SIM
    )
    from_time: str | None = setting(
        None,
        "Begin the replay here: 18:30, 18:30:05 or 2026-11-20T18:30.",
        "--from-time",
        key="",
        metavar="TIME",
        check=start_test,
        panel=SIM,
    )
    max_gap: float | None = setting(
        None,
        "Cut longer silences of the replay to this.",
        "--max-gap",
        key="",
        low=0.001,
        high=86_400,
        metavar="SECONDS",
        panel=SIM,
    )
    speed: float | None = setting(
        None,
        "Play this many times as fast, as far as the wire keeps up.",
        "--speed",
        key="",
        low=0.01,
        high=1000,
        metavar="FACTOR",
        panel=SIM,
    )
    loop: bool = setting(False, "Play the replay again and again.", "--loop", key="", panel=SIM)
    car: str | None = setting(
        None,
        "Virtual car: demo, obd, none, or a file.",
        "--car",
        key="",
        metavar="CAR",
        panel=SIM,
        default_help="demo; obd with --elm327, none with --replay",
    )
    seed: int | None = setting(None, "Seed for everything random.", "--seed", key="", panel=SIM)
    sim: str = setting(
        "",
        "More options for boards/SIM/boot.py, such as '--noise 2'.",
        "--sim",
        key="",
        metavar="WORDS",
        check=shlex.split,
        panel=SIM,
    )
    web_port: int | None = setting(
        None,
        "Accepted for start scripts of the original gateway, and ignored.",
        "-o",
        "--web-port",
        key="",
        low=0,
        high=65535,
        metavar="PORT",
        panel=OTHER,
    )
    web_root: str | None = setting(
        None, "Accepted like -o, and ignored.", "-r", "--web-root", key="", metavar="DIR", panel=OTHER
    )
    gateway: GatewayOptions = field(default_factory=GatewayOptions)


TABLES: Mapping[str, type] = {"": BridgeOptions, "gateway": GatewayOptions}


def bridge_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds all of them, in panels."""
    for title in reversed(PANELS):
        function = click.option_panel(title, options=_OTHERS if title == OTHER else [])(function)
    own = setting_options(settings_of(BridgeOptions))(function)
    return setting_options(settings_of(GatewayOptions), CLIENTS)(own)


def options_from(words: Mapping[str, Any], config: Config) -> BridgeOptions:
    """From a command line that has the file's values where it says nothing. OptionError."""
    names = {one.name for one in settings_of(GatewayOptions)}
    said = {name: value for name, value in words.items() if name in names}
    gateway = GatewayOptions(**{**config.table("gateway"), **said})
    if not gateway.port:
        raise OptionError("port is 0, must be 1..65535")
    return BridgeOptions(**{name: value for name, value in words.items() if name not in names}, gateway=gateway)


def check(config: Config) -> None:
    """Everything in the file that can be checked without a board. OptionError, EventFileError."""
    defaults = {one.name: one.default for one in settings_of(BridgeOptions)}
    options = options_from({**defaults, **config.table("")}, config)
    if options.events is not None:
        load_events(Path(options.events), options.event_shell)
