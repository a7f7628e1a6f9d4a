"""Records of the USB link: type numbers, codes, and packing of payloads. Layouts also in docs/link-protocol.md.

All numbers are little endian. Receivers ignore bytes beyond the end of a payload that they know, so that later
versions can append. `pack_x(out, ..) -> n` writes out[0:n] and allocates nothing (times and counters are below 2**30);
what only the PC needs is in host_records.py and unpack.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

PROTOCOL = 1  # in HELLO and WELCOME; another number means: don't talk

# Unsequenced: not acknowledged, not repeated.
HELLO = 0x01
WELCOME = 0x02
NAK = 0x04
QUIT = 0x05
LOG = 0x06
# Not 0x03: a PC sends it every second, also while a board that has just restarted would take 03 for Ctrl-C.
HEARTBEAT = 0x07
LAST_UNSEQUENCED = 0x0F

# Sequenced: exactly once, in order, within a session.
FRAME = 0x10
TRANSMIT = 0x11
RESULT = 0x12
EVENT = 0x13
COUNTERS = 0x14
COUNTERS_REQUEST = 0x15
CONFIGURE = 0x16
CONFIGURED = 0x17
OBD_FIRST, OBD_LAST = 0x20, 0x2F
OBD_CALL = 0x20
OBD_CANCEL = 0x21
OBD_TEXT = 0x22
OBD_ANSWER = 0x23
OBD_END = 0x24
UPDATE_FIRST, UPDATE_LAST = 0x30, 0x37  # see update.py
PROBE_FIRST, PROBE_LAST = 0x38, 0x3F  # wiring and board, see probe.py

# WELCOME: capabilities
CAN_IBUS = 1
CAN_OBD = 2
CAN_UPDATE = 4
CAN_PROBE = 8  # see probe.py
RUNS_SLOT_A = 16  # whose modules run; neither: they are in no slot, or older than this
RUNS_SLOT_B = 32

# FRAME: flags
FRAME_OWN = 1  # our own transmission

# TRANSMIT: flags, and where its fields are (the body is source, length, destination, data)
TRANSMIT_WAKE = 1  # may wake a sleeping car
TRANSMIT_ID = 0
TRANSMIT_MAX_TRIES = 2
TRANSMIT_FLAGS = 3
TRANSMIT_DEADLINE_MS = 4
TRANSMIT_BODY = 6

# RESULT: codes, and details by code
RESULT_SENT = 0
RESULT_COLLISION_LIMIT = 1
RESULT_NO_ECHO = 2  # detail: NO_ECHO_..
RESULT_BUS_STUCK_LOW = 3
RESULT_BUS_BUSY = 4  # the deadline passed before the bus was free
RESULT_DROPPED = 5  # detail: DROPPED_..
RESULT_ASLEEP = 6  # detail: ASLEEP_..
RESULT_RATE_LIMITED = 7
NO_ECHO_SILENCE = 1
NO_ECHO_WRONG = 2
DROPPED_QUEUE_FULL = 1
DROPPED_BAD_BODY = 2
DROPPED_WRONG_MODE = 4  # the board is in OBD mode
ASLEEP_WAKE_DENIED = 2
ASLEEP_WAKE_LIMIT = 3

# EVENT: codes
EVENT_BUS_STUCK_LOW = 1
EVENT_BUS_RELEASED = 2
EVENT_BUS_ASLEEP = 3
EVENT_BUS_AWAKE = 4
EVENT_WOKE_THE_CAR = 5  # argument: wakings since the start
EVENT_TX_FLUSHED = 6  # the transmit ring was corrupt and has been emptied
EVENT_OBD_LOST = 7  # the keep-alive got no answer: the ECU's session has ended

# CONFIGURE: keys
CONFIG_SLEEP_AFTER_S = 0x01
CONFIG_WAKE_ALLOWED = 0x02
CONFIG_WAKINGS_PER_HOUR = 0x03
CONFIG_RATE_PER_MINUTE = 0x04
CONFIG_MAX_FRAME = 0x05
CONFIG_RESET = 0x06
CONFIG_MODE = 0x07
MODE_IBUS = 0
MODE_OBD = 1

# LOG: levels
LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR = 0, 1, 2, 3

# OBD_CALL: id u16, operation u8, then its arguments; where those begin
OP_CONNECT = 1  # baud u16 (0 = 10400), then pairs of INIT_.. u8 and address u8, in order (none: the board's order)
OP_REQUEST = 2  # P2max in ms u16 (0 = the session's), then service, PID ..; OBD_END carries the last attempt's number
OP_RAW = 3  # RAW_.. flags u8, silence in ms u16 that ends it (0 = 100), then bytes for the line
OP_CLOSE = 4  # end the session
OP_KEEP_ALIVE = 5  # u8: 1 on (as at the start), 0 off; interval in ms u16 (0 = 3500), a frame without checksum
OP_TIMING = 6  # TIMING_.. u8; OBD_END carries what holds: the five bytes of AccessTimingParameters
CALL_ARGUMENTS = 3
OP_INIT = 7  # INIT_.. u8, address u8, baud u16 (0 = 10400), INIT_.. flags u8, StartCommunication without checksum
OP_EXCHANGE = 8  # EXCHANGE_.. flags u8, silence in ms u16 before and u16 after an answer, count u8, a frame without sum
OP_LISTEN = 9  # until it is cancelled
OP_VOLTAGE = 10  # OBD_END carries mV u16; nothing where board.json names no vin_pin
TIMING_READ = 0  # what holds
TIMING_FASTEST = 1  # the shortest times that the ECU offers, now and whenever the session has to be opened again
TIMING_LIMITS = 2  # P1max, P2max, P3min, W1max in ms u16 (0 = the standard's): of the next initialisation; no answer
INIT_SLOW = 0
INIT_FAST = 1
INIT_NONE = 2  # OP_INIT: forget the session, the line at that rate
INIT_ANY_KEY = 1  # flag of OP_INIT: whatever the key bytes are
EXCHANGE_SESSION = 1  # flag of OP_EXCHANGE: only in a session
RAW_CHECKSUM = 1  # the board appends the sum
RAW_PULSE = 2  # the wake-up pattern of fast initialisation in front

# OBD_TEXT: kinds
TEXT_PROGRESS = 0
TEXT_ERROR = 1  # why the call failed; its parts are to be joined

# OBD_ANSWER: mode, besides the address modes of kwp.py (0 .. 3)
ANSWER_WHOLE = 254  # a message as it was, with header and checksum (OP_RAW, OP_EXCHANGE, OP_LISTEN)
ANSWER_NO_FRAME = 255  # bytes of which some belong to no frame (OP_RAW), or that are none (OP_EXCHANGE, OP_LISTEN)

# OBD_END: codes (from END_ERROR + 1 on: host_records.OBD_ERRORS), flags
END_DONE = 0
END_CANCELLED = 1
END_BUSY = 2  # another call is running
END_BAD_CALL = 3
END_WRONG_MODE = 4  # the board is in I-Bus mode
END_FAILED = 5  # a fault of the firmware
END_ERROR = 16
END_ALIVE = 1  # the session lives
END_RENEWED = 2  # it had to be initialised again
END_LOST_ANSWERS = 4  # there was no room for all answers
END_DAMAGED = 8  # of OP_REQUEST: something came that was no whole answer: one may be missing
END_LATE_P2 = 16  # an answer came after P2max: in this session 4 times as long is waited
END_LATE_P3 = 32  # requests are only answered where they come 1 s after the answer before
END_TOO_LATE = 64  # something came when a request without an answer was waited for no more

# Where WELCOME's and HELLO's fields are that the link itself reads or fills in.
HELLO_SESSION = 1
HELLO_WINDOW = 5
HELLO_ATTEMPT = 7
HELLO_SIZE = 8
WELCOME_SESSION = 1
WELCOME_RESUMED = 5
WELCOME_ATTEMPT = 6
WELCOME_BOOT_ID = 7
WELCOME_TIME = 11
WELCOME_WINDOW = 15
WELCOME_FIXED = 29  # size of what precedes the strings


def put_u16(out: bytearray, at: int, value: int) -> int:
    out[at] = value & 0xFF
    out[at + 1] = (value >> 8) & 0xFF
    return at + 2


def put_u32(out: bytearray, at: int, value: int) -> int:
    out[at] = value & 0xFF
    out[at + 1] = (value >> 8) & 0xFF
    out[at + 2] = (value >> 16) & 0xFF
    out[at + 3] = (value >> 24) & 0xFF
    return at + 4


def get_u16(buf: "Buffer", at: int) -> int:
    return buf[at] | buf[at + 1] << 8


def get_u32(buf: "Buffer", at: int) -> int:
    """Allocates on a 32-bit MicroPython when the value is 2**30 or more."""
    return buf[at] | buf[at + 1] << 8 | buf[at + 2] << 16 | buf[at + 3] << 24


def pack_welcome(
    boot_id: int,
    max_frame: int,
    capabilities: int,
    firmware: "tuple[int, int, int]",
    micropython: "tuple[int, int, int]",
    board: str,
    unique_id: bytes,
) -> bytearray:
    """WELCOME's payload for DeviceLink.identity; session, resumed, attempt, time and window the link fills in."""
    name = board.encode()[:32]
    uid = unique_id[:16]
    out = bytearray(WELCOME_FIXED + 2 + len(name) + len(uid))
    out[0] = PROTOCOL
    put_u32(out, WELCOME_BOOT_ID, boot_id)
    put_u16(out, 17, max_frame)
    put_u32(out, 19, capabilities)
    for i in range(3):
        out[23 + i] = firmware[i]
        out[26 + i] = micropython[i]
    out[29] = len(name)
    out[30 : 30 + len(name)] = name
    out[30 + len(name)] = len(uid)
    out[31 + len(name) :] = uid
    return out


def pack_frame(out: bytearray, time_us: int, flags: int, frame: "Buffer", n: int) -> int:
    """FRAME: time u32 (ticks of the last byte's end), flags u8, frame[0:n] with its checksum."""
    put_u32(out, 0, time_us)
    out[4] = flags
    for i in range(n):
        out[5 + i] = frame[i]
    return 5 + n


def pack_result(out: bytearray, ident: int, code: int, detail: int, tries: int, waited_us: int, time_us: int) -> int:
    """RESULT: id u16, code u8, detail u8, tries u8, waited_us u32, time u32."""
    put_u16(out, 0, ident)
    out[2] = code
    out[3] = detail & 0xFF
    out[4] = tries & 0xFF
    put_u32(out, 5, waited_us)
    return put_u32(out, 9, time_us)


def pack_event(out: bytearray, code: int, time_us: int, argument: int = -1) -> int:
    """EVENT: code u8, time u32, and argument u32 unless it is negative."""
    out[0] = code
    n = put_u32(out, 1, time_us)
    return n if argument < 0 else put_u32(out, n, argument)


def pack_counters(out: bytearray, time_us: int, values: "list[int]") -> int:
    """COUNTERS: time u32, then a u32 each in the order of host_records.COUNTER_NAMES; `values` in that order."""
    at = put_u32(out, 0, time_us)
    for i in range(len(values)):
        at = put_u32(out, at, values[i])
    return at


def pack_configured(out: bytearray, key: int, ok: bool, value: int) -> int:
    """CONFIGURED: key u8, ok u8, value u32 (what holds now)."""
    out[0] = key
    out[1] = 1 if ok else 0
    return put_u32(out, 2, value)


def pack_obd_call(out: bytearray, ident: int, operation: int, arguments: "Buffer" = b"") -> int:
    """OBD_CALL: id u16, operation u8, arguments. OBD_CANCEL is the id alone."""
    put_u16(out, 0, ident)
    out[2] = operation
    n = len(arguments)
    out[3 : 3 + n] = arguments
    return 3 + n


def pack_obd_text(out: bytearray, ident: int, kind: int, text: "Buffer") -> int:
    """OBD_TEXT: id u16, kind u8, utf-8 text."""
    return pack_obd_call(out, ident, kind, text)


def pack_obd_answer(
    out: bytearray, ident: int, attempt: int, mode: int, target: int, source: int, data: "Buffer"
) -> int:
    """OBD_ANSWER: id u16, attempt u8, address mode u8, target u8, source u8, data (1..255 bytes)."""
    put_u16(out, 0, ident)
    out[2] = attempt
    out[3] = mode
    out[4] = target & 0xFF
    out[5] = source & 0xFF
    n = len(data)
    out[6 : 6 + n] = data
    return 6 + n


def pack_obd_end(out: bytearray, ident: int, code: int, flags: int = 0, found: "Buffer" = b"") -> int:
    """OBD_END: id u16, code u8, flags u8; of OP_CONNECT also what was found, see pack_obd_found(); else see OP_.."""
    put_u16(out, 0, ident)
    out[2] = code
    out[3] = flags
    n = len(found)
    out[4 : 4 + n] = found
    return 4 + n


def pack_obd_found(kind: int, address: int, baud: int, key: "Buffer", supported: bytes, ecus: "list[int]") -> bytes:
    """INIT_.. u8, address u8, baud u16, key bytes 2 x u8, supported PIDs (obd.PidSet.bits()), ECU addresses."""
    return bytes((kind, address, baud & 0xFF, baud >> 8, key[0], key[1])) + supported + bytes([e & 0xFF for e in ecus])


def pack_log(out: bytearray, level: int, text: "Buffer") -> int:
    """LOG: level u8, utf-8 text, cut to what fits."""
    n = min(len(text), len(out) - 1)
    out[0] = level
    for i in range(n):
        out[1 + i] = text[i]
    return 1 + n
