"""`openkline commands`, and the lookup of a named message."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click

from kline.protocol.ibus import commands as e46
from openkline.bus import hex_bytes
from openkline.cli.common import json_option
from openkline.errors import OpenklineError
from openkline.terminal import console, echo
from openkline.words import plural

if TYPE_CHECKING:
    pass


class UnknownCommand(OpenklineError):
    """No message has this name: wrong usage."""

    exit_code = 2

    def __init__(self, name: str, suggestions: Sequence[str]) -> None:
        self.suggestions = tuple(suggestions)
        near = f"did you mean {' or '.join(suggestions)}?" if suggestions else "search with: openkline commands TEXT"
        super().__init__(f"there is no command {name!r}; {near}")


def resolve_command(name: str) -> e46.Command:
    """The named message; `Window-Front-Driver-Open` works too. UnknownCommand: none, with up to 3 similar names."""
    wanted = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
    command = e46.get(wanted)
    if command is None:
        raise UnknownCommand(name, _near(wanted))
    return command


def _near(wanted: str) -> list[str]:
    """Names that contain all the words, or else names spelled alike."""
    with_words = [command.name for command in e46.find(wanted.replace("_", " "))] if wanted else []
    if 0 < len(with_words) <= 3:
        return with_words
    import difflib

    return difflib.get_close_matches(wanted, [command.name for command in e46.commands()], n=3)


@click.command(epilog="Example: openkline commands window driver")
@click.argument("text", nargs=-1)
@json_option
def commands(text: tuple[str, ...], as_json: bool) -> None:
    """List the named messages for the E46.

    With TEXT, only those whose name, group or description contains every word. `!` marks messages that move, lock or
    unlock something, turn a light off, or simulate the key or the ignition; `openkline send` asks before sending one.
    They come from published sources and have not been tested on a car by this project.

    Exit status 1: no message matches.
    """
    found = list(e46.find(" ".join(text)))
    if not found:
        raise OpenklineError(f"no command matches {' '.join(text)!r}; list all with: openkline commands")
    if as_json:
        for command in found:
            echo(json.dumps(_as_object(command)), wrap=False)
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        for command in found:
            mark = "!" if command.caution else " "
            echo(f"{command.name:<31} {mark} {hex_bytes(command.frame()):<50} {command.description}")
    echo(f"{plural(len(found), 'command')}; bytes from {e46.SOURCE}", err=True)


def _as_object(command: e46.Command) -> dict[str, object]:
    return {
        "name": command.name,
        "group": command.group,
        "description": command.description,
        "caution": command.caution,
        "frame": hex_bytes(command.frame()),
    }


def _print_table(found: Sequence[e46.Command]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("")
    table.add_column("frame")
    table.add_column("what it does")
    group = ""
    for command in found:
        if command.group != group:
            group = command.group
            table.add_row(f"[dim]{group}[/dim]")
        mark = "[yellow]![/yellow]" if command.caution else ""
        table.add_row(command.name, mark, f"[dim]{hex_bytes(command.frame())}[/dim]", command.description)
    console().print(table)
