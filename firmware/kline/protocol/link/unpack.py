"""Payloads of the device's records as plain objects, for the PC (they allocate freely). Layouts: records.py.

Each `unpack_x(buf, start, end)` reads buf[start:end], ignores what follows the fields it knows, and raises RecordError
when the payload is too short: it has passed its CRC, so that is a device of another version, not noise.
"""

from kline.protocol.link.host_records import COUNTER_NAMES
from kline.protocol.link.records import FRAME_OWN, WELCOME_FIXED, get_u16, get_u32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer


class RecordError(ValueError):
    """A record's payload is too short for its type."""


def _need(what: str, start: int, end: int, size: int) -> None:
    if end - start < size:
        raise RecordError("%s: expected at least %d bytes, got %d" % (what, size, end - start))


class Record:
    """Base: shows its slots."""

    __slots__: "tuple[str, ...]" = ()

    def __repr__(self) -> str:
        shown = ", ".join("%s=%r" % (name, getattr(self, name)) for name in self.__slots__)
        return "%s(%s)" % (type(self).__name__, shown)


class Hello(Record):
    __slots__ = ("attempt", "proto", "session", "window")

    def __init__(self, proto: int, session: int, window: int, attempt: int) -> None:
        self.proto = proto
        self.session = session
        self.window = window
        self.attempt = attempt


class Welcome(Record):
    """`resumed`: the device still has this session's state, nothing is lost. `firmware`, `micropython`: 3-tuples."""

    __slots__ = (
        "board",
        "boot_id",
        "capabilities",
        "firmware",
        "max_frame",
        "micropython",
        "proto",
        "resumed",
        "session",
        "time_us",
        "unique_id",
        "window",
    )

    def __init__(self, buf: "Buffer", start: int, end: int) -> None:
        self.proto = buf[start]
        self.session = get_u32(buf, start + 1)
        self.resumed = bool(buf[start + 5])
        self.boot_id = get_u32(buf, start + 7)
        self.time_us = get_u32(buf, start + 11)
        self.window = get_u16(buf, start + 15)
        self.max_frame = get_u16(buf, start + 17)
        self.capabilities = get_u32(buf, start + 19)
        self.firmware = (buf[start + 23], buf[start + 24], buf[start + 25])
        self.micropython = (buf[start + 26], buf[start + 27], buf[start + 28])
        at = start + WELCOME_FIXED
        name, at = _string(buf, at, end)
        self.board = name.decode("utf-8", "replace")
        self.unique_id, at = _string(buf, at, end)


def _string(buf: "Buffer", at: int, end: int) -> "tuple[bytes, int]":
    _need("WELCOME: a string", at, end, 1)
    n = buf[at]
    _need("WELCOME: a string", at + 1, end, n)
    return bytes(buf[at + 1 : at + 1 + n]), at + 1 + n


class Transmit(Record):
    __slots__ = ("body", "deadline_ms", "flags", "ident", "max_tries")

    def __init__(self, ident: int, max_tries: int, flags: int, deadline_ms: int, body: bytes) -> None:
        self.ident = ident
        self.max_tries = max_tries
        self.flags = flags
        self.deadline_ms = deadline_ms
        self.body = body


class Result(Record):
    """`code`, `detail`: records.RESULT_.. and the details listed under it."""

    __slots__ = ("code", "detail", "ident", "time_us", "tries", "waited_us")

    def __init__(self, ident: int, code: int, detail: int, tries: int, waited_us: int, time_us: int) -> None:
        self.ident = ident
        self.code = code
        self.detail = detail
        self.tries = tries
        self.waited_us = waited_us
        self.time_us = time_us


class Event(Record):
    """`argument`: None where the event has none."""

    __slots__ = ("argument", "code", "time_us")

    def __init__(self, code: int, time_us: int, argument: "int | None") -> None:
        self.code = code
        self.time_us = time_us
        self.argument = argument


class ObdCall(Record):
    """`arguments`: as records.OP_.. says."""

    __slots__ = ("arguments", "ident", "operation")

    def __init__(self, ident: int, operation: int, arguments: bytes) -> None:
        self.ident = ident
        self.operation = operation
        self.arguments = arguments


class ObdAnswer(Record):
    """One frame of an ECU. `attempt`: frames of an earlier one don't count; `source`: the ECU, -1 without addresses."""

    __slots__ = ("attempt", "data", "ident", "mode", "source", "target")

    def __init__(self, ident: int, attempt: int, mode: int, target: int, source: int, data: bytes) -> None:
        self.ident = ident
        self.attempt = attempt
        self.mode = mode
        self.target = target
        self.source = source
        self.data = data


class ObdEnd(Record):
    """`code`, `flags`: records.END_..; `found`: what OP_CONNECT found, b"" of others."""

    __slots__ = ("code", "flags", "found", "ident")

    def __init__(self, ident: int, code: int, flags: int, found: bytes) -> None:
        self.ident = ident
        self.code = code
        self.flags = flags
        self.found = found


class ObdFound(Record):
    """`kind`: records.INIT_..; `key_bytes`: two; `supported`: bits for obd.PidSet; `ecus`: addresses."""

    __slots__ = ("address", "baud", "ecus", "key_bytes", "kind", "supported")

    def __init__(self, found: bytes) -> None:
        _need("OBD_END of OP_CONNECT", 0, len(found), 38)
        self.kind = found[0]
        self.address = found[1]
        self.baud = get_u16(found, 2)
        self.key_bytes = found[4:6]
        self.supported = found[6:38]
        self.ecus = list(found[38:])


def unpack_obd_call(buf: "Buffer", start: int, end: int) -> ObdCall:
    _need("OBD_CALL", start, end, 3)
    return ObdCall(get_u16(buf, start), buf[start + 2], bytes(buf[start + 3 : end]))


def unpack_obd_text(buf: "Buffer", start: int, end: int) -> "tuple[int, int, bytes]":
    """(id, kind, text): UTF-8, perhaps a part that ends within a character"""
    _need("OBD_TEXT", start, end, 3)
    return get_u16(buf, start), buf[start + 2], bytes(buf[start + 3 : end])


def unpack_obd_answer(buf: "Buffer", start: int, end: int) -> ObdAnswer:
    _need("OBD_ANSWER", start, end, 7)
    mode = buf[start + 3]
    bare = mode in (0, 254, 255)
    target, source = (-1, -1) if bare else (buf[start + 4], buf[start + 5])
    return ObdAnswer(get_u16(buf, start), buf[start + 2], mode, target, source, bytes(buf[start + 6 : end]))


def unpack_obd_end(buf: "Buffer", start: int, end: int) -> ObdEnd:
    _need("OBD_END", start, end, 4)
    return ObdEnd(get_u16(buf, start), buf[start + 2], buf[start + 3], bytes(buf[start + 4 : end]))


def unpack_hello(buf: "Buffer", start: int, end: int) -> Hello:
    _need("HELLO", start, end, 8)
    return Hello(buf[start], get_u32(buf, start + 1), get_u16(buf, start + 5), buf[start + 7])


def unpack_welcome(buf: "Buffer", start: int, end: int) -> Welcome:
    _need("WELCOME", start, end, WELCOME_FIXED + 2)
    return Welcome(buf, start, end)


def unpack_heartbeat(buf: "Buffer", start: int, end: int) -> "int | None":
    """The device's ticks, or None (a heartbeat of the PC has no time)."""
    return get_u32(buf, start + 1) if end - start >= 5 else None


def unpack_log(buf: "Buffer", start: int, end: int) -> "tuple[int, str]":
    """(level, text)"""
    _need("LOG", start, end, 1)
    return buf[start], bytes(buf[start + 1 : end]).decode("utf-8", "replace")


def unpack_frame(buf: "Buffer", start: int, end: int) -> "tuple[int, bool, bytes]":
    """(ticks of its last byte's end, whether we transmitted it, the whole frame with its checksum)

    No object of its own: a gateway does this for each frame.
    """
    if end - start < 6:
        _need("FRAME", start, end, 6)
    ticks = buf[start] | buf[start + 1] << 8 | buf[start + 2] << 16 | buf[start + 3] << 24
    return ticks, buf[start + 4] & FRAME_OWN != 0, bytes(buf[start + 5 : end])


def unpack_transmit(buf: "Buffer", start: int, end: int) -> Transmit:
    _need("TRANSMIT", start, end, 7)
    body = bytes(buf[start + 6 : end])
    return Transmit(get_u16(buf, start), buf[start + 2], buf[start + 3], get_u16(buf, start + 4), body)


def unpack_result(buf: "Buffer", start: int, end: int) -> Result:
    _need("RESULT", start, end, 13)
    return Result(
        get_u16(buf, start),
        buf[start + 2],
        buf[start + 3],
        buf[start + 4],
        get_u32(buf, start + 5),
        get_u32(buf, start + 9),
    )


def unpack_event(buf: "Buffer", start: int, end: int) -> Event:
    _need("EVENT", start, end, 5)
    argument = get_u32(buf, start + 5) if end - start >= 9 else None
    return Event(buf[start], get_u32(buf, start + 1), argument)


def unpack_counters(buf: "Buffer", start: int, end: int) -> "tuple[int, dict[str, int]]":
    """(ticks, name -> value): as many as both sides know."""
    _need("COUNTERS", start, end, 4)
    values = {}
    at = start + 4
    for name in COUNTER_NAMES:
        if at + 4 > end:
            break
        values[name] = get_u32(buf, at)
        at += 4
    return get_u32(buf, start), values


def unpack_configure(buf: "Buffer", start: int, end: int) -> "tuple[int, int]":
    """(key, value)"""
    _need("CONFIGURE", start, end, 5)
    return buf[start], get_u32(buf, start + 1)


def unpack_configured(buf: "Buffer", start: int, end: int) -> "tuple[int, bool, int]":
    """(key, ok, value)"""
    _need("CONFIGURED", start, end, 6)
    return buf[start], bool(buf[start + 1]), get_u32(buf, start + 2)
