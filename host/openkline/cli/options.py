"""Options of a command from settings (openkline.settings)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.cli.numbers import Number
from openkline.settings import Setting

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_METAVARS = {int: "N", float: "N", Path: "FILE", str: "TEXT"}
_TYPES: dict[type, Any] = {int: click.INT, float: Number(), Path: click.Path(path_type=Path), str: click.STRING}


def setting_options(settings: Iterable[Setting], panel: str | None = None) -> Decorator:
    """Adds an option for each that has flags, named as the setting. panel: for those that name none."""
    found = [one for one in settings if one.flags]

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for one in reversed(found):
            function = _option(one, one.panel or panel)(function)
        return function

    return add


def _option(one: Setting, panel: str | None) -> Decorator:
    more: dict[str, Any] = {"metavar": one.metavar or _METAVARS.get(one.kind), "type": _TYPES.get(one.kind)}
    if one.kind is bool:
        more = {"is_flag": True}
    elif one.kind is tuple:
        more = {"metavar": one.metavar, "multiple": True}
    elif one.choices:
        more = {"metavar": "|".join(one.choices)}
    callback = partial(_checked, one)
    return click.option(
        one.name, *one.flags, default=one.default, help=_help(one), panel=panel, callback=callback, **more
    )


def _help(one: Setting) -> str:
    """With its limits and default."""
    default = one.default_help or (f"{one.default:g}" if isinstance(one.default, float) else str(one.default or ""))
    notes = [
        one.limits() if one.high is not None and one.metavar != "PORT" else "",
        f"default: {default}" if default not in ("", "0") else "",
    ]
    bracket = "; ".join(filter(None, notes))
    return f"{one.help}  [{bracket}]" if bracket else one.help


def _checked(one: Setting, context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    if not context.resilient_parsing and (problem := one.problem(value)):
        raise click.BadParameter(problem, context, parameter)
    return value
