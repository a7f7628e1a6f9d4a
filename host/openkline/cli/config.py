"""The options --config and --check-config, for commands that read a settings file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.bridge.config import Config, ConfigError, Tables, load, places
from openkline.errors import OpenklineError
from openkline.settings import settings_of
from openkline.terminal import echo

_META = "openkline.bridge.config"
Check = Callable[[Config], None]


def config_options(tables: Tables, check: Check) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds both options; neither is an argument of the command: current_config() has what was read.

    check: what --check-config looks at beyond single values; OpenklineError says what is wrong
    """

    def read(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        if not context.resilient_parsing:
            _read(context, tables, path)
            _end_if_checked(context, check)

    def wanted(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[_META + ".check"] = value and not context.resilient_parsing
        _end_if_checked(context, check)

    check_option = click.option(
        "--check-config",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=wanted,
        help="Check the settings file, report every error in it, and exit.",
    )
    config_option = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read,
        metavar="FILE",
        help="Settings file (TOML); options on the command line override it.  "
        "[default: $OPENKLINE_CONFIG, else ~/.config/openkline/bridge.toml, else /etc/openkline/bridge.toml]",
    )
    return lambda function: config_option(check_option(function))


def current_config() -> Config:
    """The file of the running command; an empty one when there is none."""
    context = click.get_current_context(silent=True)
    config = context.meta.get(_META) if context is not None else None
    return config if isinstance(config, Config) else Config()


def _read(context: click.Context, tables: Tables, path: Path | None) -> None:
    """The file's values become the defaults of the options of the same names."""
    config = context.meta[_META] = load(tables, path)
    defaults = dict(context.default_map or {})
    for title, declared in tables.items():
        options = {one.name for one in settings_of(declared) if one.flags}
        defaults |= {name: value for name, value in config.table(title).items() if name in options}
    context.default_map = defaults


def _end_if_checked(context: click.Context, check: Check) -> None:
    """Click runs eager options in the order they were written: check as soon as both have run."""
    config = context.meta.get(_META)
    if not context.meta.get(_META + ".check") or config is None:
        return
    if config.path is None:
        echo(f"no settings file ({' or '.join(map(str, places()))}): defaults apply", err=True)
        context.exit(0)
    try:
        check(config)
    except OpenklineError as error:
        raise ConfigError(f"{config.path}: {error}") from error
    echo(f"{config.path}: no errors", err=True)
    context.exit(0)
