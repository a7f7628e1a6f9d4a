"""The bridge's settings file (TOML), and how it joins the command line: what stands there wins.

    device = "auto"                   # like -d
    level = 4                         # like -l; also: events, event_timeout, event_shell, wake, sleep_after, wakings,
    file = "/var/log/openkline.log"   # max_rate, max_frame, direction, rotate_size, rotate_hours, keep, log_json,
                                      # log_format, status_port, elm327

    [gateway]
    port = 4287                       # like -p; also: address, clients, timeout, allow, read_only
    deny = ["cautious"]               # rules of what clients must not send
    rate_per_s = 100                  # and the other limits of GatewayOptions

Where it is looked for: --config FILE, else $OPENKLINE_CONFIG, else the first that exists of
$XDG_CONFIG_HOME/openkline/bridge.toml (~/.config/.. when unset; %APPDATA%\\openkline\\bridge.toml on Windows) and
/etc/openkline/bridge.toml.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from openkline.bridge.events import EventFileError, load_events
from openkline.elm.options import parse_listen
from openkline.errors import OpenklineError, OptionError
from openkline.gateway.options import GatewayOptions
from openkline.userfiles import settings_folder

_NUMBER = (int, float)
BRIDGE_KEYS: dict[str, tuple[type, ...]] = {
    "device": (str,),
    "level": (int,),
    "file": (str,),
    "events": (str,),
    "event_timeout": _NUMBER,
    "event_shell": (bool,),
    "wake": (str,),
    "sleep_after": (int,),
    "wakings": (int,),
    "max_rate": (int,),
    "max_frame": (int,),
    "direction": (bool,),
    "rotate_size": (int,),
    "rotate_hours": _NUMBER,
    "keep": (int,),
    "log_json": (bool,),
    "log_format": (str,),
    "status_port": (int,),
    "elm327": (str,),
}
GATEWAY_KEYS: dict[str, tuple[type, ...]] = {
    "address": (str,),
    "port": (int,),
    "clients": (int,),
    "timeout": _NUMBER,
    "allow": (list,),
    "read_only": (bool,),
    "deny": (list,),
    "rate_per_s": _NUMBER,
    "burst": (int,),
    "input_bytes_per_s": (int,),
    "queue": (int,),
    "write_buffer": (int,),
    "pending": (int,),
    "accepts_per_s": _NUMBER,
    "drain_s": _NUMBER,
}
_FIELD_OF = {"address": "host", "timeout": "alive_timeout_s"}  # words of the command line, fields of GatewayOptions
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list of texts"}


class ConfigError(OpenklineError, ValueError):
    """The file can't be read, or says something that can't be. Wrong usage."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says: known words, values of the right kind. Their limits are those of the command line's options
    (cli/config.py). path: None when there is none."""

    path: Path | None = None
    bridge: Mapping[str, object] = field(default_factory=dict)
    gateway: Mapping[str, object] = field(default_factory=dict)

    def defaults(self) -> dict[str, object]:
        """By the names of the command line's options: the values that hold where the command line says nothing."""
        words = {"address", "port", "clients", "timeout", "allow", "read_only", "deny"}
        return {**self.bridge, **{key: value for key, value in self.gateway.items() if key in words}}

    def gateway_options(self, **given: object) -> GatewayOptions:
        """GatewayOptions from the file; `given`: fields that the command line says otherwise. OptionError."""
        values: dict[str, object] = {}
        for key, value in self.gateway.items():
            values[_FIELD_OF.get(key, key)] = tuple(value) if isinstance(value, list) else value
        return GatewayOptions(**{**values, **given})  # type: ignore[arg-type]

    def check(self) -> None:
        """Everything that can be checked without a board. ConfigError names the file."""
        try:
            self.gateway_options()
            if (listen := self.bridge.get("elm327")) is not None:
                parse_listen(str(listen))
            if (events := self.bridge.get("events")) is not None:
                load_events(Path(str(events)), bool(self.bridge.get("event_shell")))
        except (OptionError, EventFileError) as error:
            raise ConfigError(f"{self.path}: {error}") from error


def places(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> list[Path]:
    """Where a settings file is looked for without --config."""
    environment = os.environ if environment is None else environment
    if named := environment.get("OPENKLINE_CONFIG"):
        return [Path(named)]
    own = settings_folder(environment, platform) / "bridge.toml"
    return [own] if platform == "win32" else [own, Path("/etc/openkline/bridge.toml")]


def find(environment: Mapping[str, str] | None = None) -> Path | None:
    """The file that holds, if there is one. ConfigError: $OPENKLINE_CONFIG names one that isn't there."""
    environment = os.environ if environment is None else environment
    for path in places(environment):
        with contextlib.suppress(OSError):  # HOME may be somebody else's, after sudo -u
            if path.is_file():
                return path
        if environment.get("OPENKLINE_CONFIG"):
            raise ConfigError(f"{path}: there is no such file ($OPENKLINE_CONFIG)")
    return None


def load(path: Path | None = None) -> Config:
    """That file, or the one in a default place, or nothing. ConfigError names the file and every bad key."""
    path = path or find()
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return parse(text, path)


def parse(text: str, path: Path | None = None) -> Config:
    name = path or "settings"
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: {error}") from error
    gateway = values.pop("gateway", {})
    problems = _problems(values, BRIDGE_KEYS, "", ["gateway"])
    if isinstance(gateway, dict):
        problems += _problems(gateway, GATEWAY_KEYS, "gateway.")
    else:
        problems.append(f"gateway is {gateway!r}, must be a table: [gateway]")
        gateway = {}
    if problems:
        raise ConfigError("\n".join(f"{name}: {problem}" for problem in problems))
    return Config(path, values, gateway)


def _problems(
    values: Mapping[str, object], known: Mapping[str, tuple[type, ...]], prefix: str, others: list[str] | None = None
) -> list[str]:
    found = []
    for key, value in values.items():
        types = known.get(key)
        if types is None:
            near = difflib.get_close_matches(key, [*known, *(others or [])], 1)
            found.append(f"{prefix}{key} is no setting" + (f"; {prefix}{near[0]}?" if near else ""))
        elif not _is(value, types):
            found.append(f"{prefix}{key} is {value!r}, must be {_NAMES[types[-1]]}")
    return found


def _is(value: object, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    if isinstance(value, list):
        return list in types and all(isinstance(item, str) for item in value)
    return isinstance(value, types)
