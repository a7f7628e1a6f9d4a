"""Bytes for the K-line as they are, and whatever comes back: for what the protocol of a session has no words for."""

from time import ticks_add, ticks_diff, ticks_us

from kline.device.obd.chip import hear_steps
from kline.protocol.obd import timing


def raw_steps(tester, data, pulse, silence_us, tell):
    """Send these bytes with the line of `tester` (KLineObd2), and listen until silence.

    pulse   the wake-up pattern of fast initialisation first; it ends the session that there was
    tell    f(message, good) for each message heard, as it was: with its header and checksum
    """
    line = tester.line
    times = tester.session.timing if tester.session and not pulse else tester.limits
    if pulse:
        tester.reset()
        yield from line.quiet_steps(timing.FAST_IDLE_US)
        start_us = yield from line.pulse_steps()
        yield from line.send_steps(data, times.p4_min_us, start_us)
    else:
        yield from line.pause_steps(times.p3_min_us)
        yield from line.send_steps(data, times.p4_min_us)
    yield from hear_steps(line, line.last_end_us, silence_us, silence_us, 0, tell, times.p1_max_us)


def frame_steps(tester, timeout_ms):
    """The next frame that the parser of `tester` finds (kwp.Frame), or None: none was whole within timeout_ms."""
    until_us = ticks_add(ticks_us(), timeout_ms * 1000)
    line, parser = tester.line, tester.parser
    gap_us = 20_000 + line.byte_us
    while True:
        frame = parser.take()
        if frame is None and parser.waiting() and ticks_diff(ticks_us(), line.last_end_us) > gap_us:
            frame = parser.take(True)
        if frame is not None or ticks_diff(until_us, ticks_us()) <= 0:
            return frame
        byte = yield from line.byte_steps(ticks_add(ticks_us(), 1_000))
        if byte >= 0:
            parser.put(byte)


def echo_steps(line, frame, timeout_ms):
    """Whether the next bytes received are those of `frame`."""
    until_us = ticks_add(ticks_us(), timeout_ms * 1000)
    for byte in frame:
        if (yield from line.byte_steps(until_us)) != byte:
            return False
    return True
