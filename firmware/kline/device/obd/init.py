"""The three ways to wake an ECU: 5-baud address (ISO 9141-2 and KWP alike, the key bytes tell) and fast initialisation.

Both are generators on an ObdLine (see obd/line.py); they return a Session, or raise ObdError with what did not happen.
"""

import gc
from time import ticks_add, ticks_diff, ticks_us

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.device.obd.line import wait_until
from kline.device.obd.sync import measure_sync
from kline.protocol.obd import keybytes, kwp, requests, timing
from kline.protocol.obd.keybytes import KeyBytes

SLOW = "slow"
FAST = "fast"
OBD_ADDRESS = 0x33

# How much later than the standard's limit an ECU may be before we give up on it.
GRACE_US = 5_000
# From the moment a byte was noticed. With a caller that takes 15 ms a turn it still lies within W4's 25..50 ms.
_W4_US = 27_000


class Session:
    """What an initialisation found, and what holds since.

    kind       SLOW or FAST
    address    the address that was called: 33, or one ECU's own
    baud       rate of the ECU
    key        KeyBytes
    ecus       addresses of the ECUs that have answered, in order of appearance
    timing     Timing: P1..P4 in force
    supported  PidSet of mode 01, of all ECUs together
    doubt      an ObdError: the initialisation went so far, but for this; None: it was by the book
    sign       what a living session answers; None where that is not known
    patience   so often a silent request is listened to for longer
    late_p2, late_p3  answers come after P2max, so 4 times as long is waited; requests have to come 1 s after an answer
    was_late   an answer came after P2max: with the second one, late_p2
    too_late   something came when a request without an answer was waited for no more
    """

    def __init__(self, kind, address, baud, key, times):
        self.kind = kind
        self.address = address
        self.baud = baud
        self.key = key
        self.ecus = []
        self.timing = times
        times.p2_min_us = key.p2_min_us
        self.supported = requests.PidSet()
        self.doubt = None
        self.sign = b"\x01\x00"
        self.patience = 3
        self.late_p2 = self.late_p3 = self.too_late = self.was_late = False

    def legislated(self):
        """The session of address 33, whose timing ISO 14230-4 fixes; else one ECU's own."""
        return self.address == OBD_ADDRESS

    def profile(self):
        """What is worth remembering of this car; connect(profile) takes it."""
        return {
            "kind": self.kind,
            "address": self.address,
            "baud": self.baud,
            "key_bytes": [self.key.first, self.key.second],
            "ecus": list(self.ecus),
            "supported": self.supported.pids(),
        }

    def __repr__(self):
        return "%s init of %02X at %d baud, key bytes %s" % (self.kind, self.address, self.baud, self.key.text())


def slow_steps(line, times, address=OBD_ADDRESS, progress=None, any_key=False):
    """5-baud initialisation. any_key: unknown key bytes, or an address that is not confirmed, are only a doubt."""
    say = progress or _silent
    say("waiting for a quiet line")
    if not 0 <= address <= 255:
        raise ValueError("address is %r, must be 0..255" % (address,))
    gc.collect()
    yield from line.quiet_steps(timing.W0_USUAL_US)
    say("calling %02X at 5 baud" % address)
    end_us = yield from line.address_steps(address)
    baud = yield from _sync_steps(line, address, ticks_add(end_us, times.w1_max_us + GRACE_US))
    say("sync byte at %d baud" % baud)
    first = yield from _next_steps(line, timing.W2_MAX_US)
    if first < 0:
        raise ObdError(errors.NO_KEY_BYTES, "no first one within W2")
    second = yield from _next_steps(line, timing.W3_MAX_US)
    if second < 0:
        raise ObdError(errors.NO_KEY_BYTES, "%02X, no second one within W3" % first)
    key = KeyBytes(first, second)
    say("key bytes " + key.text())
    yield from wait_until(ticks_add(line.last_end_us, _W4_US))
    late_us = ticks_diff(ticks_us(), line.last_end_us) + line.unseen_us - timing.W4_MAX_US
    if late_us > 0:
        raise ObdError(errors.LATE, late_us)
    begun_us = line.last_end_us
    line.send_byte(second ^ 0xFF)
    late_us = ticks_diff(line.last_end_us, begun_us) - line.byte_us - timing.W4_MAX_US
    answer = yield from _next_steps(line, timing.W4_MAX_US)
    if answer < 0 and late_us > 0:
        raise ObdError(errors.LATE, late_us)
    session = Session(SLOW, address, baud, key, times)
    if key.protocol == keybytes.UNKNOWN:
        session.doubt = ObdError(errors.KEY_BYTES, "%02X %02X" % (first, second))
    elif answer != address ^ 0xFF:
        what = "nothing came within W4" if answer < 0 else "%02X instead of %02X" % (answer, address ^ 0xFF)
        session.doubt = ObdError(errors.NO_ADDRESS, what)
    if session.doubt and not any_key:
        raise session.doubt
    return session


def _silent(text):
    pass


def _next_steps(line, limit_us):
    """The next byte, which may start limit_us after the end of the one before; -1."""
    return line.byte_steps(ticks_add(line.last_end_us, limit_us + line.byte_us + GRACE_US))


def _sync_steps(line, address, until_us):
    """The sync byte: its rate; the UART runs at it from then on."""
    yield 0
    until_us = ticks_add(until_us, line.byte_us)
    baud = measure_sync(line, until_us)
    if baud > 0 and baud != line.baud:
        if not 1000 <= baud <= 15_000:
            raise ObdError(errors.SYNC_WRONG, "its bits are those of %d baud" % baud)
        # The last two bits are still on their way.
        yield from wait_until(ticks_add(ticks_us(), 3_000_000 // baud))
        line.give_back(baud)
        line.last_end_us = ticks_us()
        return baud
    until_us = ticks_add(ticks_us(), 3 * line.byte_us if baud >= 0 else 0)
    byte = 0
    while byte == 0:  # a glitch when the line was released
        byte = yield from line.byte_steps(until_us)
    if byte < 0:
        raise ObdError(errors.NO_SYNC, address)
    if byte != 0x55:
        raise ObdError(errors.SYNC_WRONG, "%02X at %d baud" % (byte, line.baud))
    return line.baud


def fast_steps(line, times, target=OBD_ADDRESS, progress=None, own=None):
    """Fast initialisation with StartCommunication; answers of several ECUs are all heard. own: a frame of one's own."""
    say = progress or _silent
    say("waiting for a quiet line")
    gc.collect()
    yield from line.quiet_steps(timing.FAST_IDLE_US)
    say("fast initialisation of %02X" % target)
    mode = kwp.FUNCTIONAL if target == OBD_ADDRESS else kwp.PHYSICAL
    frame = own or kwp.encode(kwp.START_COMMUNICATION, target, kwp.TESTER, mode)
    start_us = yield from line.pulse_steps()
    yield from line.send_steps(frame, timing.LIMITS["P4"][0], start_us)
    assembly = requests.Assembly(kwp.START_COMMUNICATION)
    parser = kwp.FrameParser(kwp.HEAR_ADDRESSED, own[2] if own else kwp.TESTER)
    usual_us = times.p2_max_us
    late = yield from listen_longer_steps(line, parser, assembly, times)
    best = assembly.best()
    if best is None and line.gap_most_us > timing.LIMITS["P4"][1]:
        raise ObdError(errors.LATE, line.gap_most_us - timing.LIMITS["P4"][1])
    if best is None:
        raise ObdError(errors.SILENT, "the fast initialisation")
    if not best.ok() or len(best.frames[0]) < 2:
        raise ObdError(errors.REFUSED, "StartCommunication: " + repr(best))
    session = Session(FAST, target, line.baud, KeyBytes(best.frames[0][0], best.frames[0][1]), times)
    session.ecus = [answer.ecu for answer in assembly.positive()]
    session.was_late = late
    times.p2_max_us = usual_us
    say("key bytes " + session.key.text())
    return session


def listen_steps(line, parser, assembly, times, tell=None, limit_us=60_000_000):
    """Feed what ECUs say to the assembly, until P2max (after a 78: P3max) of silence, or limit_us.

    tell(request, frame) is called for each frame that answers the request.
    """
    begun_us = ticks_us()
    parser.reset()
    told = True  # the parser has been told of the present silence
    while True:
        until_us = ticks_add(line.last_end_us, times.p1_max_us + line.byte_us + 1_000)
        window_us = requests.listen_us(times, assembly.pending()) + line.byte_us + 1_000
        if told:
            until_us = ticks_add(line.last_end_us, window_us)
        byte = yield from line.byte_steps(until_us)
        if byte >= 0:
            parser.put(byte)
            told = False
        elif told:
            return
        else:
            told = True
        frame = parser.take(told)
        while frame is not None:
            if assembly.add(frame) != requests.FOREIGN and tell:
                tell(assembly.request, frame)
            frame = parser.take(told)
        if ticks_diff(ticks_us(), begun_us) > limit_us:
            return


def listen_longer_steps(line, parser, assembly, times, tell=None):
    """listen_steps(); where nothing at all came, 4 times P2max: True, and times say so, if an ECU answered then."""
    asked_us = line.last_end_us
    yield from listen_steps(line, parser, assembly, times, tell)
    if line.last_end_us != asked_us:
        return False  # damage, or noise
    usual_us = times.p2_max_us
    times.p2_max_us = 4 * usual_us
    yield from listen_steps(line, parser, assembly, times, tell)
    if not assembly.answers:
        times.p2_max_us = usual_us
    return bool(assembly.answers)
