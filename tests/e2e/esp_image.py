"""Images as an ESP32's boot loader wants them, made by hand from the published format, small but whole.

    image     E9 | segments u8 | flash mode | size and speed | entry u32 | WP EE | drive 3 bytes | chip id u16 |
              11 bytes of revisions and zeros, the last one "a digest follows" | segments: address u32, length u32, data
              | zeros up to the last byte of a 16-byte block, which is the XOR of all data with EF | SHA-256 of it all
    flash     boot loader at the chip's offset, partition table at 8000, application at 10000

Source: Espressif, esptool documentation, "Firmware Image Format"; ESP-IDF Programming Guide, "Partition Tables". Chip
ids: the same page of esptool's documentation.
"""

from __future__ import annotations

import hashlib
import struct

CHIP_IDS = {"esp32": 0, "esp32s3": 9, "esp32c3": 5}
# Where data may lie in the memory of each chip (DRAM), so that esptool names the segment.
_DRAM = {"esp32": 0x3FFF0030, "esp32s3": 0x3FCD0108, "esp32c3": 0x3FCD5810}
TABLE = 0x8000
APP = 0x10000


def image(chip: str, body: bytes) -> bytes:
    """One image with one segment."""
    body += bytes(-len(body) % 4)
    header = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000)
    header += struct.pack("<BBBBHB", 0xEE, 0, 0, 0, CHIP_IDS[chip], 0) + bytes(8) + b"\1"
    data = header + struct.pack("<II", _DRAM[chip], len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    data += bytes(15 - len(data) % 16) + bytes([checksum])
    return data + hashlib.sha256(data).digest()


def is_whole(data: bytes) -> bool:
    """What a boot loader checks before it starts an image at the beginning of data."""
    if len(data) < 24 or data[0] != 0xE9:
        return False
    at = 24
    for _ in range(data[1]):
        (length,) = struct.unpack_from("<I", data, at + 4)
        at += 8 + length
        if at + 48 > len(data):
            return False
    at += 16 - at % 16
    return hashlib.sha256(data[:at]).digest() == data[at : at + 32]


def partitions() -> bytes:
    """MicroPython's table for 4 MiB: nvs, phy_init, factory, vfs."""
    rows = (
        (1, 0x02, 0x9000, 0x6000, b"nvs"),
        (1, 0x01, 0xF000, 0x1000, b"phy_init"),
        (0, 0x00, APP, 0x1F0000, b"factory"),
        (1, 0x81, 0x200000, 0x200000, b"vfs"),
    )
    table = b"".join(struct.pack("<2sBBII16sI", b"\xaa\x50", *row, 0) for row in rows)
    return table + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table).digest()


def merged(chip: str, offset: int, app_size: int = 60_000) -> bytes:
    """A file to be written at `offset`, as MicroPython's .bin are."""
    noise = hashlib.shake_128(chip.encode()).digest(app_size)
    data = image(chip, b"boot loader " * 100)
    data = data.ljust(TABLE - offset, b"\xff") + partitions()
    return data.ljust(APP - offset, b"\xff") + image(chip, noise)
