"""The bundle of an update: all modules of one slot, compressed. The PC builds it (openkline/update/bundle.py).

    "OKB1" | format u8 | version 3 x u8 | mpy u8 | wbits u8 | boards: u8 + ASCII | files u16 | unpacked u32 | deflate
    deflate, unpacked: files times  path: u8 + ASCII | size u32 | sha256 of the data, 32 bytes | data

mpy: version of the byte code (6); wbits: window of the compression, 2**wbits bytes; boards: names it is made for,
separated by commas, none = any; unpacked: bytes that the deflate stream contains, paths and digests included. Little
endian; at most update.MAX_BUNDLE bytes.
A CRC-16 (checksum.crc16) over the whole bundle travels beside it, see update.py.
"""

from kline.protocol.link.records import get_u16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from kline.protocol._types import Buffer

    class Stream(Protocol):
        """What Unpacker reads from: deflate.DeflateIO on the board, io.BytesIO on the PC."""

        def readinto(self, __buf: "bytearray | memoryview") -> "int | None": ...


MAGIC = b"OKB1"
FORMAT = 1
MPY = 6
MIN_WBITS, MAX_WBITS = 8, 15
MIN_HEADER = 17  # without names of boards
MAX_HEADER = MIN_HEADER + 255
MAX_PATH = 64
DIGEST = 32

_NAME = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."


class BundleError(ValueError):
    """The bundle is broken; the text says what was expected and what came."""


class UnsupportedError(BundleError):
    """It may be whole, but is of another format, or for another version of byte code."""


class Header:
    """What parse_header() found; size: of the header itself, behind it the compressed stream begins."""

    def __init__(
        self,
        version: "tuple[int, int, int]",
        wbits: int,
        boards: "tuple[str, ...]",
        files: int,
        unpacked: int,
        size: int,
    ) -> None:
        self.version = version
        self.wbits = wbits
        self.boards = boards
        self.files = files
        self.unpacked = unpacked
        self.size = size

    def fits(self, board: str) -> bool:
        """True if the bundle may run on the board of this name."""
        return not self.boards or board in self.boards


def parse_header(buf: "Buffer") -> Header:
    """The Header that buf begins with: MAX_HEADER bytes, or all there is. BundleError, UnsupportedError."""
    if len(buf) < MIN_HEADER or bytes(buf[:4]) != MAGIC:
        raise BundleError("expected OKB1 and a header, got %r" % bytes(buf[:4]))
    if buf[4] != FORMAT:
        raise UnsupportedError("format %d, this firmware knows %d" % (buf[4], FORMAT))
    if buf[8] != MPY:
        raise UnsupportedError("byte code of version %d, this firmware runs %d" % (buf[8], MPY))
    if not MIN_WBITS <= buf[9] <= MAX_WBITS:
        raise BundleError("window 2**%d, expected 2**8 .. 2**15" % buf[9])
    end = 11 + buf[10]
    if len(buf) < end + 6:
        raise BundleError("the header ends after %d bytes" % len(buf))
    names = bytes(buf[11:end])
    boards = tuple([_name(name) for name in names.split(b",")]) if names else ()
    size = end + 6
    return Header((buf[5], buf[6], buf[7]), buf[9], boards, get_u16(buf, end), _u32(buf, end + 2), size)


class Unpacker:
    """Takes the files out of an unpacked stream one after the other, with memory for one piece.

    while unpacker.next_file():          path, size, digest are this file's
        n = unpacker.read(buf)           up to len(buf) bytes of its data; 0 at its end, to which it must be read

    Both raise BundleError when the stream is not what the header says. Comparing the digest is the caller's.
    """

    def __init__(self, stream: "Stream", header: Header) -> None:
        self.path = ""
        self.size = 0
        self.digest = b""
        self._stream = stream
        self._files = header.files
        self._left = header.unpacked
        self._file_left = 0
        self._seen: "list[str]" = []

    def next_file(self) -> bool:
        """False after the last one; then all of the stream has been read."""
        if not self._files:
            self._finish()
            return False
        self._files -= 1
        n = self._take(1)[0]
        path = self._take(n)
        if not valid_path(path):
            raise BundleError("path %r, expected one of a module in a folder" % path)
        self.path = path.decode()
        if self.path in self._seen:
            raise BundleError("%s comes twice" % self.path)
        self._seen.append(self.path)
        self.size = self._file_left = _u32(self._take(4), 0)
        self.digest = self._take(DIGEST)
        if self.size > self._left:
            raise BundleError("%s: %d bytes, but only %d are left" % (self.path, self.size, self._left))
        return True

    def read(self, buf: bytearray) -> int:
        n = min(len(buf), self._file_left)
        self._fill(memoryview(buf)[:n])
        self._file_left -= n
        return n

    def _finish(self) -> None:
        if self._left:
            raise BundleError("%d bytes behind the last file" % self._left)
        if _read(self._stream, memoryview(bytearray(1))):
            raise BundleError("more data than the header says")

    def _take(self, n: int) -> bytes:
        buf = bytearray(n)
        self._fill(memoryview(buf))
        return bytes(buf)

    def _fill(self, part: memoryview) -> None:
        n = len(part)
        if n > self._left:
            raise BundleError("the stream ends within a file")
        self._left -= n
        done = 0
        while done < n:
            k = _read(self._stream, part[done:])
            if not k:
                raise BundleError("the stream ends %d bytes too early" % (self._left + n - done))
            done += k


def valid_path(path: bytes) -> bool:
    """True for folders and a file name, e.g. kline/protocol/ring.mpy: nothing that could lead out of the slot."""
    if not 3 <= len(path) <= MAX_PATH or b"/" not in path:
        return False
    for part in path.split(b"/"):
        if not part or part[0] == 0x2E:
            return False
        for byte in part:
            if byte not in _NAME:
                return False
    return True


def _name(name: bytes) -> str:
    for byte in name:
        if byte not in _NAME:
            raise BundleError("name of a board: %r" % name)
    if not name:
        raise BundleError("a board without a name")
    return name.decode()


def _u32(buf: "Buffer", at: int) -> int:
    """A length; one that no board could hold becomes 2**30 - 1, so that it stays a small int."""
    if buf[at + 3] >= 0x40:
        return 0x3FFFFFFF
    return buf[at] | buf[at + 1] << 8 | buf[at + 2] << 16 | buf[at + 3] << 24


def _read(stream: "Stream", part: memoryview) -> int:
    try:
        return stream.readinto(part) or 0
    except (OSError, EOFError):
        raise BundleError("the compressed data is damaged")
