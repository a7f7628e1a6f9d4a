"""The gateway's messages as bytes: 8 bytes of header, then the data. Pure: no sockets, no clock.

    byte    0       1            2    3     4 5                       6 7
            source  destination  len  lenx  priority (LE, signed 16)  unused     then len bytes of data

    Hello               68 69 00 00 00 00 00 00
    Connect             63 74 00 00 PP PP 00 00      PP PP: port, little-endian, unsigned
    Ping                AA AA 00 00 00 00 00 00
    Disconnect          00 00 00 00 00 00 00 00
    GetFirmwareVersion  66 67 00 00 mm MM 00 00      mm minor, MM major; zeros in the question
    InitFirmwareUpdate  66 69 00 00 p1 p0 p2 p3      p0..p3: the password
    UploadFirmware      66 75 LL LL CC CC MM mm      LL LL: length, big-endian; CC CC: CRC little-endian; version
    UploadStatus        66 75 NN NN EE EE 00 00      the gateway's answer: NN NN bytes are safe, big-endian; error
    Data                ss dd nn 00 PP PP 00 00 ..   nn 1..255 bytes follow; the bus takes 1..253

len 0 makes a message special; lenx and the unused bytes of an ordinary message are ignored. From a client 66 75 is
always an upload, whatever its len. Checksums never cross TCP.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from openkline.words import plural

HEADER_SIZE = 8
DEFAULT_PRIORITY = 100
MIN_PRIORITY, MAX_PRIORITY = -32768, 32767
MAX_DATA = 255  # what len can say
MAX_BUS_DATA = 253  # the bus' length byte is len + 2

_HEADER = struct.Struct("<BBBBhBB")
UPLOAD = b"\x66\x75"  # source and destination
_GO_ON = (0x66, 0x69)


@dataclass(frozen=True, slots=True)
class Data:
    """One bus message without its checksum. data: 1..255 bytes, of which a bus carries 253."""

    source: int
    destination: int
    data: bytes
    priority: int = DEFAULT_PRIORITY

    def to_bytes(self) -> bytes:
        return encode(self.source, self.destination, self.data, self.priority)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Data:
        source, destination, length, _, priority, _, _ = _HEADER.unpack_from(raw)
        if not length or len(raw) != HEADER_SIZE + length:
            rest = plural(len(raw) - HEADER_SIZE, "byte follows", "bytes follow")
            raise ValueError(f"len is {length}, {rest} the header: must be equal, not 0")
        return cls(source, destination, bytes(raw[HEADER_SIZE:]), priority)

    @property
    def body(self) -> bytes:
        """The frame for the bus without its checksum: source, length, destination, data. ValueError: too long."""
        if len(self.data) > MAX_BUS_DATA:
            raise ValueError(f"data has {plural(len(self.data), 'byte')}, must be 1..{MAX_BUS_DATA}")
        return bytes((self.source, len(self.data) + 2, self.destination)) + self.data


@dataclass(frozen=True, slots=True)
class Hello:
    def to_bytes(self) -> bytes:
        return HELLO

    @classmethod
    def from_bytes(cls, raw: bytes) -> Hello:
        return cls()


@dataclass(frozen=True, slots=True)
class Connect:
    port: int

    def to_bytes(self) -> bytes:
        if not 0 <= self.port <= 0xFFFF:
            raise ValueError(f"port is {self.port}, must be 0..65535")
        return b"\x63\x74\0\0" + self.port.to_bytes(2, "little") + b"\0\0"

    @classmethod
    def from_bytes(cls, raw: bytes) -> Connect:
        return cls(int.from_bytes(raw[4:6], "little"))


@dataclass(frozen=True, slots=True)
class Ping:
    def to_bytes(self) -> bytes:
        return PING

    @classmethod
    def from_bytes(cls, raw: bytes) -> Ping:
        return cls()


@dataclass(frozen=True, slots=True)
class Disconnect:
    def to_bytes(self) -> bytes:
        return DISCONNECT

    @classmethod
    def from_bytes(cls, raw: bytes) -> Disconnect:
        return cls()


@dataclass(frozen=True, slots=True)
class FirmwareVersion:
    """Question (0.0) and answer. Also the answer when no board is connected: 0.0."""

    major: int = 0
    minor: int = 0

    def to_bytes(self) -> bytes:
        return bytes((0x66, 0x67, 0, 0, self.minor & 0xFF, self.major & 0xFF, 0, 0))

    @classmethod
    def from_bytes(cls, raw: bytes) -> FirmwareVersion:
        return cls(raw[5], raw[4])


@dataclass(frozen=True, slots=True)
class InitFirmwareUpdate:
    """password: 4 bytes; its first two are the little-endian `priority` field."""

    password: bytes = bytes(4)

    def to_bytes(self) -> bytes:
        if len(self.password) != 4:
            raise ValueError(f"password has {plural(len(self.password), 'byte')}, must be 4")
        p = self.password
        return bytes((0x66, 0x69, 0, 0, p[1], p[0], p[2], p[3]))

    @classmethod
    def from_bytes(cls, raw: bytes) -> InitFirmwareUpdate:
        return cls(bytes((raw[5], raw[4], raw[6], raw[7])))


@dataclass(frozen=True, slots=True)
class UploadFirmware:
    """The header of an upload; `length` bytes of firmware follow."""

    length: int
    crc: int = 0
    major: int = 0
    minor: int = 0

    def to_bytes(self) -> bytes:
        if not (0 <= self.length <= 0xFFFF and 0 <= self.crc <= 0xFFFF):
            raise ValueError(f"length {self.length} and crc {self.crc} must be 0..65535")
        tail = bytes((self.major & 0xFF, self.minor & 0xFF))
        return UPLOAD + self.length.to_bytes(2, "big") + self.crc.to_bytes(2, "little") + tail

    @classmethod
    def from_bytes(cls, raw: bytes) -> UploadFirmware:
        return cls(int.from_bytes(raw[2:4], "big"), int.from_bytes(raw[4:6], "little"), raw[6], raw[7])


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """What the gateway says about an update: bytes uploaded so far, and an error code (0: none)."""

    uploaded: int = 0
    error: int = 0

    def to_bytes(self) -> bytes:
        return UploadFirmware(self.uploaded, self.error).to_bytes()

    @classmethod
    def from_bytes(cls, raw: bytes) -> UploadStatus:
        header = UploadFirmware.from_bytes(raw)
        return cls(header.length, header.crc)


@dataclass(frozen=True, slots=True)
class UploadData:
    """Some of an upload's bytes; left: how many are still to come (0: that was the last)."""

    data: bytes
    left: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A special message (len 0) of no known kind: ignored."""

    raw: bytes


Message: TypeAlias = (
    Data
    | Hello
    | Connect
    | Ping
    | Disconnect
    | FirmwareVersion
    | InitFirmwareUpdate
    | UploadFirmware
    | UploadStatus
    | UploadData
    | Unknown
)

HELLO = b"\x68\x69" + bytes(6)
PING = b"\xaa\xaa" + bytes(6)
DISCONNECT = bytes(8)

_SPECIAL: dict[
    tuple[int, int],
    type[Hello] | type[Connect] | type[Ping] | type[Disconnect] | type[FirmwareVersion] | type[InitFirmwareUpdate],
] = {
    (0x68, 0x69): Hello,
    (0x63, 0x74): Connect,
    (0xAA, 0xAA): Ping,
    (0x00, 0x00): Disconnect,
    (0x66, 0x67): FirmwareVersion,
    (0x66, 0x69): InitFirmwareUpdate,
}


def encode(source: int, destination: int, data: bytes, priority: int = DEFAULT_PRIORITY) -> bytes:
    """An ordinary message. ValueError: data not 1..255 bytes, priority no signed 16-bit number, address no byte."""
    if not 1 <= len(data) <= MAX_DATA:
        raise ValueError(f"data has {plural(len(data), 'byte')}, must be 1..{MAX_DATA}")
    for name, value, low, high in (
        ("source", source, 0, 255),
        ("destination", destination, 0, 255),
        ("priority", priority, MIN_PRIORITY, MAX_PRIORITY),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}, must be {low}..{high}")
    return _HEADER.pack(source, destination, len(data), 0, priority, 0, 0) + data


def encode_frame(frame: bytes) -> bytes:
    """A whole bus frame (with checksum) as the message that clients get, priority 100. It must have a data byte."""
    data = frame[3:-1]
    return bytes((frame[0], frame[2], len(data), 0, DEFAULT_PRIORITY, 0, 0, 0)) + data


class Parser:
    """Bytes in any pieces, messages out. Holds at most one unfinished message (263 bytes); an upload is not held.

    to_gateway: what clients send, where 66 75 always is an upload. Otherwise what they receive, where 66 75 with len 0
    is an answer about an update, and with data is a bus message; while an update is under way (from 66 69 to an error,
    or to the count of expect_answers) it always is an answer.
    """

    def __init__(self, to_gateway: bool = True) -> None:
        self._to_gateway = to_gateway
        self._answers = False
        self._upload_length = 0
        self._buffer = bytearray()
        self._upload_left = 0

    @property
    def pending(self) -> int:
        """Bytes of an unfinished message."""
        return len(self._buffer)

    def expect_answers(self, length: int) -> None:
        """An upload of so many bytes is to follow, once the gateway agrees."""
        self._upload_length = length

    def feed(self, chunk: bytes | memoryview) -> list[Message]:
        buffer = self._buffer
        buffer += chunk
        messages: list[Message] = []
        at, end = 0, len(buffer)
        while at < end:
            if self._upload_left:
                part = bytes(buffer[at : at + self._upload_left])
                at += len(part)
                self._upload_left -= len(part)
                messages.append(UploadData(part, self._upload_left))
                continue
            if end - at < HEADER_SIZE:
                break
            header = bytes(buffer[at : at + HEADER_SIZE])
            size = HEADER_SIZE
            if header[2] and not (header.startswith(UPLOAD) and (self._to_gateway or self._answers)):
                size += header[2]
                if end - at < size:
                    break
                data = bytes(buffer[at + HEADER_SIZE : at + size])
                messages.append(Data(header[0], header[1], data, _HEADER.unpack(header)[4]))
            else:
                messages.append(self._special(header))
            at += size
        del buffer[:at]
        return messages

    def _special(self, header: bytes) -> Message:
        key = (header[0], header[1])
        if header.startswith(UPLOAD):
            if not self._to_gateway:
                status = UploadStatus.from_bytes(header)
                self._answers = self._answers and not status.error and status.uploaded < self._upload_length
                return status
            upload = UploadFirmware.from_bytes(header)
            self._upload_left = upload.length
            return upload
        if key == _GO_ON and self._upload_length:
            self._answers = True
        kind = _SPECIAL.get(key)
        return kind.from_bytes(header) if kind is not None else Unknown(header)
