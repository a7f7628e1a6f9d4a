"""Bytes for the K-line as they are, and whatever comes back: for what the protocol of a session has no words for."""

from time import ticks_add, ticks_diff, ticks_us

from kline.protocol.obd import kwp, timing

_HEARD_MAX = 600
_LIMIT_US = 10_000_000


def raw_steps(tester, data, pulse, silence_us, tell):
    """Send these bytes with the line of `tester` (KLineObd2), and listen until silence.

    pulse   the wake-up pattern of fast initialisation first; it ends the session that there was
    tell    f(bytes) for each frame heard, as it was: with its header and checksum

    Returns all bytes heard where some belong to no frame, else none.
    """
    line = tester.line
    p4_us = timing.LIMITS["P4"][0]
    if pulse:
        tester.reset()
        yield from line.quiet_steps(timing.FAST_IDLE_US)
        start_us = yield from line.pulse_steps()
        yield from line.send_steps(data, p4_us, start_us)
    else:
        yield from line.pause_steps(timing.LIMITS["P3"][0])
        yield from line.send_steps(data, p4_us)
    return (yield from _hear_steps(line, silence_us, tell))


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


def _hear_steps(line, silence_us, tell):
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
            end = len(heard) - parser.waiting()
            tell(bytes(heard[end - parser.size : end]))
            frame = parser.take(byte < 0)
    return heard if parser.dropped_bytes else b""
