"""A setting is declared once, as a field of a dataclass: name, type, default, limits, help, option.

    clients: int = setting(8, "Most clients at once.", "-c", "--clients", low=1, high=64)

From it come the option of the command line and its help (cli/options.py), the key of the settings file and its checks
(bridge/config.py), the tables of docs/bridge.md (a test compares them), and `check_settings` for whoever makes the
dataclass in Python.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openkline.errors import OptionError

_KEY = "setting"
_EXPECTED = {int: "a whole number", float: "a number", str: "a text", Path: "a text", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Setting:
    """name: the field's; kind: int, float, bool, str, Path, or tuple (of texts); an optional one has the default None.

    help     a sentence, for the command line and the docs
    flags    its option, such as "-p", "--port"; empty: it stands in the settings file only
    key      its name in the settings file; empty: it is an option only
    low      limits, both included; None: none
    choices  the only values, when there are any
    exists   a path that must be there
    check    raises ValueError for what can't be, beyond kind and limits; of a tuple it gets each text
    metavar, panel, default_help: for the help; default_help says what holds where None does
    """

    name: str
    kind: type
    default: Any
    help: str
    flags: tuple[str, ...] = ()
    key: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    exists: bool = False
    check: Callable[[str], object] | None = None
    metavar: str | None = None
    panel: str | None = None
    default_help: str = ""

    def problem(self, value: object) -> str:
        """What is wrong with a value, as the end of `NAME is `: "65, must be 1..64"; "": nothing."""
        if value is None and self.default is None:
            return ""
        shown = str(value) if isinstance(value, Path) else value
        wrong = self._kind_problem(value) or self._limit_problem(value)
        return f"{shown!r}, must be {wrong}" if wrong else self._check_problem(value)

    def _kind_problem(self, value: object) -> str:
        if self.kind is tuple:
            right = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
            return "" if right else "a list of texts"
        kinds = {float: (int, float), Path: (str, Path)}.get(self.kind, self.kind)
        right = isinstance(value, kinds) and isinstance(value, bool) == (self.kind is bool)
        return "" if right else _EXPECTED[self.kind]

    def _limit_problem(self, value: Any) -> str:
        if self.choices and value not in self.choices:
            return " or ".join(self.choices)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if self.kind not in (int, float) or (low <= value <= high and math.isfinite(value)):  # NaN is not
            return ""
        return self.limits() or "a number"

    def _check_problem(self, value: Any) -> str:
        if self.kind is Path:
            path = Path(value)
            if path.is_dir():
                return f"{str(path)!r}, which is a folder; must be a file"
            return f"{str(path)!r}, but there is no such file" if self.exists and not path.exists() else ""
        for item in value if self.kind is tuple else (value,):
            try:
                if self.check is not None:
                    self.check(item)
            except ValueError as error:
                return f"{item!r}: {error}"
        return ""

    def limits(self) -> str:
        """`1..64`, `at least 1`, or ""."""
        if self.low is None:
            return ""
        return f"at least {self.low:g}" if self.high is None else f"{self.low:.15g}..{self.high:.15g}"


def setting(default: Any, help: str, *flags: str, **more: Any) -> Any:
    """The field of a dataclass; `more`: attributes of Setting. key: the field's name unless given."""
    return dataclasses.field(default=default, metadata={_KEY: {"help": help, "flags": flags, **more}})


@functools.cache
def settings_of(declared: type) -> tuple[Setting, ...]:
    """Those of a dataclass, in its order."""
    hints = typing.get_type_hints(declared)
    return tuple(
        Setting(field.name, _kind(hints[field.name]), field.default, **{"key": field.name, **field.metadata[_KEY]})
        for field in dataclasses.fields(declared)
        if _KEY in field.metadata
    )


def _kind(hint: Any) -> type:
    """Without `| None` and what is in a tuple."""
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    kind = typing.get_origin(hint) or hint
    assert isinstance(kind, type)
    return kind


def check_settings(options: Any) -> None:
    """Of such a dataclass's object, each value. OptionError names the first that can't be."""
    for one in settings_of(options.__class__):
        if problem := one.problem(getattr(options, one.name)):
            raise OptionError(f"{one.name} is {problem}")


def by_key(settings: tuple[Setting, ...]) -> Mapping[str, Setting]:
    """Those that a settings file may have."""
    return {one.key: one for one in settings if one.key}
