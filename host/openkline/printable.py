"""The one filter between what a board, a log or a program says and a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with every character that is not for reading written out: `\x1b`, `\n`, `\u202e`.

    A log, a file's name or a board's name may hold anything: escape sequences would move the cursor, set the title
    or hide what comes next.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
