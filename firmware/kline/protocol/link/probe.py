"""Records of `openkline doctor` over the USB link: operations, codes, packing. Layouts also in docs/link-protocol.md.

    PC     PROBE_CALL id u16, operation u8, arguments
    board  PROBE_ANSWER id u16, operation u8, data      none, one or several
           PROBE_END id u16, code u8                    exactly one each call

Each call is short (under 50 ms), so that link and bus go on between two of them. WATCH and the pulls of RX only listen;
what else touches TX says so. All that is put on the wire is shorter than a frame. Numbers are little endian. Levels are
those of the pin (1 high), "dominant" and "recessive" are meant as the board is configured.
"""

from kline.protocol.link.records import put_u16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

PROBE_CALL = 0x38
PROBE_ANSWER = 0x39
PROBE_END = 0x3A

# PROBE_CALL: operations, their arguments -> their data
OP_LINK_ECHO = 1  # bytes -> the same bytes
OP_BOARD = 2  # part u8 -> that part of a JSON text, BOARD_PART bytes each; NO_MORE with the last
OP_FILE = 3  # number u16 of the file -> FILE_.. u8, SHA-256 (zeros: the file is missing), path
OP_WATCH = 4  # dominant u8, pieces u8 -> level u8, seen u8, widths u16 in us of whole pulses (dominant, or recessive)
OP_RX_PULLS = 5  # -> RX levels u8: bit 0 as it is, bit 1 with the chip's pull-up, bit 2 with its pull-down
OP_TX_PULLS = 6  # TX is let go meanwhile -> likewise for TX, bits 4, 5, 6: RX at the same moment. Not passive
OP_PULSE = 7  # flags u8, us u16 -> levels u8 (bit 0 before, 1 during, 2 after), fall i16, rise i16. Not passive
# Sends pattern(). baud u32, dominant u8 -> count u8, the bytes that came back, widths u16 as OP_WATCH. Not passive
OP_ECHO = 8

PULSE_SWAPPED = 1  # RX pulls, TX listens: are the wires exchanged?
PULSE_PULLED = 2  # with the chip's pull to recessive on RX
MAX_PULSE_US = 2000

# OP_PULSE: fall and rise in us from the pin's edge until RX shows it
NEVER = -1  # not within LIMIT_US
AT_ONCE = -2  # sooner than can be measured, or the level was there before: the levels say which
LIMIT_US = 3000

# OP_WATCH: seen
SEEN_RECESSIVE = 1
SEEN_DOMINANT = 2
MAX_PIECES = 4  # of PIECE_US each
PIECE_US = 12_000
MAX_WIDTHS = 64

BOARD_PART = 160

# OP_FILE
FILE_RIGHT = 0  # as slot.json says
FILE_WRONG = 1
FILE_MISSING = 2
FILE_NO_SLOT = 3  # the modules run from elsewhere (frozen, mip, source tree): nothing to compare with

# What OP_ECHO sends, or its beginning: single bits of both levels, ten bits low, nine bits high (8E1).
PATTERN = b"\x55\x00\xff\xa5"
MIN_BAUD, MAX_BAUD = 2_400, 38_400

# PROBE_END: codes
PROBE_DONE = 0
PROBE_BUSY = 1  # somebody was talking, or a message of ours waits: ask again
PROBE_BAD_CALL = 2  # unknown operation, or arguments that can't be
PROBE_FAILED = 3  # a fault of the firmware
PROBE_NO_MORE = 4  # as DONE: that was the last part, or there is no such file


def pattern(baud: int) -> bytes:
    """So much of PATTERN that it takes at most 4.6 ms: the shortest frame on the I-Bus takes 5.7."""
    return PATTERN[: min(len(PATTERN), baud // MIN_BAUD)]


def pack_call(out: bytearray, ident: int, operation: int, arguments: "Buffer" = b"") -> int:
    """PROBE_CALL, and PROBE_ANSWER with its data: id u16, operation u8, bytes."""
    at = put_u16(out, 0, ident)
    out[at] = operation
    n = len(arguments)
    out[at + 1 : at + 1 + n] = arguments
    return at + 1 + n


def pack_end(out: bytearray, ident: int, code: int) -> int:
    """PROBE_END: id u16, code u8."""
    out[put_u16(out, 0, ident)] = code
    return 3


def pack_widths(widths: "list[int]") -> bytes:
    """u16 each; longer ones as FFFF."""
    out = bytearray(2 * len(widths))
    for i in range(len(widths)):
        put_u16(out, 2 * i, min(widths[i], 0xFFFF))
    return bytes(out)


def unpack_widths(data: "Buffer", start: int = 0) -> "list[int]":
    return [data[i] | data[i + 1] << 8 for i in range(start, len(data) - 1, 2)]


def pack_pulse(levels: int, fall: int, rise: int) -> bytes:
    """levels u8, fall i16, rise i16."""
    return bytes((levels, fall & 0xFF, fall >> 8 & 0xFF, rise & 0xFF, rise >> 8 & 0xFF))


def unpack_pulse(data: "Buffer") -> "tuple[int, int, int]":
    """-> (levels, fall, rise)."""
    fall = data[1] | data[2] << 8
    rise = data[3] | data[4] << 8
    return data[0], fall - ((fall & 0x8000) << 1), rise - ((rise & 0x8000) << 1)
