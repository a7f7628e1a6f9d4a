"""The bundle of an update: all modules of the board in one file that the gateway's upload can carry.

The layout is in kline.protocol.update.bundle, the board's side. At most 65535 bytes: an upload has 16 bits for its
length. A small window costs the board little memory (it unpacks with 2^wbits bytes of it), so it is the smallest with
which the bundle fits. The same modules give the same bytes (with the same zlib).
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kline.protocol.checksum import crc16
from kline.protocol.update import bundle as layout
from kline.protocol.update.bundle import FORMAT, MAGIC, MAX_WBITS, MPY
from kline.protocol.update.codes import MAX_BUNDLE
from openkline.errors import OpenklineError
from openkline.firmware.modules import compile_modules, firmware_root
from openkline.words import plural

_WINDOWS = range(9, MAX_WBITS + 1)  # zlib makes no raw stream with 8
_MAX_UNPACKED = 1 << 20  # beyond it a file is no bundle of ours, whatever its header says
_HEAD = struct.Struct("<4sB3sBBB")
_COUNTS = struct.Struct("<HI")
_SUFFIX = struct.Struct("<I32s")
_BOARD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class BundleError(OpenklineError):
    """It can't be built, or what was read is none."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """raw: the file; files: path below the slot (kline/..) -> bytes; boards: () for any."""

    raw: bytes
    version: tuple[int, int, int]
    boards: tuple[str, ...]
    wbits: int
    unpacked: int
    files: Mapping[str, bytes]

    @property
    def crc(self) -> int:
        """What goes beside it: polynomial A001, initial FFFF."""
        return crc16(self.raw, 0, len(self.raw))

    def stats(self) -> dict[str, object]:
        """Plain values, for --json."""
        return {
            "version": ".".join(map(str, self.version)),
            "boards": list(self.boards),
            "bytes": len(self.raw),
            "limit": MAX_BUNDLE,
            "crc": f"{self.crc:04X}",
            "window": 1 << self.wbits,
            "unpacked": self.unpacked,
            "files": {
                path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for path, data in self.files.items()
            },
        }


def build(boards: Sequence[str] = (), root: Path | None = None) -> Bundle:
    """The bundle of this firmware. BundleError: too big, or a board's name can't be; ModuleError."""
    root = root or firmware_root()
    return pack(compile_modules(root), version_of(root), boards)


def version_of(root: Path) -> tuple[int, int, int]:
    """From kline/version.py below root."""
    path = root / "kline" / "version.py"
    try:
        found = re.search(r'^VERSION = "(\d+)\.(\d+)\.(\d+)', path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error}") from error
    if found is None:
        raise BundleError(f'{path} has no line VERSION = "1.2.3"')
    return int(found[1]), int(found[2]), int(found[3])


def pack(files: Mapping[str, bytes], version: tuple[int, int, int], boards: Sequence[str] = ()) -> Bundle:
    """BundleError: it has more bytes than an update carries, even with the largest window."""
    if not all(0 <= number <= 255 for number in version):
        raise BundleError(f"version is {version}, each number must be 0..255")
    for name in boards:
        if not _BOARD.fullmatch(name):
            raise BundleError(f"board is {name!r}, must be a board's name such as ESP32_GENERIC")
    names = ",".join(boards).encode("ascii")
    if len(names) > 255:
        raise BundleError(f"the boards' names have {plural(len(names), 'byte')}, there is room for 255")
    stream = b"".join(_entry(path, data) for path, data in sorted(files.items()))
    for wbits in _WINDOWS:
        head = _HEAD.pack(MAGIC, FORMAT, bytes(version), MPY, wbits, len(names))
        raw = head + names + _COUNTS.pack(len(files), len(stream)) + _deflate(stream, wbits)
        if len(raw) <= MAX_BUNDLE:
            return Bundle(raw, version, tuple(boards), wbits, len(stream), dict(sorted(files.items())))
    raise BundleError(
        f"the bundle has {plural(len(raw), 'byte')}, an update over the gateway carries {MAX_BUNDLE}: "
        "flash this version with `openkline flash` instead"
    )


def _entry(path: str, data: bytes) -> bytes:
    name = path.encode("utf-8")
    if not layout.valid_path(name):
        raise BundleError(f"{path!r} can't be a file in a slot")
    return bytes((len(name),)) + name + _SUFFIX.pack(len(data), hashlib.sha256(data).digest()) + data


def _deflate(stream: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -wbits, 9)
    return packer.compress(stream) + packer.flush()


def read(raw: bytes) -> Bundle:
    """Take a bundle apart and check all of it. BundleError: what was expected, and what came."""
    if len(raw) > MAX_BUNDLE:
        raise BundleError(f"the bundle has {plural(len(raw), 'byte')}, an update over the gateway carries {MAX_BUNDLE}")
    try:
        header = layout.parse_header(raw)
        unpacker = layout.Unpacker(_inflate(raw[header.size :], header), header)
        files = dict(_files(unpacker))
    except layout.BundleError as error:
        raise BundleError(f"no bundle that can be used: {error}") from error
    return Bundle(raw, header.version, header.boards, header.wbits, header.unpacked, files)


def _inflate(packed: bytes, header: layout.Header) -> io.BytesIO:
    unpacker = zlib.decompressobj(-max(header.wbits, 9))
    try:
        stream = unpacker.decompress(packed, min(header.unpacked, _MAX_UNPACKED) + 1)
    except zlib.error as error:
        raise layout.BundleError(f"its compressed data is damaged ({error})") from error
    if len(stream) != header.unpacked or not unpacker.eof or unpacker.unused_data:
        raise layout.BundleError(f"its header says {plural(header.unpacked, 'byte')}, its stream has another length")
    return io.BytesIO(stream)


def _files(unpacker: layout.Unpacker) -> Iterator[tuple[str, bytes]]:
    while unpacker.next_file():
        data = bytearray(unpacker.size)
        unpacker.read(data)
        if hashlib.sha256(data).digest() != unpacker.digest:
            raise layout.BundleError(f"{unpacker.path} is not what its digest says")
        yield unpacker.path, bytes(data)
