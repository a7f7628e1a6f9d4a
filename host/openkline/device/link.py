"""One session with one board: the port's bytes in, frames, results and events out. No I/O and no event loop here.

Around kline.protocol.link.host_end.HostLink (framing, sequence, resending) this adds what the records mean to the host:
the clock, the board's description of itself, and what is no record (boot messages, tracebacks) as lines for a person.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kline.protocol.ibus.frames import MIN_FRAME
from kline.protocol.link import host_records, records, unpack
from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import OPEN, OPENING
from kline.protocol.ticks import TICKS_MASK
from openkline.bus import BusFrame, Outcome, TransmitResult
from openkline.device.clock import DeviceClock
from openkline.device.queue import Message
from openkline.device.welcome import BoardInfo
from openkline.printable import printable

board_log = logging.getLogger("openkline.board")

_OUTCOMES = (
    Outcome.SENT,
    Outcome.COLLISION_LIMIT,
    Outcome.NO_ECHO,
    Outcome.BUS_STUCK_LOW,
    Outcome.BUS_BUSY,
    Outcome.DROPPED,
    Outcome.ASLEEP,
    Outcome.RATE_LIMITED,
)
_MAX_TEXT = 400


EVENT_NAMES = {
    records.EVENT_BUS_STUCK_LOW: "bus_stuck_low",
    records.EVENT_BUS_RELEASED: "bus_released",
    records.EVENT_BUS_ASLEEP: "bus_asleep",
    records.EVENT_BUS_AWAKE: "bus_awake",
    records.EVENT_WOKE_THE_CAR: "woke_the_car",
    records.EVENT_TX_FLUSHED: "tx_flushed",
    records.EVENT_OBD_LOST: "obd_lost",
}
_LOG_LEVELS = {records.LOG_DEBUG: 10, records.LOG_INFO: 20, records.LOG_WARNING: 30, records.LOG_ERROR: 40}


@dataclass(frozen=True, slots=True)
class BusEvent:
    """Something about the bus or the board that is no frame. time: unix seconds; name: one of EVENT_NAMES."""

    time: float
    name: str
    argument: int | None = None


class Listener(Protocol):
    """Who gets what the board says."""

    def on_welcome(self, info: BoardInfo, resumed: bool) -> None: ...

    def on_silent(self) -> None:
        """The session rests: the board has fallen silent, or restarted. HELLOs are on their way."""
        ...

    def on_frame(self, frame: BusFrame) -> None: ...

    def on_result(self, id: int, result: TransmitResult) -> None: ...

    def on_event(self, event: BusEvent) -> None: ...

    def on_counters(self, counters: dict[str, int]) -> None: ...

    def on_configured(self, key: int, ok: bool, value: int) -> None: ...

    def on_service_record(self, kind: int, payload: bytes) -> None:
        """For one part of the program only: OBD, update, probe."""
        ...

    def on_text(self, line: str) -> None: ...


class TextLines:
    """Bytes that are no records, put together to lines of bounded length."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._pending = bytearray()

    def feed(self, data: bytes) -> None:
        self._pending += data
        *lines, rest = self._pending.replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._emit(line)
        while len(rest) > _MAX_TEXT:
            self._emit(rest[:_MAX_TEXT])
            rest = rest[_MAX_TEXT:]
        self._pending = rest

    def flush(self) -> None:
        rest, self._pending = self._pending, bytearray()
        self._emit(rest)

    def _emit(self, line: bytearray) -> None:
        if text := printable(line.decode("utf-8", "replace").strip()):
            self._on_line(text)


class BoardLink:
    """open(), then feed() with all that comes and pump() after it and each 100 ms. now_s: time.monotonic()."""

    def __init__(self, listener: Listener) -> None:
        self.link = HostLink(ring_size=4096, rx_size=640, max_payload=320)
        self.link.on_record = self._on_record
        self.link.on_text = self._on_text
        self.link.on_state = self._on_state
        self.urgent = self.link.urgent  # more is due than an acknowledgement: many frames have one of those together
        self.clock = DeviceClock()
        self.info: BoardInfo | None = None
        self.misread = 0
        self._listener = listener
        self._lines = TextLines(listener.on_text)
        self.now_s = 0.0  # time.monotonic() when the bytes came that are being handled
        self._out = bytearray(320)
        self._written = bytearray()

    def open(self, resume: bool) -> None:
        """Greet the board. resume: go on with the last session if the board still knows it."""
        last = self.link.handshake.number()
        self.link.open(last if resume and last else secrets.randbits(32))

    def close(self) -> None:
        """The port is closed: say nothing until open()."""
        self._lines.flush()
        self.link.close()

    def feed(self, data: bytes, now_s: float) -> bool:
        """Returns whether all of it was whole records."""
        self.now_s = now_s
        deframer = self.link.deframer
        others = deframer.text_bytes + deframer.bad
        self.link.feed(data, len(data), int(now_s * 1e6) & TICKS_MASK)
        return not deframer.pending and deframer.text_bytes + deframer.bad == others

    def pump(self, now_s: float, limit: int) -> bytes:
        """What is due to be sent now, about `limit` bytes at most."""
        self.now_s = now_s
        self.link.pump(int(now_s * 1e6) & TICKS_MASK, self._write, limit)
        if not self._written:
            return b""
        data, self._written = bytes(self._written), bytearray()
        return data

    def _write(self, buf: bytearray, n: int) -> None:
        self._written += buf[:n]

    def has_room(self) -> bool:
        """Whether transmit() has room for a message of any size."""
        return self.link.state == OPEN and self.link.room() >= 272

    def transmit(self, message: Message, wake: bool) -> None:
        flags = records.TRANSMIT_WAKE if wake else 0
        deadline_ms = message.deadline_ms(self.now_s)
        n = host_records.pack_transmit(self._out, message.id, message.max_tries, flags, deadline_ms, message.body)
        self.link.queue(records.TRANSMIT, 0, self._out, n)

    def configure(self, settings: tuple[tuple[int, int], ...]) -> None:
        for key, value in settings:
            self.link.queue(records.CONFIGURE, 0, self._out, host_records.pack_configure(self._out, key, value))

    def send(self, kind: int, payload: bytes) -> bool:
        """A record of another part of the program. False: no session, or no room now."""
        return self.has_room() and self.link.queue(kind, 0, payload, len(payload))

    @property
    def backlog(self) -> int:
        """Records that wait, or that the board has not acknowledged."""
        return self.link.outbox.ring.count

    def ask_for_counters(self) -> None:
        """The board sends them every 5 s anyway; on_counters gets them."""
        self.link.queue(records.COUNTERS_REQUEST, 0, self._out, 0)

    def counters(self) -> dict[str, int]:
        link = self.link
        return {
            "rx_records": link.rx_records,
            "tx_records": link.outbox.sent_first,
            "rx_bad": link.deframer.bad,
            "rx_gaps": link.rx_gaps,
            "rx_duplicates": link.rx_duplicates,
            "tx_resent": link.outbox.sent_again,
            "abandoned": link.abandoned,
            "queue_full": link.queue_full,
            "no_session": link.no_session,
            "text_bytes": link.deframer.text_bytes,
            "losses": link.losses,
            "misread": self.misread,
        }

    def _on_state(self, state: int) -> None:
        if state == OPENING:
            self._listener.on_silent()

    def _on_text(self, buf: bytearray, n: int) -> None:
        self._lines.feed(bytes(buf[:n]))

    def _on_record(self, kind: int, channel: int, buf: bytearray, start: int, end: int) -> None:
        try:
            if kind != records.FRAME:
                self._other(kind, buf, start, end)
                return
            ticks, own, data = unpack.unpack_frame(buf, start, end)
        except unpack.RecordError as error:
            self.misread += 1
            board_log.warning("a record of the board is too short (%s): is its firmware of another version?", error)
            return
        if len(data) >= MIN_FRAME and len(data) >= data[1] + 2:
            if len(data) > data[1] + 2:  # what follows a payload that is known is ignored
                data = data[: data[1] + 2]
            self._listener.on_frame(BusFrame(self.clock.unix(ticks, self.now_s), data, own))
        else:
            self.misread += 1

    def _other(self, kind: int, buf: bytearray, start: int, end: int) -> None:
        listener = self._listener
        if kind == records.HEARTBEAT:
            ticks = unpack.unpack_heartbeat(buf, start, end)
            if ticks is not None:
                self.clock.observe(ticks, self.now_s)
        elif kind == records.RESULT:
            result = unpack.unpack_result(buf, start, end)
            outcome = _OUTCOMES[result.code] if result.code < len(_OUTCOMES) else Outcome.DROPPED
            listener.on_result(result.ident, TransmitResult(outcome, result.tries, result.waited_us, result.detail))
        elif kind == records.WELCOME:
            self._welcome(buf, start, end)
        elif kind == records.EVENT:
            event = unpack.unpack_event(buf, start, end)
            name = EVENT_NAMES.get(event.code, f"event_{event.code}")
            listener.on_event(BusEvent(self.clock.unix(event.time_us, self.now_s), name, event.argument))
        elif kind == records.COUNTERS:
            ticks, values = unpack.unpack_counters(buf, start, end)
            self.clock.observe(ticks, self.now_s)
            listener.on_counters(values)
        elif kind == records.CONFIGURED:
            listener.on_configured(*unpack.unpack_configured(buf, start, end))
        elif records.OBD_FIRST <= kind <= records.PROBE_LAST:
            listener.on_service_record(kind, bytes(buf[start:end]))
        elif kind == records.LOG:
            level, text = unpack.unpack_log(buf, start, end)
            board_log.log(_LOG_LEVELS.get(level, logging.INFO), "board: %s", text)

    def _welcome(self, buf: bytearray, start: int, end: int) -> None:
        """Of another protocol version only the number is known; BoardInfo with that, and zeros, is enough to refuse."""
        if buf[start] != records.PROTOCOL:
            info = BoardInfo(buf[start], 0, 0, 0, (0, 0, 0), (0, 0, 0), "", "")
            self._listener.on_welcome(info, False)
            return
        welcome = unpack.unpack_welcome(buf, start, end)
        info = BoardInfo(
            welcome.proto,
            welcome.boot_id,
            welcome.max_frame,
            welcome.capabilities,
            welcome.firmware,
            welcome.micropython,
            welcome.board,
            welcome.unique_id.hex(),
        )
        if self.info is None or self.info.boot_id != info.boot_id:
            self.clock.reset()
        self.info = info
        self.clock.observe(welcome.time_us, self.now_s)
        self._listener.on_welcome(info, welcome.resumed)
