"""Frames on the K-line: ISO 14230 (KWP2000) and ISO 9141-2. Building, taking apart, and finding them among noise.

    KWP        format | [target source] | [length] | data.. | checksum
    ISO 9141   68 6A F1 (request) or 48 6B ecu (answer) | data, 1..7 bytes | checksum

Format byte: bits 7-6 address mode: 00 no addresses, 01 exception mode (that is how ISO 9141's headers look to a KWP
reader: its low bits are no length), 10 physical, 11 functional target. Bits 5-0: length of data, 0 = a length byte of
its own follows the addresses. So 63 is the longest in the format byte, 255 the longest at all. Checksum: sum mod 256.
Sources: ISO 14230-2:2016, 9 (message structure; 4.1.1 to 4.1.4 in the draft of 1996), ISO 9141-2 and SAE J1979 (headers
68 6A F1 / 48 6B).
"""

from kline.protocol.checksum import sum8
from kline.protocol.obd.keybytes import ISO_9141, KWP, KeyBytes
from kline.protocol.ticks import count_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

NO_ADDRESS = 0
EXCEPTION = 1
PHYSICAL = 2
FUNCTIONAL = 3

TESTER = 0xF1
OBD_FUNCTIONAL = 0x33  # all emission-related ECUs, ISO 14230-4
MAX_FRAME = 260  # format, target, source, length, 255 data bytes, checksum
ISO_9141_MAX_DATA = 7
ISO_9141_REQUEST = b"\x68\x6a\xf1"
_ISO_9141_MIN = 5
_ISO_9141_MAX = 3 + ISO_9141_MAX_DATA + 1

START_COMMUNICATION = b"\x81"
STOP_COMMUNICATION = b"\x82"


def address_mode(format_byte: int) -> int:
    """NO_ADDRESS, EXCEPTION, PHYSICAL or FUNCTIONAL."""
    return format_byte >> 6 & 3


def data_start(buf: "Buffer", n: int) -> int:
    """Index of the first data byte (the service) in the frame at buf[0], of which n bytes are there; -1: too few."""
    if n < 1:
        return -1
    mode = buf[0] >> 6
    i = 1 if mode == NO_ADDRESS else 3
    if mode != EXCEPTION and not buf[0] & 0x3F:
        i += 1
    return i if n > i else -1


def frame_size(buf: "Buffer", n: int) -> int:
    """Bytes of the whole KWP frame at buf[0]; 0: more bytes are needed to tell, -1: it carries no valid length."""
    if n < 1:
        return 0
    mode = buf[0] >> 6
    if mode == EXCEPTION:
        return -1
    header = 1 if mode == NO_ADDRESS else 3
    length = buf[0] & 0x3F
    if not length:
        if n <= header:
            return 0
        length = buf[header]
        header += 1
        if not length:
            return -1
    return header + length + 1


def encode(
    data: "Buffer",
    target: int = OBD_FUNCTIONAL,
    source: int = TESTER,
    mode: int = FUNCTIONAL,
    extra_length: bool = False,
) -> bytes:
    """A whole KWP frame; a length byte of its own where data has over 63 bytes, or where extra_length asks for it.

    ValueError: mode EXCEPTION (see encode_iso9141), an address outside 0..255, data not 1..255 bytes.
    """
    n = len(data)
    if mode not in (NO_ADDRESS, PHYSICAL, FUNCTIONAL):
        raise ValueError("mode is %r, must be NO_ADDRESS, PHYSICAL or FUNCTIONAL" % (mode,))
    if not 1 <= n <= 255:
        raise ValueError("data has %d bytes, must be 1..255" % n)
    extra = extra_length or n > 63
    frame = bytearray((mode << 6 | (0 if extra else n),))
    if mode != NO_ADDRESS:
        frame.append(_address("target", target))
        frame.append(_address("source", source))
    if extra:
        frame.append(n)
    return _finish(frame, data)


def encode_iso9141(data: "Buffer", header: bytes = ISO_9141_REQUEST) -> bytes:
    """A whole ISO 9141-2 frame. ValueError: data not 1..7 bytes, header not 3 bytes."""
    n = len(data)
    if not 1 <= n <= ISO_9141_MAX_DATA:
        raise ValueError("data has %d bytes, must be 1..%d on ISO 9141-2" % (n, ISO_9141_MAX_DATA))
    if len(header) != 3:
        raise ValueError("header has %d bytes, must be 3" % len(header))
    return _finish(bytearray(header), data)


def _address(name: str, value: int) -> int:
    if not 0 <= value <= 255:
        raise ValueError("%s is %r, must be 0..255" % (name, value))
    return value


def _finish(frame: bytearray, data: "Buffer") -> bytes:
    frame.extend(data)
    frame.append(sum8(frame, 0, len(frame)))
    return bytes(frame)


def build_request(key: KeyBytes, data: "Buffer", target: int = OBD_FUNCTIONAL, functional: bool = True) -> bytes:
    """The frame that asks `data` (service, PID ..) of ECUs that introduced themselves with these key bytes.

    ISO 9141: `68 6A F1`. KWP: three-byte header with the length in the format byte where the key bytes allow it, else
    with a length byte; without addresses only where that is all that they allow. ValueError as of encode().
    """
    if key.protocol == ISO_9141:
        return encode_iso9141(data)
    extra = key.protocol == KWP and not key.length_in_format and key.extra_length
    if key.protocol == KWP and key.one_byte_header and not key.addressed_header:
        return encode(data, mode=NO_ADDRESS, extra_length=extra)
    return encode(data, target, TESTER, FUNCTIONAL if functional else PHYSICAL, extra)


# -- receiving ---------------------------------------------------------------------------------------------------------


class Frame:
    """One frame: mode, target and source (-1 without addresses; of an ISO 9141 answer: 6B and the ECU), data."""

    __slots__ = ("data", "mode", "source", "target")

    def __init__(self, mode: int, target: int, source: int, data: bytes) -> None:
        self.mode = mode
        self.target = target
        self.source = source
        self.data = data

    def __repr__(self) -> str:
        return "Frame(mode %d, %02X <- %02X: %s)" % (self.mode, self.target & 0xFF, self.source & 0xFF, self.data.hex())


# What a session can hear (bits).
HEAR_ISO_9141 = 1  # 48 6B ecu ..: ends by silence
HEAR_ADDRESSED = 2  # KWP with addresses, to the tester
HEAR_SHORT = 4  # KWP without addresses
HEAR_ALL = 7


def hears(key: KeyBytes) -> int:
    """HEAR_.. bits for ECUs with these key bytes. The fewer, the sooner a stray byte is known for what it is."""
    if key.protocol == ISO_9141:
        return HEAR_ISO_9141
    if key.protocol == KWP:
        bits = HEAR_ADDRESSED if key.addressed_header or not key.one_byte_header else 0
        return bits | HEAR_SHORT if key.one_byte_header and key.key_word != 2000 else bits or HEAR_ADDRESSED
    return HEAR_ISO_9141 | HEAR_ADDRESSED


class FrameParser:
    """Finds answers in what a tester receives: concatenated ones, stray bytes between them, cut or damaged ones.

    Loop: feed() bytes as they come, then take() until it gives None; when the line has been silent for over P1max,
    take(True) until None: an ISO 9141 frame is over only then, and what is still incomplete is dropped byte by byte.
    The candidate that begins first wins until it can't be one, or its checksum is wrong, or silence cuts it.

    hear      HEAR_.. bits; tester: only frames to this address count (KWP with addresses)
    size      bytes of the newest frame, header and checksum included
    Counters: frames; bad_checksum, incomplete: candidates given up; dropped_bytes: bytes that belonged to no frame.
    """

    def __init__(self, hear: int = HEAR_ALL, tester: int = TESTER) -> None:
        self.hear = hear
        self.tester = tester
        self.size = 0
        self.frames = 0
        self.bad_checksum = 0
        self.incomplete = 0
        self.dropped_bytes = 0
        self._buf = bytearray(MAX_FRAME + 60)
        self._start = 0
        self._end = 0

    def reset(self) -> None:
        """Forget all bytes."""
        self._start = self._end = 0

    def waiting(self) -> int:
        """Bytes that belong to no frame yet."""
        return self._end - self._start

    def feed(self, data: "Buffer", n: int = -1) -> None:
        """Take in data[0:n] (n < 0: all of it). Where take() is not called in between, the oldest bytes give way."""
        for i in range(len(data) if n < 0 else n):
            self.put(data[i])

    def put(self, byte: int) -> None:
        """Take in one byte. Allocates nothing."""
        if self._end == len(self._buf):
            self._make_room()
        self._buf[self._end] = byte
        self._end += 1

    def _make_room(self) -> None:
        if not self._start:
            self._drop(1)
        buf = self._buf
        n = self._end - self._start
        for i in range(n):
            buf[i] = buf[self._start + i]
        self._start = 0
        self._end = n

    def take(self, ended: bool = False) -> "Frame | None":
        """The next whole frame with a right checksum, or None. ended: the line has been silent for over P1max."""
        while self._start < self._end:
            size = self._size(ended)
            if size > 0:
                return self._cut(size)
            if size == 0:
                return None
            self._drop(1)
        return None

    def _drop(self, n: int) -> None:
        self._start += n
        for _ in range(n):
            self.dropped_bytes = count_up(self.dropped_bytes)

    def _size(self, ended: bool) -> int:
        """Bytes of the good frame at the head; 0: wait for more; -1: none begins here."""
        buf = self._buf
        start = self._start
        n = self._end - start
        format_byte = buf[start]
        mode = format_byte >> 6
        if mode == EXCEPTION:
            return self._size_iso9141(start, n, ended)
        if not self.hear & (HEAR_SHORT if mode == NO_ADDRESS else HEAR_ADDRESSED):
            return -1
        if mode != NO_ADDRESS and n > 1 and buf[start + 1] != self.tester:
            return -1
        length_at = 1 if mode == NO_ADDRESS else 3
        length = format_byte & 0x3F
        size = length_at + length + 1
        if not length:
            length = buf[start + length_at] if n > length_at else 1
            if not length:
                return -1
            size = length_at + 1 + length + 1
        if n < size:
            return self._not_yet(ended)
        return self._checked(start, size)

    def _not_yet(self, ended: bool) -> int:
        if ended:
            self.incomplete = count_up(self.incomplete)
            return -1
        return 0

    def _checked(self, start: int, size: int) -> int:
        last = start + size - 1
        if sum8(self._buf, start, last) == self._buf[last]:
            return size
        self.bad_checksum = count_up(self.bad_checksum)
        return -1

    def _size_iso9141(self, start: int, n: int, ended: bool) -> int:
        """It has no length: it ends where its checksum is right and silence follows, or another header."""
        buf = self._buf
        if not self.hear & HEAR_ISO_9141 or buf[start] != 0x48 or (n > 1 and buf[start + 1] != 0x6B):
            return -1
        if not ended and n < _ISO_9141_MAX + 2:
            return 0
        total = 0
        for size in range(1, min(n, _ISO_9141_MAX) + 1):
            last = start + size - 1
            if size >= _ISO_9141_MIN and total == buf[last]:
                left = n - size
                if (not left and ended) or self._header_follows(last + 1, left):
                    return size
            total = total + buf[last] & 0xFF
        self.bad_checksum = count_up(self.bad_checksum)
        return -1

    def _header_follows(self, i: int, left: int) -> bool:
        return left > 0 and self._buf[i] == 0x48 and (left == 1 or self._buf[i + 1] == 0x6B)

    def _cut(self, size: int) -> Frame:
        buf = self._buf
        start = self._start
        mode = buf[start] >> 6
        head = 1 if mode == NO_ADDRESS else 3
        if mode != EXCEPTION and not buf[start] & 0x3F:
            head += 1
        data = bytes(buf[start + head : start + size - 1])
        self._start = start + size
        self.size = size
        self.frames = count_up(self.frames)
        if mode == NO_ADDRESS:
            return Frame(mode, -1, -1, data)
        return Frame(mode, buf[start + 1], buf[start + 2], data)
