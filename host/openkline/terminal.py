"""The one way to the terminal: what was said by others only as printable text, lines wrapped between words.

`echo` prints lines, `console` makes rich's consoles, `colours` says whether a stream shows them. A test finds every
other way to print.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from openkline.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

RED, GREEN, YELLOW, BOLD, DIM, OFF = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_MAX_HANG = 26  # columns; a longer label doesn't move the lines that follow it
_LEAST_ROOM = 24  # of a line after its indentation


def echo(
    text: str = "", *, err: bool = False, wrap: bool = True, paint: Mapping[str, str] | None = None, nl: bool = True
) -> None:
    """Print lines. wrap: False for what programs read; paint: {word: colour}, each where it first stands.

    OSError: stdout or stderr doesn't take it (BrokenPipeError: its reader has gone).
    """
    stream = sys.stderr if err else sys.stdout
    width = width_of(stream) if wrap else None
    shown = "\n".join(line for part in text.split("\n") for line in wrapped(printable(part), width))
    if paint and colours(stream):
        for word, colour in paint.items():
            shown = shown.replace(word, f"{colour}{word}{OFF}", 1)
    _put(stream, shown + "\n" if nl else shown)


def _put(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def width_of(stream: TextIO) -> int | None:
    """Columns of the terminal; None: it is none."""
    with contextlib.suppress(OSError, ValueError):
        if stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or 80
    return None


def colours(stream: TextIO) -> bool:
    """Whether it is a terminal that shows them, and they are wanted (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and width_of(stream) is not None


def wrapped(line: str, width: int | None) -> list[str]:
    """One line as those that fit: broken between words, the next ones below the text of `  label   text`.

    A word that is too long stays whole: the terminal breaks it, and it can be copied. width None: as it is.
    """
    if width is None or len(line) <= width:
        return [line]
    indent = _hang(line, width)
    lines, rest = [], line
    while len(rest) > width:
        at = rest.rfind(" ", len(rest) - len(rest[indent:].lstrip()), width + 1)
        if at < 0:
            at = rest.find(" ", width)
        if at < 0:
            break
        lines.append(rest[:at].rstrip())
        rest = " " * indent + rest[at:].lstrip()
    return [*lines, rest] if rest.strip() else lines


def _hang(line: str, width: int) -> int:
    """Where the lines after the first begin."""
    indent = len(line) - len(line.lstrip())
    gap = line.find("  ", indent)
    if gap >= 0:
        column = gap + len(line[gap:]) - len(line[gap:].lstrip())
        if column <= min(_MAX_HANG, width - _LEAST_ROOM):
            return column
    return indent if indent <= width - _LEAST_ROOM else 0


def console(err: bool = False, **words: Any) -> Console:
    """A console of rich whose texts are filtered as those of echo()."""
    from openkline.rich_console import PrintableConsole

    return PrintableConsole(stderr=err, **words)
