"""Any log or capture that people have, as frames: read_frames(). What it is, its first bytes show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from openkline.log.formats import LogFrame, LogProblem, OnProblem, no_frame
from openkline.log.moments import slash_order
from openkline.log.streams import is_text, open_stream, read_some
from openkline.log.text import ByteStream, TextReader

READERS = ("auto", "text", "raw")
RAW_BLOCK = 64
_SCANNED_FOR_DATES = 1 << 24


def read_frames(file: BinaryIO, problem: OnProblem, how: str = "auto") -> Iterator[LogFrame]:
    """Frames of a log in any of the forms of text.py, or of the wire's own bytes; packed with gzip or not.

    how: auto (text, unless the first bytes are none), text, raw. Never raises on what it reads: what is no frame is
    handed to `problem` with its line (raw: with line 0), and passed over. A frame comes as soon as its line is whole.
    """
    found = ByteStream()
    for item in read_raw_blocks(file, problem, how):
        if isinstance(item, bytes):
            yield from found.feed(item, None)
        else:
            yield item
    yield from found.end()
    if found.dropped:
        problem(LogProblem(0, no_frame(found.dropped)))


def read_raw_blocks(file: BinaryIO, problem: OnProblem, how: str = "auto") -> Iterator[LogFrame | bytes]:
    """As read_frames, but the wire's own bytes come as they are, in blocks of at most RAW_BLOCK bytes."""

    def failed(reason: str) -> None:
        problem(LogProblem(0, reason))

    head, stream = open_stream(file, failed)
    if how == "text" or (how == "auto" and is_text(head)):
        order = slash_order(head) or _order_further_on(file)
        yield from TextReader(problem, order).read(stream)
        return
    while data := read_some(stream, failed, RAW_BLOCK):
        yield data


def _order_further_on(file: BinaryIO) -> str:
    """The order of day and month from the rest of a file that can be read twice; from where it is, and back to it."""
    try:
        if not file.seekable():
            return ""
        here = file.tell()
        order = slash_order(file.read(_SCANNED_FOR_DATES))
        file.seek(here)
    except (OSError, ValueError):
        return ""
    return order
