"""The settings file (TOML): where it is, and what it may say.

    device = "auto"                   # a key of the first table: openkline.cli.bridge_options
    level = 4

    [gateway]                         # of the second: openkline.gateway.options
    port = 4287
    deny = ["cautious"]

Which keys a table has, and which values, is declared by a dataclass (openkline.settings); docs/bridge.md lists them.

The file is --config FILE, else $OPENKLINE_CONFIG, else the first that exists of $XDG_CONFIG_HOME/openkline/bridge.toml
(~/.config/.. when unset; %APPDATA%\\openkline\\bridge.toml on Windows) and /etc/openkline/bridge.toml.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openkline.documents import parse_toml, read_text
from openkline.errors import OpenklineError
from openkline.settings import Setting, by_key, settings_of
from openkline.userfiles import settings_folder

Tables = Mapping[str, type]  # the file's tables, "" for what stands before the first, and the dataclass of each


class ConfigError(OpenklineError, ValueError):
    """The file can't be read, or says something that can't be. Wrong usage."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says, checked, by table and by the settings' names. path: None when there is no file."""

    path: Path | None = None
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def table(self, name: str) -> Mapping[str, Any]:
        return self.tables.get(name, {})


def places(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> list[Path]:
    """Where a settings file is looked for without --config."""
    environment = os.environ if environment is None else environment
    if named := environment.get("OPENKLINE_CONFIG"):
        return [Path(named)]
    own = settings_folder(environment, platform) / "bridge.toml"
    return [own] if platform == "win32" else [own, Path("/etc/openkline/bridge.toml")]


def find(environment: Mapping[str, str] | None = None) -> Path | None:
    """The file to use, if there is one. ConfigError: $OPENKLINE_CONFIG names one that isn't there."""
    environment = os.environ if environment is None else environment
    for path in places(environment):
        with contextlib.suppress(OSError):  # HOME may be another user's, after sudo -u
            if path.is_file():
                return path
        if environment.get("OPENKLINE_CONFIG"):
            raise ConfigError(f"{path}: there is no such file ($OPENKLINE_CONFIG)")
    return None


def load(tables: Tables, path: Path | None = None) -> Config:
    """That file, or the one in a default place, or nothing. ConfigError names the file and every bad key."""
    path = path or find()
    if path is None:
        return Config()
    try:
        text = read_text(path, "utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return parse(text, tables, path)


def parse(text: str, tables: Tables, path: Path | None = None) -> Config:
    """ConfigError: a line for each bad key, with its place."""
    name = path or "settings"
    try:
        values = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    split = {title: values.pop(title, {}) for title in tables if title} | {"": values}
    problems = [
        f"{name}{_place(text, table, key)}: {problem}"
        for title in tables
        for table, key, problem in _problems(split[title], title, tables)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return Config(path, {title: _converted(split[title], tables[title]) for title in tables})


def _problems(values: object, title: str, tables: Tables) -> Iterator[tuple[str, str, str]]:
    """Table, key, sentence."""
    if not isinstance(values, dict):
        yield "", title, f"{title} is {values!r}, must be a table: [{title}]"
        return
    known = by_key(settings_of(tables[title]))
    prefix = f"{title}." if title else ""
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, [*known, *(() if title else tables)], 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else ""
            yield title, key, f"there is no setting {prefix}{key}{hint}"
        elif problem := known[key].problem(value):
            yield title, key, f"{prefix}{key} is {problem}"


def _converted(values: Mapping[str, Any], declared: type) -> Mapping[str, Any]:
    known = by_key(settings_of(declared))
    return {known[key].name: _as_kind(known[key], value) for key, value in values.items()}


def _as_kind(one: Setting, value: Any) -> Any:
    return one.kind(value) if one.kind in (tuple, Path, float) else value


def _place(text: str, title: str, key: str) -> str:
    """`, line 3` where the key stands at the beginning of a line, under its table's head, as in most files."""
    table, whole = "", f"{title}.{key}" if title else key
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = header[1]
        if table == whole or (table == title and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line)):
            return f", line {number}"
    return ""
