"""Where `flash` and `update` take a board's update password from.

A file, the environment or a question: never a word of the command line, which everybody on the computer can read
(`ps`), and which the shell's history keeps.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from openkline.cli.common import tell

VARIABLE = "OPENKLINE_PASSWORD"
WAYS = f"--password-file FILE, the environment variable {VARIABLE}, or --password-file - (asks on a terminal)"
_STDIN = Path("-")
_MAX_SIZE = 256  # bytes read from a file: 8 digits, separators, a line end


def password_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --password-file; the command gets `password`, an int or None: not given. what: its help."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--password",
            "on_command_line",
            hidden=True,
            expose_value=False,
            is_flag=False,
            flag_value="",
            help="Refused: --password-file took its place.",
            callback=_refuse,
        )(function)
        return click.option(
            "--password-file",
            "password",
            type=click.Path(path_type=Path, allow_dash=True),
            help=f"{what} `-`: ask, or read standard input. Without this option: ${VARIABLE}.",
            callback=_given,
        )(function)

    return add


def _refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            f"--password is no longer accepted: other users of this computer could read it. Use {WAYS}", ctx
        )


def _given(ctx: click.Context, param: click.Parameter, value: Path | None) -> int | None:
    if ctx.resilient_parsing:
        return None
    in_environment = os.environ.pop(VARIABLE, "")  # not for the programs that are started from here
    if value is None:
        return _parse(in_environment, VARIABLE, ctx) if in_environment else None
    if value == _STDIN:
        return _parse(_ask() if sys.stdin.isatty() else sys.stdin.readline(_MAX_SIZE), "standard input", ctx)
    try:
        with value.open("rb") as file:
            text = file.read(_MAX_SIZE).decode("ascii", "replace")
    except OSError as error:
        raise click.BadParameter(f"{value}: {error.strerror}", ctx, param) from error
    return _parse(text, str(value), ctx)


def _parse(text: str, source: str, ctx: click.Context) -> int:
    from openkline.update import passwords

    try:
        return passwords.parse(text)
    except passwords.PasswordError as error:
        raise click.UsageError(f"{source}: {error}", ctx) from error


def ask_password() -> int | None:
    """Ask on the terminal; None: there is none. PasswordError."""
    from openkline.update import passwords

    if not sys.stdin.isatty():
        return None
    tell("this computer does not know the board's password; `openkline flash` printed it where it ran")
    return passwords.parse(_ask())


def _ask() -> str:
    try:
        return str(click.prompt("Update password (8 hex digits)", hide_input=True, err=True))
    except click.Abort:  # Ctrl-C, as anywhere else
        raise KeyboardInterrupt from None
