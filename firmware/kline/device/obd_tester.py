"""KLineObd2 with what the service for the PC needs besides: to hear each frame, to end politely, to send raw bytes."""

from time import ticks_add, ticks_diff, ticks_us

from kline.device.kline_obd2 import KLineObd2
from kline.device.obd_line import wait_until
from kline.protocol import keybytes, kwp, obd, timing

_HEARD_MAX = 600
_LIMIT_US = 10_000_000


class Tester(KLineObd2):
    """Calls on_frame(kwp.Frame) for each frame that answers `wanted`, and for each after raw_steps().

    attempt  counts how often `wanted` was sent, modulo 256
    """

    def __init__(self, transport, on_progress, on_frame):
        super().__init__(transport, on_progress)
        self.wanted = None
        self.attempt = 0
        self._on_frame = on_frame

    def begin_at(self, baud):
        """The rate that initialisation begins with."""
        self._home_baud = baud

    def stop_steps(self):
        """End the session politely, where it lives and the protocol has a word for it."""
        if self.initialized and not self._expired() and self.session.key.protocol == keybytes.KWP:
            yield from self._exchange_steps(kwp.STOP_COMMUNICATION)
        self.reset()

    def _try_steps(self, frame, assembly, last):
        if assembly.request == self.wanted:
            self.attempt = (self.attempt + 1) & 0xFF
            assembly = _Overheard(assembly, self._on_frame)
        return super()._try_steps(frame, assembly, last)

    def raw_steps(self, data, pulse, silence_us):
        """Send these bytes and listen until silence: all bytes heard, where some belong to no frame, else none.

        pulse: the wake-up pattern of fast initialisation first; it ends the session that there was.
        """
        line = self.line
        p4_us = timing.LIMITS["P4"][0]
        if pulse:
            self.reset()
            yield from line.quiet_steps(timing.FAST_IDLE_US)
            start_us = yield from line.pulse_steps()
            yield from line.send_steps(data, p4_us, start_us)
        else:
            p3_us = timing.LIMITS["P3"][0]
            due_us = ticks_add(line.last_end_us, p3_us)
            if 0 < ticks_diff(due_us, ticks_us()) <= p3_us:  # last_end_us may be old, and have wrapped
                yield from wait_until(due_us)
            line.flush()
            yield from line.send_steps(data, p4_us)
        return (yield from self._hear_steps(silence_us))

    def _hear_steps(self, silence_us):
        line = self.line
        parser = kwp.FrameParser()
        heard = bytearray()
        begun_us = ticks_us()
        byte = 0
        while byte >= 0 and len(heard) < _HEARD_MAX and ticks_diff(ticks_us(), begun_us) < _LIMIT_US:
            byte = yield from line.byte_steps(ticks_add(line.last_end_us, silence_us))
            if byte >= 0:
                heard.append(byte)
                parser.put(byte)
            frame = parser.take(byte < 0)
            while frame is not None:
                self._on_frame(frame)
                frame = parser.take(byte < 0)
        return heard if parser.dropped_bytes else b""


class _Overheard:
    """An Assembly as listen_steps() uses it; each frame that is an answer is told, too."""

    def __init__(self, assembly, tell):
        self._assembly = assembly
        self._tell = tell

    def add(self, frame):
        meaning = self._assembly.add(frame)
        if meaning != obd.FOREIGN:
            self._tell(frame)
        return meaning

    def pending(self):
        return self._assembly.pending()
