"""AccessTimingParameters (ISO 14230-2): one ECU's session made faster than the standard's, where the ECU offers it.

ISO 14230-4 fixes the times of legislated OBD sessions (address 33), so there it is never sent.
"""

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.protocol.obd import timing


def access_steps(tester, times=None):
    """What holds in the session of `tester` (KLineObd2); with times (timing.Timing): set these. The Timing in force."""
    _check_allowed(tester)
    if times is None:
        return (yield from _read_steps(tester, timing.READ_ACTIVE))
    limits = yield from _read_steps(tester, timing.READ_LIMITS)
    wanted, least = times.values(), limits.values()
    if wanted[0] < least[0] or wanted[2] < least[2] or wanted[4] < least[4]:
        raise ObdError(errors.NOT_ALLOWED, "the ECU can't be so fast: %s us" % (least,))
    yield from _set_steps(tester, times)
    return times


def fastest_steps(tester):
    """As fast as the ECU offers: the Timing in force."""
    _check_allowed(tester)
    limits = yield from _read_steps(tester, timing.READ_LIMITS)
    times = timing.fastest(limits)
    yield from _set_steps(tester, times)
    return times


def _check_allowed(tester):
    if tester.session is None:
        raise ObdError(errors.NOT_CONNECTED)
    if tester.session.legislated():
        raise ObdError(errors.NOT_ALLOWED, "ISO 14230-4 fixes the timing of OBD sessions (address 33)")


def _read_steps(tester, which):
    frames = yield from _ask_steps(tester, bytes((timing.ACCESS_TIMING, which)))
    times = timing.decode_access_timing(frames[0], 1)
    if times is None:
        raise ObdError(errors.REFUSED, "AccessTimingParameters: an answer without the five times")
    return times


def _set_steps(tester, times):
    yield from _ask_steps(tester, bytes((timing.ACCESS_TIMING, timing.SET_VALUES)) + timing.encode_access_timing(times))
    tester.session.timing = times


def _ask_steps(tester, data):
    answer = (yield from tester.request_steps(data)).best()
    if answer is None:
        raise ObdError(errors.SILENT, "AccessTimingParameters")
    if not answer.ok():
        raise ObdError(errors.REFUSED, "AccessTimingParameters: " + repr(answer))
    return answer.frames
