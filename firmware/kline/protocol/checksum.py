"""Checksums over buf[start:end], without slicing (a slice allocates on MicroPython). Indices must lie inside buf.

xor8   XOR of all bytes: I-Bus (a whole frame, checksum included, gives 0)
sum8   sum modulo 256: KWP2000 and ISO 9141
crc16  polynomial 0x8005 reflected (0xA001), initial 0xFFFF, no final XOR = CRC-16/MODBUS; the link's records carry it
       inverted, which is CRC-16/USB
"""

from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer


def xor8(buf: "Buffer", start: int, end: int) -> int:
    x = 0
    for i in range(start, end):
        x ^= buf[i]
    return x


def sum8(buf: "Buffer", start: int, end: int) -> int:
    s = 0
    for i in range(start, end):
        s += buf[i]
    return s & 0xFF


def _make_table() -> "array[int]":
    table = array("H")
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0xA001 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = _make_table()


def crc16(buf: "Buffer", start: int, end: int, crc: int = 0xFFFF) -> int:
    """CRC-16/MODBUS; `crc` continues an earlier call. Sent low byte first."""
    table = CRC_TABLE
    for i in range(start, end):
        crc = (crc >> 8) ^ table[(crc ^ buf[i]) & 0xFF]
    return crc
