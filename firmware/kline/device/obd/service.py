"""OBD for the PC: runs the calls that come over the link on a KLineObd2, a step each turn of the application.

    OBD_CALL -> start() -> a generator, one next() each run() -> OBD_TEXT.. OBD_ANSWER.. OBD_END

Layouts: protocol/link/records.py, docs/link-protocol.md. One call at a time; one more may wait for its end, so that
the next request is here when P3min is over.
"""

import sys
from time import ticks_diff, ticks_ms, ticks_us

from kline.device import board
from kline.device.obd.errors import ObdError
from kline.device.obd.init import FAST, SLOW
from kline.device.obd.keep_alive import KeepAlive
from kline.device.obd.tester import ORDER, KLineObd2
from kline.protocol.checksum import sum8
from kline.protocol.link import link as links
from kline.protocol.link import records
from kline.protocol.obd import timing

_KINDS = (SLOW, FAST)
_BAUD = 10_400
_BAUD_MIN, _BAUD_MAX = 1_200, 16_000
_POLL_MS = 10
_TICK_US = 10_000
_REST_US = 500
_KEEP_ALIVE_LOOK_MS = 500
_KEEP_ALIVE_MS = 3_500
_KEEP_ALIVE_MIN_MS = 100
_TEXT_PART = 200
_RAW_SILENCE_MS = 100
_RAW_MAX = 255


class ObdService:
    """transport: begun, with the preset of OBD; link: the record link; out: a buffer for one record."""

    def __init__(self, transport, link, out):
        self.obd = KLineObd2(transport, self._progress)
        self.obd.on_request = self._asked
        self.obd.on_frame = self._heard
        self.errors = 0
        self._link = link
        self._out = out
        self._transport = transport
        self._steps = None
        self._id = -1  # of the running call; -1: none, or a keep-alive
        self._wanted = None  # the request that the PC has made: its answers are reported
        self._attempt = 0  # how often it was sent, modulo 256
        self._budget_us = 0
        self._waiting = None  # (id, operation, arguments) behind a call or a keep-alive
        self._end = None  # (id, code, flags, found) that did not fit yet
        self._flags = 0  # of the running call's end: END_LOST_ANSWERS, END_DAMAGED
        self._renewed = 0
        self._keep_alive = KeepAlive(_KEEP_ALIVE_MS)
        self._looked_ms = ticks_ms()

    # -- the application's side --------------------------------------------------------------------------------------

    def idle(self):
        """Nothing is under way: the moment for a garbage collection."""
        return self._steps is None

    def wait_ms(self):
        """How long the application's poll may last. 0: less than a tick of FreeRTOS, which any poll takes."""
        return _POLL_MS if self._steps is None or self._budget_us >= _TICK_US else 0

    def rest_us(self):
        """How long it may rest instead."""
        return min(_REST_US, self._budget_us)

    def run(self):
        """One step of what is under way."""
        if self._end is not None:
            self._say_end(*self._end)
            self._start_waiting()
            return
        if self._steps is None:
            self.obd.line.ignore()
            self._look_after_the_session()
            return
        try:
            self._budget_us = next(self._steps)
        except StopIteration as end:
            self._finish(records.END_DONE, found=end.value or b"")
        except ObdError as error:
            self._fail(records.END_ERROR + error.code, str(error))
        except ValueError as error:
            self._fail(records.END_BAD_CALL, str(error))
        except Exception as error:
            self.errors += 1
            sys.print_exception(error)
            self._fail(records.END_FAILED, repr(error))

    def record(self, kind, buf, start, end):
        """A record of the PC."""
        if end - start < 2:
            return
        ident = records.get_u16(buf, start)
        if kind == records.OBD_CANCEL:
            self._cancel(ident)
        elif kind == records.OBD_CALL and end - start >= records.CALL_ARGUMENTS:
            arguments = bytes(memoryview(buf)[start + records.CALL_ARGUMENTS : end])
            self._call(ident, buf[start + 2], arguments)

    def close(self):
        """Forget everything; the line is released."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        self._waiting = self._end = None
        self._id = -1
        self.obd.reset()
        self.obd.limits = timing.Timing()

    # -- calls -------------------------------------------------------------------------------------------------------

    def _call(self, ident, operation, arguments):
        if self._waiting:
            self._send(records.OBD_END, records.pack_obd_end(self._out, ident, records.END_BUSY, 0))
        elif self._steps is not None or self._end:
            self._waiting = (ident, operation, arguments)
        else:
            self._start(ident, operation, arguments)

    def _start(self, ident, operation, arguments):
        self._id = ident
        self._flags = 0
        self._renewed = self.obd.reconnects
        self._budget_us = 0
        self._steps = self._steps_of(operation, arguments)

    def _cancel(self, ident):
        if self._waiting and self._waiting[0] == ident:
            self._waiting = None
            self._send(records.OBD_END, records.pack_obd_end(self._out, ident, records.END_CANCELLED, 0))
        elif self._steps is not None and self._id == ident:
            self._steps.close()
            self._finish(records.END_CANCELLED)

    def _finish(self, code, found=b""):
        ident = self._id
        self._steps = self._wanted = None
        self._id = -1
        if ident >= 0:
            flags = self._flags
            session = self.obd.session
            if session and session.late_p2:
                flags |= records.END_LATE_P2
            if session and session.late_p3:
                flags |= records.END_LATE_P3
            if session and session.too_late:
                flags |= records.END_TOO_LATE
            if self.obd.initialized:
                flags |= records.END_ALIVE
            if self.obd.reconnects != self._renewed:
                flags |= records.END_RENEWED
            self._say_end(ident, code, flags, found)
        self._start_waiting()

    def _start_waiting(self):
        if self._waiting and self._end is None:
            waiting = self._waiting
            self._waiting = None
            self._start(*waiting)

    def _fail(self, code, text):
        if self._id >= 0:
            data = text.encode()
            for i in range(0, len(data), _TEXT_PART):
                part = data[i : i + _TEXT_PART]
                n = records.pack_obd_text(self._out, self._id, records.TEXT_ERROR, part)
                self._send(records.OBD_TEXT, n)
        self._finish(code)

    def _say_end(self, ident, code, flags, found):
        n = records.pack_obd_end(self._out, ident, code, flags, found)
        self._end = None if self._send(records.OBD_END, n) else (ident, code, flags, found)

    def _send(self, kind, n):
        return self._link.queue(kind, 0, self._out, n)

    def _progress(self, text):
        if self._id >= 0:
            self._send(
                records.OBD_TEXT, records.pack_obd_text(self._out, self._id, records.TEXT_PROGRESS, text.encode())
            )

    def _asked(self, data):
        if data == self._wanted:
            self._attempt = (self._attempt + 1) & 0xFF

    def _heard(self, data, frame):
        if data == self._wanted:
            self._tell(frame.mode, frame.target, frame.source, frame.data)

    def _tell(self, mode, target, source, data):
        n = records.pack_obd_answer(self._out, self._id, self._attempt, mode, target, source, data)
        if not self._send(records.OBD_ANSWER, n):
            self._flags |= records.END_LOST_ANSWERS

    # -- operations --------------------------------------------------------------------------------------------------

    def _steps_of(self, operation, arguments):
        """The generator of a call. ValueError, from its first step, for what can't be."""
        if operation == records.OP_CONNECT and len(arguments) >= 2 and not len(arguments) & 1:
            yield from self._connect_steps(arguments)
            return self._found()
        if operation == records.OP_REQUEST and len(arguments) >= 3:
            yield from self._request_steps(records.get_u16(arguments, 0), arguments[2:])
            return bytes((self._attempt,))
        elif operation == records.OP_RAW and 3 < len(arguments) <= 3 + _RAW_MAX:
            yield from self._raw_steps(arguments[0], records.get_u16(arguments, 1) or _RAW_SILENCE_MS, arguments[3:])
        elif operation == records.OP_CLOSE:
            yield from self.obd.stop_steps()
        elif operation == records.OP_KEEP_ALIVE and arguments:
            self._keep_alive = _wishes(arguments)
        elif operation == records.OP_TIMING and len(arguments) == 9 and arguments[0] == records.TIMING_LIMITS:
            self._limits(arguments)
        elif operation == records.OP_TIMING and arguments and arguments[0] <= records.TIMING_FASTEST:
            times = yield from self.obd.access_timing_steps(fastest=arguments[0] == records.TIMING_FASTEST)
            return timing.encode_access_timing(times)
        elif operation == records.OP_INIT and len(arguments) >= 5 and arguments[0] <= records.INIT_NONE:
            return (yield from self._init_steps(arguments))
        elif operation == records.OP_EXCHANGE and len(arguments) > 6:
            yield from self._exchange_steps(arguments)
        elif operation == records.OP_LISTEN:
            from kline.device.obd.chip import listen_steps

            yield from listen_steps(self.obd.line, self._tell_whole)
        elif operation == records.OP_VOLTAGE:
            mv = board.supply_mv(self._transport.board)
            return b"" if mv is None else bytes((mv & 0xFF, mv >> 8))
        else:
            raise ValueError("operation %d with %d bytes of arguments" % (operation, len(arguments)))

    def _limits(self, arguments):
        times = self.obd.limits = timing.Timing()
        p1_us, p2_us, p3_us, w1_us = [records.get_u16(arguments, i) * 1000 for i in (1, 3, 5, 7)]
        times.p1_max_us = p1_us or times.p1_max_us
        times.p2_max_us = p2_us or times.p2_max_us
        times.p3_min_us = p3_us or times.p3_min_us
        times.w1_max_us = w1_us or times.w1_max_us

    def _init_steps(self, arguments):
        kind, address = arguments[0], arguments[1]
        self.obd.begin_at(_baud(arguments, 2))
        if kind == records.INIT_NONE:
            self.obd.reset()
            return b""
        own = bool(arguments[4] & records.INIT_ANY_KEY)
        if kind == records.INIT_FAST:
            own = arguments[5:]
            if 0 < len(own) < 4:
                raise ValueError("StartCommunication has %d bytes, must be 4 or more" % len(own))
            if own:
                address = own[1]
                own += bytes((sum8(own, 0, len(own)),))
        yield from self.obd.init_steps(_KINDS[kind], address, own or None)
        return self._found()

    def _exchange_steps(self, arguments):
        first_us, more_us = records.get_u16(arguments, 1) * 1000, records.get_u16(arguments, 3) * 1000
        in_session = bool(arguments[0] & records.EXCHANGE_SESSION)
        from kline.device.obd.chip import exchange_steps

        return exchange_steps(self.obd, arguments[6:], first_us, more_us, arguments[5], in_session, self._tell_whole)

    def _tell_whole(self, message, good=True):
        mode = records.ANSWER_WHOLE if good else records.ANSWER_NO_FRAME
        self._tell(mode, 0, 0, message)

    def _connect_steps(self, arguments):
        baud = _baud(arguments, 0)
        order = []
        for i in range(2, len(arguments), 2):
            if arguments[i] >= len(_KINDS):
                raise ValueError("initialisation %d" % arguments[i])
            order.append((_KINDS[arguments[i]], arguments[i + 1]))
        self.obd.begin_at(baud)
        yield from self.obd.connect_steps(None, order or ORDER)

    def _found(self):
        session = self.obd.session
        key = bytes((session.key.first, session.key.second))
        kind = _KINDS.index(session.kind)
        return records.pack_obd_found(
            kind, session.address, session.baud, key, session.supported.bits(), session.ecus[:16]
        )

    def _request_steps(self, p2_max_ms, data):
        self._wanted = data
        self._attempt = 0
        assembly = yield from self.obd.request_steps(data, p2_max_ms * 1000)
        if assembly.broken:
            self._flags |= records.END_DAMAGED

    def _raw_steps(self, flags, silence_ms, data):
        from kline.device.obd.raw import raw_steps

        if flags & records.RAW_CHECKSUM:
            data += bytes((sum8(data, 0, len(data)),))
        pulse = bool(flags & records.RAW_PULSE)
        yield from raw_steps(self.obd, data, pulse, silence_ms * 1000, self._tell_whole)

    # -- between calls -----------------------------------------------------------------------------------------------

    def _look_after_the_session(self):
        now_ms = ticks_ms()
        if 0 <= ticks_diff(now_ms, self._looked_ms) < min(_KEEP_ALIVE_LOOK_MS, self._keep_alive.interval_ms // 4):
            return
        self._looked_ms = now_ms
        if self._keep_alive.interval_ms and self.obd.initialized and self._link.state == links.OPEN:
            self._steps = self._keep_alive_steps()
            self._budget_us = 0

    def _keep_alive_steps(self):
        alive = yield from self._keep_alive.steps(self.obd)
        if not alive:
            n = records.pack_event(self._out, records.EVENT_OBD_LOST, ticks_us())
            self._send(records.EVENT, n)


def _baud(arguments, at):
    baud = records.get_u16(arguments, at) or _BAUD
    if not _BAUD_MIN <= baud <= _BAUD_MAX:
        raise ValueError("baud is %d, must be %d..%d" % (baud, _BAUD_MIN, _BAUD_MAX))
    return baud


def _wishes(arguments):
    """KeepAlive of OP_KEEP_ALIVE's arguments."""
    if not arguments[0]:
        return KeepAlive(0)
    interval_ms = records.get_u16(arguments, 1) if len(arguments) > 2 else 0
    return KeepAlive(max(interval_ms or _KEEP_ALIVE_MS, _KEEP_ALIVE_MIN_MS), arguments[3:])
