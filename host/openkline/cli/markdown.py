"""A page of boards/NAME/board.md for a terminal: text, tables and drawings without Markdown's marks."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKS = re.compile(r"\*\*|`")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_RULE = re.compile(r"\|[\s|:-]+\|?")


def plain(text: str) -> Iterator[tuple[str, bool]]:
    """(line, whether it may be wrapped): a paragraph is one line, a drawing's lines stay as they are."""
    waiting: list[str] = []  # of a paragraph or a table
    drawing = False
    for line in [*text.splitlines(), ""]:
        if line.startswith("```"):
            yield from _block(waiting)
            drawing = not drawing
        elif drawing:
            yield line, False
        elif not line.strip() or line.startswith(("#", "- ")):
            yield from _block(waiting)
            if line.startswith("- "):
                waiting.append(line)
            else:
                yield _inline(line.lstrip("#").strip()), True
        else:
            waiting.append(line)
    yield from _block(waiting)


def _block(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """What has been collected, and it is empty then."""
    if lines and lines[0].startswith("|"):
        yield from ((row, True) for row in _table(lines))
    elif lines:
        yield _inline(" ".join(line.strip() for line in lines)), True
    lines.clear()


def _table(lines: list[str]) -> list[str]:
    kept = [line for line in lines if not _RULE.fullmatch(line)]
    rows = [[_inline(cell.strip()) for cell in line.strip().strip("|").split("|")] for line in kept]
    columns = max(map(len, rows))
    rows = [row + [""] * (columns - len(row)) for row in rows]
    wide = [max(len(row[n]) for row in rows) for n in range(columns - 1)]
    return ["  " + "  ".join([*map(str.ljust, row, wide), row[-1]]).rstrip() for row in rows]


def _inline(text: str) -> str:
    return _MARKS.sub("", _LINK.sub(r"\1", text))
