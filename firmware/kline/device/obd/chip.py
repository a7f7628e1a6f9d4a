"""What an ELM327 asks of the line, for the PC that plays one: one frame out and whatever comes back; only listening.

Loaded with the first such question: most boards never hear one. Generators, as everything on an ObdLine.
tell(message, good) gets each message with header and checksum.
"""

from time import ticks_add, ticks_us

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.protocol.checksum import sum8
from kline.protocol.obd import kwp, requests, timing
from kline.protocol.obd.burst import next_message

_BUFFER = 266  # a whole OBD_ANSWER; the longest message has 260
_SLACK_US = 1_000
_FOREVER_US = 1_000_000
_P1_US = 20_000
# After a 78: P3max.
_PENDING_US = 5_000_000
_ANSWER_US = 60_000
_LATE_TRIES = 3


def exchange_steps(tester, frame, first_us, more_us, count, in_session, tell):
    """Send `frame` and its checksum; tell what comes, until more_us of silence, or `count` answers.

    first_us    silence that ends it before anything has come; 0: don't listen
    in_session  ObdError NOT_CONNECTED where the tester (KLineObd2) has no session that lives; only what answers this
                request counts, not a late answer to another one
    """
    if in_session and not tester.alive():
        raise ObdError(errors.NOT_CONNECTED)
    assembly = requests.Assembly(frame[kwp.data_start(frame, len(frame)) :])
    answered = yield from _send_steps(tester, frame, first_us, more_us, count, tell, assembly, in_session)
    if in_session and first_us:
        yield from tester.account_steps(answered)


def listen_steps(line, tell):
    """Tell everything that is on the line, for ever: the caller closes it."""
    line.flush()
    while True:
        yield from hear_steps(line, ticks_us(), _FOREVER_US, _FOREVER_US, 0, tell, _P1_US)


def _send_steps(tester, frame, first_us, more_us, count, tell, assembly=None, only=False):
    times = tester.session.timing if tester.session else timing.Timing()
    line = tester.line
    frame += bytes((sum8(frame, 0, len(frame)),))
    for tries_left in range(_LATE_TRIES - 1, -1, -1):
        # With a count of answers, an ECU that nobody waits for may still speak.
        yield from line.pause_steps(times.p3_min_us)
        try:
            yield from line.send_steps(frame, times.p4_min_us)
            break
        except ObdError as error:
            if error.code != errors.LATE or not tries_left:
                raise
    since_us, p1_us = line.last_end_us, times.p1_max_us
    return bool(first_us) and (
        yield from hear_steps(line, since_us, first_us, more_us, count, tell, p1_us, assembly, only)
    )


def hear_steps(line, since_us, first_us, more_us, count, tell, p1_us, assembly=None, only=False):
    """Messages until silence; whether there were any. only: those that answer the request of `assembly` count."""
    buf = bytearray(_BUFFER)
    n = 0
    window_us = first_us
    answered = False
    while True:
        limit_us = (p1_us if n else window_us) + line.byte_us + _SLACK_US
        byte = yield from line.byte_steps(ticks_add(since_us, limit_us))
        if byte >= 0:
            buf[n] = byte
            n += 1
            since_us = line.last_end_us
        elif not n:
            return answered
        start = 0
        while start < n:
            size = next_message(buf, start, n, byte < 0 or n == _BUFFER)
            if not size:
                break
            message = bytes(buf[start : start + abs(size)])
            start += abs(size)
            if size == -1:
                continue  # a glitch
            tell(message, size > 0)
            found = requests.TAKEN
            if assembly and size > 0:
                data = message[kwp.data_start(message, size) : -1]
                found = assembly.add(kwp.Frame(0, 0, message[2], data))
            if only and found == requests.FOREIGN:
                continue
            answered = True
            window_us = _PENDING_US if found == requests.WAIT else more_us
            if size > 0 and window_us == more_us:
                count -= 1
                if not count:
                    return True
        if start:
            n -= start
            buf[:n] = buf[start : start + n]


def keep_alive_steps(tester, frame):
    """A keep-alive of the PC's own, without checksum: what answers it is nobody's, and may be nothing."""
    yield from _send_steps(tester, frame, _ANSWER_US, _ANSWER_US, 1, _nobody)
    yield from tester.account_steps(True)


def _nobody(message, good):
    pass
