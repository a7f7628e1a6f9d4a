"""The options --config and --check-config, for commands that read the settings file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from openkline.bridge.config import Config, ConfigError, load, places

F = TypeVar("F", bound=Callable[..., Any])

_META = "openkline.bridge.config"


def config_options(function: F) -> F:
    """Adds both options; neither is an argument of the command: current_config() has what was read."""
    check = click.option(
        "--check-config",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_check,
        help="Read the settings file, say what is wrong with it, and end.",
    )
    config = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load,
        metavar="FILE",
        help="Settings (TOML); the command line wins over them.  "
        "[default: $OPENKLINE_CONFIG, ~/.config/openkline/bridge.toml, /etc/openkline/bridge.toml: the first there is]",
    )
    return config(check(function))


def current_config() -> Config:
    """The file of the running command; an empty one when there is none."""
    context = click.get_current_context(silent=True)
    config = context.meta.get(_META) if context is not None else None
    return config if isinstance(config, Config) else Config()


def _load(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if context.resilient_parsing:
        return
    config = context.meta[_META] = load(path)
    _check_limits(context, config)
    context.default_map = {**(context.default_map or {}), **config.defaults()}
    if context.meta.get(_META + ".check"):
        _check_it(context, config)


def _check_limits(context: click.Context, config: Config) -> None:
    """What the command line would refuse, the file may not say either. ConfigError names the file and every value."""
    defaults, problems = config.defaults(), []
    for parameter in context.command.params:
        value = defaults.get(parameter.name or "")
        if value is not None:
            try:
                parameter.type_cast_value(context, value)
            except click.BadParameter as error:
                problems.append(f"{config.path}: {parameter.name} is {value!r}: {error.message}")
    if problems:
        raise ConfigError("\n".join(problems))


def _check(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Click runs eager options in the order they were written: check now, or as soon as the file is read."""
    if wanted and not context.resilient_parsing:
        context.meta[_META + ".check"] = True
        if _META in context.meta:
            _check_it(context, context.meta[_META])


def _check_it(context: click.Context, config: Config) -> None:
    config.check()
    if config.path is None:
        click.echo(f"no settings file ({' or '.join(map(str, places()))}): defaults apply", err=True)
    else:
        click.echo(f"{config.path}: all right", err=True)
    context.exit(0)
