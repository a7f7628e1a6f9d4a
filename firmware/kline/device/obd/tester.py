"""OBD-II over K-line: a session with the car's ECUs on a KLineTransport.

    >>> from kline import KLineConfig, KLineObd2, KLineTransport
    >>> from kline.device import board
    >>> obd = KLineObd2(KLineTransport(board.load(), KLineConfig.obd2()).begin())
    >>> obd.connect()
    >>> obd.request_pid(1, 0x0C)
    ECU 10: 0c0d20

Each method that takes time has a twin in _steps: a generator that yields the microseconds that the caller may spend
elsewhere before the next next(). The method itself drains it, blocking, for a bounded time. A generator that is not run
to its end has to be close()d.
"""

import gc
from time import ticks_add, ticks_diff, ticks_ms, ticks_us

from kline.device.obd import errors
from kline.device.obd import init as obd_init
from kline.device.obd.errors import ObdError
from kline.device.obd.exchange import RollCall, exchange_steps, verify_steps
from kline.device.obd.init import FAST, OBD_ADDRESS, SLOW
from kline.device.obd.line import ObdLine, drain, wait_until
from kline.protocol.obd import keybytes, kwp, requests, timing

# 5 baud first: it finds ISO 9141 and KWP cars alike.
ORDER = ((SLOW, OBD_ADDRESS), (FAST, OBD_ADDRESS))
# After P3max an ECU has forgotten its session.
_RESTART_IDLE_US = 5_100_000
_KEEP_ALIVE_MS = 3_500  # P3max is 5 s; the caller comes by now and then
_COUNTED_OUT_US = 11 * timing.FIVE_BAUD_BIT_US
_LATE_TRIES = 3
_SILENCES = 3
# What lies between a look at the clock and the first byte of a request.
_P3_MARGIN_US = 5_000
_BACKOFF_MAX_S = 60


class KLineObd2:
    """A tester on one K-line.

    session      what was found (obd_init.Session); None before the first success and after reset()
    initialized  the session is believed to be alive
    on_progress  f(text) during initialisation, for a person who waits
    on_request   f(data) each time that a request is sent, also those of keep-alive and connect()
    on_frame     f(data, kwp.Frame) for each frame that answers the request `data`
    answers      all Answers to the newest request, one for each ECU
    line, parser, newest  for obd/exchange.py: the line, what finds frames on it, the Assembly of the newest request
    limits       timing.Timing whose P1max, P2max, P3min, W1max hold for the next initialisation and its session
    """

    def __init__(self, transport, on_progress=None):
        self.transport = transport
        self.line = ObdLine(transport)
        self.session = None
        self.initialized = False
        self.on_progress = on_progress
        self.on_request = self.on_frame = None
        self.answers = []
        self.reconnects = 0
        self.newest = None
        self.parser = kwp.FrameParser()
        self.limits = timing.Timing()
        self._home_baud = self.line.baud
        self._last_ms = ticks_ms()
        self._silences = 0
        self._roll_call = RollCall()
        self._failures = 0
        self._failed_ms = 0
        self._life = False  # the newest connect() heard something
        self._counting = 0  # an ECU may be counting bits: 3: an address was broken off, 1, 2: so many had no answer
        self._fastest = False  # AccessTimingParameters are wanted

    # -- initialisation ----------------------------------------------------------------------------------------------

    def slow_init(self, address=OBD_ADDRESS):
        """5-baud initialisation (2.6 s): a Session, or ObdError."""
        return drain(self.slow_init_steps(address))

    def slow_init_steps(self, address=OBD_ADDRESS):
        """slow_init() in steps."""
        return self.init_steps(SLOW, address)

    def fast_init(self, target=OBD_ADDRESS):
        """Fast initialisation (0.5 s): a Session, or ObdError."""
        return drain(self.fast_init_steps(target))

    def fast_init_steps(self, target=OBD_ADDRESS):
        """fast_init() in steps."""
        return self.init_steps(FAST, target)

    def init_steps(self, kind, address, own=None, baud=0):
        """SLOW or FAST. own: of a slow one, whether doubts will do; of a fast one, what starts communication.

        baud: begin at this rate; 0: at that of begin_at().
        """
        self.reset()
        if baud:
            self.line.give_back(baud)
        steps = obd_init.slow_steps if kind == SLOW else obd_init.fast_steps
        if self._counting > 1 + (kind == FAST):
            yield from self._counted_out_steps()
            self._counting = 0
        unanswered = self._counting
        for tries_left in range(_LATE_TRIES - 1, -1, -1):
            try:
                if kind == SLOW:
                    self._counting = 3  # for whoever closes this generator
                session = yield from steps(self.line, self.limits.copy(), address, self.on_progress, own)
                break
            except ObdError as error:
                # A pause of ours, or a glitch, spoils the sync byte: once it is tried again.
                spoilt = error.code == errors.SYNC_WRONG and tries_left == _LATE_TRIES - 1
                if not (spoilt or error.code == errors.LATE) or not tries_left:
                    if kind == SLOW:
                        # An ECU that wakes up within an address takes its middle for the beginning, and at the end of
                        # its count the same of the next one: after two it is let finish.
                        self._counting = unanswered + 1 if error.code == errors.NO_SYNC else 0
                    raise
                yield from self._counted_out_steps()
        self._counting = 0
        self.session = session
        self.initialized = True
        self._fastest = False
        self._silences = 0
        self._roll_call = RollCall()
        self.parser = kwp.FrameParser(kwp.hears(session.key))
        self._heard()
        return session

    def _counted_out_steps(self):
        """Until an ECU has counted the bits of an address to its end, from whichever edge on."""
        due_us = ticks_add(self.line.edge_us, _COUNTED_OUT_US)
        if ticks_diff(due_us, ticks_us()) <= _COUNTED_OUT_US:  # else ticks have wrapped
            yield from wait_until(due_us)

    def reset(self):
        """Forget the session; TX is the UART's, at the rate that initialisation begins with."""
        self.initialized = False
        self.session = self.newest = None
        self.answers = []
        self.line.give_back(self._home_baud)
        gc.enable()

    def begin_at(self, baud):
        """The rate that the next initialisation begins with; 5-baud initialisation measures the ECU's anyway."""
        self._home_baud = baud

    def stop(self):
        """End the session politely: StopCommunication, where it lives and the protocol has a word for it."""
        return drain(self.stop_steps())

    def stop_steps(self):
        """stop() in steps."""
        if self.initialized and not self._expired() and self.session.key.protocol == keybytes.KWP:
            yield from exchange_steps(self, kwp.STOP_COMMUNICATION)
        self.reset()

    def connect(self, profile=None):
        """Find out what the car speaks: a Session, or ObdError. See connect_steps()."""
        return drain(self.connect_steps(profile))

    def connect_steps(self, profile=None, order=ORDER):
        """Try what the profile (Session.profile()) remembers, twice, then `order`: pairs of SLOW or FAST and address.

        A second round, after the 5 s in which a forgotten session ends, follows where an ECU showed signs of life.
        """
        if profile:
            kind, address, baud = profile["kind"], profile["address"], profile["baud"]
            if kind == SLOW or baud == self._home_baud:
                baud = 0  # measured, or the usual one
            # Twice: a disturbance within the two seconds of an address spoils it.
            order = ((kind, address, baud),) * 2 + tuple([way for way in order if baud or way != (kind, address)])
        life = self.session is not None and not self._failures
        self._life = slow = False
        for _ in range(2):
            reasons = []
            for way in order:
                try:
                    session = yield from self.init_steps(way[0], way[1], way[0] == SLOW or None, *way[2:])
                    self._roll_call = yield from verify_steps(self)
                    # What a spoilt slow one has left open answers a fast one: that is no way into the next session.
                    session.kind = SLOW if slow else session.kind
                    return session
                except ObdError as error:
                    self.initialized = False
                    if error.code in (errors.NO_ECHO, errors.STUCK_LOW, errors.BUSY):
                        raise  # the circuit: no other way would help
                    if error.code not in (errors.NO_SYNC, errors.SILENT):
                        self._life, slow = True, slow or way[0] == SLOW
                    reasons.append("%s init of %02X: %s" % (way[0], way[1], error))
            if not (life or self._life):
                break
            yield from self.line.quiet_steps(_RESTART_IDLE_US)
        raise ObdError(errors.NO_CAR, " / ".join(reasons))

    def _reconnect_steps(self):
        """The session is lost: initialise again, but not too often, so that a parked car can sleep."""
        pause_s = min(_BACKOFF_MAX_S, 1 << min(self._failures, 6))
        waited_ms = ticks_diff(ticks_ms(), self._failed_ms)
        if self._failures and 0 <= waited_ms < pause_s * 1000:  # negative: so many days that ticks have wrapped
            raise ObdError(errors.TOO_SOON, pause_s - waited_ms // 1000)
        profile = self.session.profile()
        session, fastest = self.session, self._fastest
        try:
            yield from self.connect_steps(profile)
        except ObdError:
            self.session, self._fastest = session, fastest  # what to look for next time
            # A car that is awake need not be left to sleep.
            self._failures = 1 if self._life else self._failures + 1
            self._failed_ms = ticks_ms()
            raise
        if self.session.key.text() == session.key.text():
            self.session.supported = session.supported  # the same car: what was found out still holds
            self.session.kind = SLOW if session.kind == SLOW else self.session.kind  # see connect_steps()
        self._failures = 0
        self.reconnects += 1
        if fastest:
            try:
                yield from self.access_timing_steps(fastest=True)
            except ObdError:
                self._fastest = True  # not now; the times of the standard hold

    # -- requests ----------------------------------------------------------------------------------------------------

    def request_pid(self, mode, pid=None):
        """Ask for a PID (or None for services without): the best Answer, or None when no ECU answers.

        A refusal is an Answer with its nrc. Other ECUs' answers are in `answers`.
        """
        return drain(self.request_pid_steps(mode, pid))

    def request_pid_steps(self, mode, pid=None):
        """request_pid() in steps."""
        data = bytes((mode,)) if pid is None else bytes((mode, pid))
        assembly = yield from self.request_steps(data + b"\x00" if mode == requests.FREEZE else data)
        return assembly.best()

    def request(self, data):
        """Send `data` (service ..) to the car: a requests.Assembly with everybody's answers."""
        return drain(self.request_steps(data))

    def request_steps(self, data, p2_max_us=0):
        """request() in steps. Raises ObdError NOT_CONNECTED, or of the re-initialisation, or of the line.

        p2_max_us: how long this request's answers are waited for; 0: as in the session.
        """
        if self.session is None:
            raise ObdError(errors.NOT_CONNECTED)
        if not self.alive():
            yield from self._reconnect_steps()
        assembly = yield from exchange_steps(self, data, p2_max_us)
        if assembly.answers and not self.session.sign and data[0] == requests.LIVE:
            self.session.sign = data
        yield from self.account_steps(bool(assembly.answers))
        yield from self._roll_call.steps(self, assembly.answers)
        self.answers = assembly.answers
        return assembly

    def account_steps(self, answered):
        """After a request: silence three times, and then to one that this car answers, and the session is lost."""
        self._heard()
        if answered:
            self._silences = 0
            return
        self._silences += 1
        if self._silences >= _SILENCES:
            yield from self._still_there_steps()

    def alive(self):
        """Whether the session lives, as far as is known without asking."""
        if self.initialized and self._expired():
            self.initialized = False
        return self.initialized

    def idle_ms(self):
        """Since the last request; negative after six days."""
        return ticks_diff(ticks_ms(), self._last_ms)

    def _heard(self):
        """Just now the line was listened to: P3 counts from its newest byte."""
        self._last_ms = ticks_add(ticks_ms(), -(ticks_diff(ticks_us(), self.line.last_end_us) // 1000))

    def _expired(self):
        p3_max_us = self.session.timing.p3_max_us
        idle_us = self.idle_ms() * 1000  # negative: days, as above
        return p3_max_us != timing.NO_LIMIT and not 0 <= idle_us < p3_max_us - _P3_MARGIN_US

    def _still_there_steps(self):
        """Silence may be an answer: a PID that an ISO 9141 ECU has not, TesterPresent where that is no service."""
        self._silences = 0
        session = self.session
        data = session.sign or b"\x01\x00"
        if not session.legislated():
            data = requests.keep_alive(session.key)
        assembly = yield from exchange_steps(self, data)
        if not assembly.answers:
            self.initialized = False

    def read_response(self, timeout_ms=100):
        """The next frame from an ECU (kwp.Frame), or None when none was whole within timeout_ms."""
        from kline.device.obd import raw  # a person at the prompt asks for it: not on the heap of all others

        return drain(raw.frame_steps(self, timeout_ms))

    def clear_echo(self, frame, timeout_ms=100):
        """Read back what was sent with transport.send_raw(): True when it is the same. Other bytes stay unread."""
        from kline.device.obd import raw

        return drain(raw.echo_steps(self.line, frame, timeout_ms))

    def parse_frame_data(self, buf, n=-1):
        """Index of the first data byte (the service) in a frame of n bytes; -1 when it is too short."""
        return kwp.data_start(buf, len(buf) if n < 0 else n)

    # -- keeping the session -----------------------------------------------------------------------------------------

    def keep_alive(self):
        """To be called now and then: asks for a sign of life after 3.5 s without requests. True: the session lives.

        A session that is over stays so: only a request opens it again.
        """
        return drain(self.keep_alive_steps())

    def keep_alive_steps(self, after_ms=_KEEP_ALIVE_MS):
        """keep_alive() in steps."""
        if self.alive() and self.idle_ms() >= after_ms:
            yield from self.request_steps(requests.keep_alive(self.session.key))
            if not self.answers:
                yield from self._still_there_steps()
        return self.initialized

    def access_timing(self, times=None, fastest=False):
        """AccessTimingParameters with one ECU in its own session: the timing.Timing in force.

        times: set these; fastest: the shortest that the ECU offers, and again whenever the session has to be opened
        again. ObdError NOT_ALLOWED in a session with address 33, or where the ECU can't be so fast; REFUSED where it
        has no such service.
        """
        return drain(self.access_timing_steps(times, fastest))

    def access_timing_steps(self, times=None, fastest=False):
        """access_timing() in steps."""
        from kline.device.obd import access  # few ask for it: not on the heap of all others

        if not fastest:
            return (yield from access.access_steps(self, times))
        found = yield from access.fastest_steps(self)
        self._fastest = True
        return found
