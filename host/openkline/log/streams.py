"""Bytes of a log as they should be: unpacked (gzip), without a mark in front (BOM), UTF-16 as UTF-8, no NULs in front.

Whether they are text or bytes of the wire is judged here too: text is never scanned for frames as if it were bytes.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

HEAD_SIZE = 65536
_GZIP = b"\x1f\x8b\x08"
_UTF8 = codecs.BOM_UTF8
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_TEXT_CONTROLS = b"\t\n\f\r\x1b"  # escape sequences are some program's colours
_CONTROLS = bytes(set(range(32)) - set(_TEXT_CONTROLS)) + b"\x7f"
_HIGH = bytes(range(128, 256))

Failed = Callable[[str], None]


class Stream(io.RawIOBase):
    """What was read already, then the rest; `convert` sees each piece, and b"" once at the end."""

    def __init__(self, head: bytes, rest: BinaryIO, failed: Failed, convert: Callable[[bytes], bytes] | None) -> None:
        super().__init__()
        self._head = head
        self._rest = rest
        self._failed = failed
        self._convert = convert
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, into: Buffer) -> int:
        while not self._head and not self._ended:
            self._head = self._more()
        view = memoryview(into).cast("B")
        n = min(len(view), len(self._head))
        view[:n], self._head = self._head[:n], self._head[n:]
        return n

    def _more(self) -> bytes:
        data = read_some(self._rest, self._failed)
        self._ended = not data
        return self._convert(data) if self._convert else data


def read_some(stream: BinaryIO, failed: Failed, size: int = HEAD_SIZE) -> bytes:
    """What is there, at least a byte; b"" at the end, or where the rest can't be unpacked: `failed` gets the reason."""
    try:
        # Not read(): a pipe may have a line now and the next one tomorrow.
        return stream.read1(size) if hasattr(stream, "read1") else stream.read(size)
    except (EOFError, OSError, zlib.error) as error:
        failed(f"the file ends in the middle, or is damaged: {error}")
        return b""


def open_stream(file: BinaryIO, failed: Failed) -> tuple[bytes, io.BufferedReader]:
    """(the first bytes, a stream with all of them), unpacked and decoded."""
    head = read_some(file, failed)
    if head.startswith(_GZIP):
        again = io.BufferedReader(Stream(head, file, failed, None))
        file = gzip.GzipFile(fileobj=again)  # type: ignore[assignment]
        head = read_some(file, failed)
    while head and not head.strip(b"\0"):  # a file system that lost power fills the front with them
        head = read_some(file, failed)
    head = head.lstrip(b"\0") if is_text(head.lstrip(b"\0")) else head
    convert, mark = _decoder(head)
    head = head[len(mark) :]
    if convert is not None:
        head = convert(head)
    return head, io.BufferedReader(Stream(head, file, failed, convert))


def _decoder(head: bytes) -> tuple[Callable[[bytes], bytes] | None, bytes]:
    """What turns UTF-16 into UTF-8 (None: nothing to do), and the mark in front."""
    if head.startswith(_UTF8):
        return None, _UTF8
    for mark, name in _UTF16.items():
        if head.startswith(mark):
            return _as_utf8(codecs.getincrementaldecoder(name)("replace")), mark
    return None, b""


def _as_utf8(decoder: codecs.IncrementalDecoder) -> Callable[[bytes], bytes]:
    return lambda data: decoder.decode(data, not data).encode("utf-8", "replace")


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is text: hardly a control character, and few bytes that UTF-8 doesn't know."""
    if not head or head.startswith((_UTF8, *_UTF16)):
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls * 50 > len(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return (len(head) - len(head.translate(None, _HIGH))) * 10 < len(head)
    return True
