"""Records of an update over the USB link: type numbers, codes, packing. Layouts also in docs/link-protocol.md.

    PC     UPDATE_OPEN password u32                       may an update begin? answered by one UPDATE_STATUS
           UPDATE_BEGIN length u32, crc u16, version 2 x u8   of the bundle that follows (bundle.py); answered when
                                                          there is a place for it
           UPDATE_DATA offset u32, bytes                  in order; answered as bytes are safely in the file system
           UPDATE_ABORT                                   forget it; the running slot stays; answered
    board  UPDATE_STATUS code u16, state u8, count u32, wait_s u16

The board checks what it has as soon as `length` bytes are there, unpacks them into the slot that is not running, and
restarts into it on trial. Numbers are little endian.
"""

from kline.protocol.link.records import get_u16, get_u32, put_u16, put_u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

UPDATE_OPEN = 0x30
UPDATE_BEGIN = 0x31
UPDATE_DATA = 0x32
UPDATE_ABORT = 0x33
UPDATE_STATUS = 0x34

MAX_DATA = 128  # bytes of one UPDATE_DATA
MAX_BUNDLE = 0xFFFF  # the gateway's upload has 16 bits for it

# UPDATE_STATUS: state
STATE_IDLE = 0  # nothing under way (also after a refusal)
STATE_OPEN = 1  # the password was right: UPDATE_BEGIN may come
STATE_WRITING = 2  # count: bytes that are safely on the device
STATE_UNPACKING = 3  # all bytes are there and right
STATE_SWITCHING = 4  # the new slot is complete; the board restarts into it

# UPDATE_STATUS: codes. Below 0200 the original's numbers, from 0300 on the board's own; 02xx are the gateway's.
OK = 0
ERROR_NOT_INITIALISED = 0x0103
ERROR_CRC = 0x0104
ERROR_CHUNK = 0x0105  # bytes that aren't the next ones
ERROR_PASSWORD = 0x0106  # wait_s: how long until the next try counts
ERROR_WRONG_BOARD = 0x0301
ERROR_WRONG_LENGTH = 0x0302
ERROR_UNSUPPORTED = 0x0303  # this board has no slots, or no password, or knows another format of bundle
ERROR_BUNDLE = 0x0304  # the bundle's contents are broken (magic, compression, digest)
ERROR_NO_ROOM = 0x0305  # the board's file system is full (or its memory)
ERROR_FILE_SYSTEM = 0x0306  # it can't be written
ERROR_BUSY = 0x0307  # an update is under way, and goes on


def pack_open(out: bytearray, password: int) -> int:
    """UPDATE_OPEN: password u32."""
    put_u16(out, 0, password & 0xFFFF)
    return put_u16(out, 2, password >> 16)


def pack_begin(out: bytearray, length: int, crc: int, major: int, minor: int) -> int:
    """UPDATE_BEGIN: length u32, crc u16 (polynomial A001, initial FFFF, over the whole bundle), version."""
    put_u32(out, 0, length)
    put_u16(out, 4, crc)
    out[6] = major
    out[7] = minor
    return 8


def pack_data(out: bytearray, offset: int, data: "Buffer") -> int:
    """UPDATE_DATA: offset u32, 1 .. MAX_DATA bytes."""
    n = len(data)
    put_u32(out, 0, offset)
    out[4 : 4 + n] = data
    return 4 + n


def pack_status(out: bytearray, code: int, state: int, count: int, wait_s: int = 0) -> int:
    """UPDATE_STATUS: code u16, state u8, count u32, wait_s u16."""
    put_u16(out, 0, code)
    out[2] = state
    put_u32(out, 3, count)
    return put_u16(out, 7, wait_s)


def unpack_status(buf: "Buffer", start: int = 0) -> "tuple[int, int, int, int]":
    """-> (code, state, count, wait_s)."""
    return get_u16(buf, start), buf[start + 2], get_u32(buf, start + 3), get_u16(buf, start + 7)
