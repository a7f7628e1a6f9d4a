"""One request on the line: P3 before it, its repetitions, what all ECUs answer; and which ECUs are there.

Those are the ones that answer `01 00`, at the beginning of a session and now and then later.
"""

from time import ticks_add, ticks_diff, ticks_ms, ticks_us

from kline.device.obd import errors, init
from kline.device.obd.errors import ObdError
from kline.device.obd.line import wait_until
from kline.protocol.obd import kwp, requests

_BUSY_TRIES = 10
_BUSY_PAUSE_US = 100_000
_DAMAGED_TRIES = 3
# Before a request that an ECU ignores, or refuses, right after the initialisation.
_LATE_P3_US = 1_000_000
# So often is looked for an ECU that says nothing while others answer.
_ROLL_CALL_MS = 5_000


def exchange_steps(tester, data, p2_max_us=0):
    """Ask `data` (service ..) in the session of `tester` (KLineObd2), which is open: a requests.Assembly.

    21 asks again; so does damage that left no data, or not everybody's. ObdError of the line.
    p2_max_us: instead of the session's; 0: that.
    """
    session = tester.session
    frame = kwp.build_request(session.key, data, session.address, session.legislated())
    assembly = requests.Assembly(data)
    before = tester.newest
    damaged_left = _DAMAGED_TRIES
    for tries_left in range(_BUSY_TRIES - 1, -1, -1):
        damaged = yield from _try_steps(tester, frame, assembly, damaged_left <= 1, p2_max_us)
        damaged_left -= damaged
        late = before is not None and assembly.late(before)
        if late:
            before = None  # only once: what comes to the repetition answers it
        if assembly.busy():
            yield from wait_until(ticks_add(ticks_us(), _BUSY_PAUSE_US))
        elif not late and (assembly.enough() or not damaged or damaged_left <= 0):
            break
        if tries_left:
            assembly.restart()
    assembly.broken = assembly.broken or damaged and not assembly.answers
    tester.newest = assembly
    return assembly


def _try_steps(tester, frame, assembly, last, p2_max_us):
    """Send and listen once. True: bytes were damaged (in the echo: ObdError, where it is the last try)."""
    line, parser, times = tester.line, tester.parser, tester.session.timing
    dropped = parser.dropped_bytes
    broken = parser.bad_checksum + parser.incomplete
    if tester.on_request:
        tester.on_request(assembly.request)
    try:
        if (yield from line.pause_steps(times.p3_min_us)) and tester.newest and not tester.newest.answers:
            tester.session.too_late = True
        yield from line.send_steps(frame, times.p4_min_us)
    except ObdError as error:
        if last or error.code not in (errors.ECHO_WRONG, errors.LATE):
            raise
        return True
    session = tester.session
    if p2_max_us or session.late_p2 or not session.patience:
        usual_us = times.p2_max_us
        times.p2_max_us = p2_max_us or usual_us
        try:
            yield from init.listen_steps(line, parser, assembly, times, tester.on_frame)
        finally:
            times.p2_max_us = usual_us
    else:
        usual_us = times.p2_max_us
        late = yield from init.listen_longer_steps(line, parser, assembly, times, tester.on_frame)
        # One may have been kept by something else.
        session.late_p2 = late and session.was_late
        session.was_late = session.was_late or late
        if not session.late_p2:
            times.p2_max_us = usual_us
        if not assembly.answers:
            session.patience -= 1
    if parser.bad_checksum + parser.incomplete != broken:
        assembly.broken = True
    # An ECU does not answer a request with a pause in it, and that is no answer of the car's.
    cut = line.gap_most_us > times.p4_max_us and not assembly.answers
    # A single byte is a glitch, as some cars have one after each request.
    return cut or assembly.broken or parser.dropped_bytes - dropped > 1


def verify_steps(tester):
    """Ask for supported PIDs, later after the initialisation where that isn't answered: the RollCall of all that do.

    A session counts though nobody answers, or refuses. ObdError: damage; the session's doubt, with silence.
    """
    session = tester.session
    times = session.timing
    usual_us = times.p3_min_us
    assembly = yield from exchange_steps(tester, b"\x01\x00")
    if not assembly.positive():
        silent = not assembly.answers and not assembly.broken
        times.p3_min_us = max(usual_us, _LATE_P3_US)
        assembly = yield from exchange_steps(tester, b"\x01\x00")
        times.p3_min_us = usual_us
        if silent and assembly.answers:
            again = yield from exchange_steps(tester, b"\x01\x00")
            session.late_p3 = not again.answers and not again.broken
            if session.late_p3:
                times.p3_min_us = _LATE_P3_US
    if not assembly.answers:
        if assembly.broken:
            raise ObdError(errors.DAMAGED, "01 00 after the initialisation")
        if session.doubt:
            raise session.doubt
        session.sign = None
    elif session.doubt and tester.on_progress:
        tester.on_progress("not by the book (%s), but the ECU answers" % session.doubt.args[1])
    for answer in assembly.answers:
        if answer.ecu not in session.ecus:
            session.ecus.append(answer.ecu)
        if answer.ok():
            session.supported.add_bitmap(0, answer.frames[0], 1)
    return RollCall([answer.ecu for answer in assembly.answers])


class RollCall:
    """An ECU that has reset knows of no session, while another goes on answering: nothing else would show it.

    present: those that have answered 01 00; of others no answer can be expected.
    """

    def __init__(self, present=()):
        self._present = present
        self._unheard = []  # of these, those that have said nothing since the newest roll call
        self._newest_ms = ticks_ms()

    def steps(self, tester, answers):
        """After a request with these answers. An ECU that is gone ends the session of `tester` (KLineObd2)."""
        unheard = self._unheard
        for answer in answers:
            if answer.ecu in unheard:
                unheard.remove(answer.ecu)
        if 0 <= ticks_diff(ticks_ms(), self._newest_ms) < _ROLL_CALL_MS or not tester.initialized:
            return
        if unheard:
            try:
                assembly = yield from exchange_steps(tester, b"\x01\x00")
            except ObdError:
                return  # what was asked has been answered; the next request tells
            there = [answer.ecu for answer in assembly.answers]
            if not assembly.broken and [ecu for ecu in unheard if ecu not in there]:
                tester.initialized = False
        self._unheard = list(self._present)
        self._newest_ms = ticks_ms()
