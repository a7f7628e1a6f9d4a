"""`openkline commands`, and the way from a name that a person typed to one of the named messages."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence

import rich_click as click
from rich.console import Console
from rich.table import Table

from kline.protocol.ibus import commands as e46
from openkline.cli.common import json_option
from openkline.errors import OpenklineError
from openkline.log.formats import hex_bytes


class UnknownCommand(OpenklineError):
    """A name that is in no table: wrong usage."""

    exit_code = 2

    def __init__(self, name: str, suggestions: Sequence[str]) -> None:
        self.suggestions = tuple(suggestions)
        if suggestions:
            hint = f"did you mean {' or '.join(suggestions)}?"
        else:
            hint = "search them with: openkline commands TEXT"
        super().__init__(f"no command is called {name!r}; {hint}")


def resolve_command(name: str) -> e46.Command:
    """The named message; `Window-Front-Driver-Open` will do too. UnknownCommand: none, with up to 3 near names."""
    wanted = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
    command = e46.get(wanted)
    if command is None:
        raise UnknownCommand(name, _near(wanted))
    return command


def _near(wanted: str) -> list[str]:
    """Names that have all the words, or else names spelled alike."""
    with_words = [command.name for command in e46.find(wanted.replace("_", " "))] if wanted else []
    if 0 < len(with_words) <= 3:
        return with_words
    return difflib.get_close_matches(wanted, [command.name for command in e46.commands()], n=3)


@click.command(epilog="Example: openkline commands window driver")
@click.argument("text", nargs=-1)
@json_option
def commands(text: tuple[str, ...], as_json: bool) -> None:
    """List the named messages of the E46, or those that have every word of TEXT in name, group or description.

    `!` marks what moves, locks or unlocks something, takes light away, or pretends key or ignition: `openkline send`
    asks before it sends one of those. None has been tried on a car by us.

    Exit status 1: no command has these words.
    """
    found = list(e46.find(" ".join(text)))
    if not found:
        raise OpenklineError(f"no command has all of: {' '.join(text)}")
    if as_json:
        for command in found:
            click.echo(json.dumps(_as_object(command)))
    elif sys.stdout.isatty():
        Console().print(_table(found))
    else:
        for command in found:
            mark = "!" if command.caution else " "
            click.echo(f"{command.name:<31} {mark} {hex_bytes(command.frame()):<50} {command.description}")
    click.echo(f"{len(found)} of them; bytes from {e46.SOURCE}", err=True)


def _as_object(command: e46.Command) -> dict[str, object]:
    return {
        "name": command.name,
        "group": command.group,
        "description": command.description,
        "caution": command.caution,
        "frame": hex_bytes(command.frame()),
    }


def _table(found: Sequence[e46.Command]) -> Table:
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
    return table
