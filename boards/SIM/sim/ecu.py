"""An ECU on the K-line, at level resolution: it judges the tester's waveform, and refuses what the standard forbids.

It hears edges of the wire, nothing else of the tester. Limits are those of ISO 9141-2 and ISO 14230-2, written down
here once more and not taken from the firmware, so that a mistake there is noticed. What it did not like is in
`refusals`: (t_us, limit, measured us). Times: W and P from the end of one byte to the start edge of the next, as in the standards.
"""

from .ecumemory import Memory
from .module import Peer
from .uart import Format, Receiver, Transmitter

MS = 1000
BIT5 = 200_000
# limit: (shortest, longest), us; what the tester has to keep
LIMITS = {
    "W0": (2 * MS, None),
    "W4": (25 * MS, 50 * MS),
    "W5": (300 * MS, None),
    "idle": (300 * MS, None),
    "TiniL": (24 * MS, 26 * MS),
    "TWuP": (49 * MS, 51 * MS),
    "P3": (55 * MS, 5000 * MS),
    "P4": (5 * MS, 20 * MS),
}
BIT5_TOLERANCE = BIT5 // 100
SPLIT = 22 * MS  # silence that ends whatever was being received

SLEEPING, ADDRESSED, GREETING, AWAITS_KEY, WAKING, ACTIVE = range(6)
NAMES = ("sleeping", "addressed", "greeting", "awaits key byte", "waking", "active")


class Ecu(Peer):
    """One ECU. Everything here may be set before or during a run; times in us.

    address, init_address   its own (in headers) and the one that is called at 5 baud
    kwp       True: ISO 14230, False: ISO 9141-2
    slow, fast              which initialisations it takes
    key       the two bytes, in the order in which they are sent
    w1..w4, p1, p2          its own times; p2 may be a list, one for each answer frame
    pending_us              pause between a 78 and the next
    memory    what it knows: ecumemory.Memory
    awake     False: ignition off
    refusals  [(t_us, limit, us)]
    requests  [(t_us of the end, data)] that it understood
    state     one of this module's; sessions: how often it got ACTIVE
    """

    def __init__(self, wire, address=0x10, kwp=True, key=(0xE9, 0x8F), init_address=0x33, slow=True, fast=True,
                 baud=10400):
        super().__init__(wire, "ECU %02X" % address)
        self.address, self.init_address = address, init_address
        self.kwp, self.slow, self.fast = kwp, slow, fast
        self.key = key
        self.w1, self.w2, self.w3, self.w4 = 100 * MS, 10 * MS, 10 * MS, 30 * MS
        self.p1, self.p2 = 0, 30 * MS
        self.pending_us = 1000 * MS
        self.p3_max = 5000 * MS
        self.memory = Memory(self)
        self.awake = True
        self.judging = True
        self.refusals = []
        self.requests = []
        self.sessions = 0
        self.state = SLEEPING
        self.stubborn = False  # takes no initialisation while its session lives
        self.lapses = 0  # sessions that ended because nobody asked for p3_max
        self.glitch_us = None  # a stray low of that length, that long before the first answer frame
        self.glitch_before_us = 10 * MS
        self.damage = []  # frames still to be sent whose checksum is made wrong
        self.fmt = Format.of(baud, 8, None, 1)
        self._tx = Transmitter(self.world, self.driver.set, self.fmt, self._sent)
        self._rx = Receiver(self.world, self.wire, self.fmt, self._byte)
        self._events = 0
        self._forget()
        self._tried = False
        self._own_end = -1
        self._p3_mark = -1
        self._low_us = -1
        self._high_us = self.world.now - 10_000_000
        self._sending = False

    def set_baud(self, baud):
        self.fmt = self._tx.fmt = Format.of(baud, 8, None, 1)
        self._rx.restart(self.fmt)

    def _forget(self):
        self._message = bytearray()
        self._times = []  # (start, end) of each byte of the message
        self._out = []
        self._events += 1  # what was scheduled before is void
        self._pulse = 0
        self._address_edges = None

    def sleep(self, _=None):
        """The session is over."""
        if self.state != SLEEPING:
            self.state = SLEEPING
            self._tx.abort()
            self._sending = False
            self._forget()

    def power(self, on):
        """Ignition."""
        self.awake = on
        self.sleep()

    def refuse(self, limit, us):
        self.refusals.append((self.world.now, limit, us))

    def _keeps(self, limit, us, name=None):
        """The tester kept this limit; else the refusal is noted."""
        shortest, longest = LIMITS[limit]
        if us >= shortest and (longest is None or us <= longest):
            return True
        self.refuse(name or limit, us)
        return not self.judging

    def _after(self, us, fn, arg=None):
        """fn(arg) after us, unless the ECU fell asleep in between."""
        mark = self._events
        self.world.at(self.world.now + us, lambda _: fn(arg) if mark == self._events and self.awake else None)

    # -- edges: initialisation ---------------------------------------------------------------------

    def edge(self, level):
        now = self.world.now
        if level:
            width = now - self._low_us
            self._high_us = now
            if self._sending or not self.awake:
                return
            if self.state == ADDRESSED:
                self._address_edges.append((now, 1))
            elif width > 15 * MS:
                self._long_low(width)
            return
        idle = now - self._high_us
        self._low_us = now
        if self._sending or not self.awake:
            return
        if self.state == ADDRESSED:
            self._address_edges.append((now, 0))
        elif self._pulse:
            begun, self._pulse = self._pulse, 0
            self.state = WAKING if self._keeps("TWuP", now - begun) else SLEEPING
        else:
            self._idle_before = idle

    def _long_low(self, width):
        """A low that is no character: the wake-up pattern, or the beginning of an address."""
        if self.stubborn and self.state == ACTIVE:
            return
        if width < 100 * MS:
            if self.fast and self._keeps("TiniL", width) and self._keeps("idle", self._idle_before):
                self.sleep()
                self._forget()
                self._pulse = self._low_us
            return
        if not self.slow:
            return
        self.sleep()
        self._forget()
        limit = "W5" if self._tried else "W0"
        self._tried = True
        if not self._keeps(limit, self._idle_before):
            return
        self.state = ADDRESSED
        self._start = self._low_us
        self._address_edges = [(self._low_us, 0), (self.world.now, 1)]
        self.world.at(self._start + 10 * BIT5, self._address_over, self._events)

    def _address_over(self, mark):
        if mark != self._events or self.state != ADDRESSED:
            return
        self.state = SLEEPING
        word = 0
        level = 1
        at = 0
        for t, new in self._address_edges:
            n = (t - self._start + BIT5 // 2) // BIT5
            late = t - self._start - n * BIT5
            if abs(late) > BIT5_TOLERANCE:
                self.refuse("5-baud bit", late)
                if self.judging:
                    return
            if level:
                word |= ((1 << n) - 1) >> at << at
            level, at = new, n
        word |= ((1 << 10) - 1) >> at << at if level else 0
        if not word >> 9 & 1:
            self.refuse("stop bit", 0)
        elif word >> 1 & 0xFF == self.init_address:
            self.state = GREETING
            self._after(self.w1, self._greet, 0)

    def _greet(self, i):
        """Sync byte, key bytes."""
        self._send(bytes((0x55, self.key[0], self.key[1])[i : i + 1]), self._greeted, i)

    def _greeted(self, i):
        if i == 0:
            self._after(self.w2, self._greet, 1)
        elif i == 1:
            self._after(self.w3, self._greet, 2)
        else:
            self.state = AWAITS_KEY
            self._mark_end = self.world.now
            self._after(LIMITS["W4"][1] + 10 * MS, self._no_key)

    def _no_key(self, _):
        if self.state == AWAITS_KEY:
            self.refuse("W4", self.world.now - self._mark_end)
            self.sleep()

    def _key_came(self, value, start):
        if not self._keeps("W4", start - self._mark_end):
            self.sleep()
        elif value != self.key[1] ^ 0xFF:
            self.refuse("key byte complement", value)
            self.sleep()
        else:
            self._after(self.w4, self._confirm)

    def _confirm(self, _):
        self._send(bytes((self.init_address ^ 0xFF,)), self._activate, None)

    def _activate(self, _=None):
        self.state = ACTIVE
        self.sessions += 1
        self._tried = False
        self._message_done()
        self._alive()

    def _alive(self):
        """P3max counts from here."""
        self._mark_end = self.world.now
        self._p3_mark = mark = self.world.now
        events = self._events
        self.world.at(mark + self.p3_max + MS, lambda _: self._lapse(mark, events))

    def _lapse(self, mark, events):
        if mark == self._p3_mark and events == self._events and self.state == ACTIVE and not self._message:
            self.lapses += 1
            self.sleep()

    # -- sending -----------------------------------------------------------------------------------

    def _send(self, data, then, arg):
        self._sending = True
        self._then, self._arg = then, arg
        self._left = list(data)
        self._next_byte(None)

    def _next_byte(self, _):
        if self.p1:
            self._tx.send(bytes((self._left.pop(0),)))
        else:
            self._tx.send(bytes(self._left))
            self._left = []

    def _sent(self):
        if self._left:
            self._after(self.p1, self._next_byte)
            return
        self._sending = False
        self._own_end = self._high_us = self.world.now
        then, self._then = self._then, None
        if then is not None:
            then(self._arg)

    # -- bytes of the tester, and of other ECUs ----------------------------------------------------

    def _byte(self, value, flags):
        now = self.world.now
        start = now - self.fmt.frame_us
        if self._sending or start < self._own_end or not self.awake:
            return
        if self.state == AWAITS_KEY:
            self._key_came(value, start)
        elif self.state in (ACTIVE, WAKING):
            self._heard(value, flags, start, now)

    def _heard(self, value, flags, start, now):
        if self._times and start - self._times[-1][1] > SPLIT:
            self._message_done()
        self._message.append(value)
        self._times.append((start, now))
        size = self.memory.request_size(self._message)
        if size and len(self._message) >= size:
            self._understand(bytes(self._message[:size]), self._times)
            self._message_done()
        else:
            n = len(self._times)
            self._after(SPLIT, self._give_up, (n, now))

    def _give_up(self, what):
        """Silence in the middle of something: an answer of another ECU, noise, or a tester that broke off."""
        if self._times and what == (len(self._times), self._times[-1][1]):
            self._message_done()

    def _message_done(self):
        if self._message and self.memory.from_ecu(self._message):
            self._mark_end = self._times[-1][1]
        self._message = bytearray()
        self._times = []

    def _understand(self, frame, times):
        if self.memory.from_ecu(frame) or sum(frame[:-1]) & 0xFF != frame[-1]:
            return
        data = self.memory.data_of(frame)
        if not data:
            return
        for i in range(1, len(times)):
            if not self._keeps("P4", times[i][0] - times[i - 1][1]):
                return
        if self.state == ACTIVE and not self._keeps("P3", times[0][0] - self._mark_end):
            return
        self._events += 1  # what was still to be said is not said any more
        self.requests.append((times[-1][1], bytes(data)))
        self._mark_end = times[-1][1]
        if self.state == WAKING and data != b"\x81":
            self.state = SLEEPING
            return
        self._out = self.memory.answer(frame)
        self._p3_mark = -1
        self._number = 0
        self._waits = False
        self._answer_next(None)
        if not self._out and self.state == ACTIVE:
            self._alive()

    def _answer_next(self, _):
        if not self._out:
            return
        p2 = self.p2
        if isinstance(p2, list):
            p2 = p2[min(self._number, len(p2) - 1)]
        if self._number == 0 and self.glitch_us:
            self._after(self.glitch_before_us, self.pulse, self.glitch_us)
        if self._waits:
            p2 = self.pending_us
        self._p2_now = p2
        self._after(p2, self._say)

    def _say(self, _):
        """The next answer frame, unless somebody else has spoken: then p2 after him."""
        wire = self.wire
        need = min(self._p2_now, 25 * MS) + self.address * 20
        quiet = self.world.now - wire.changed_us
        if not wire.level or (wire.changed_us > self._mark_end and wire.changed_us > self._own_end and quiet < need):
            self._after(need, self._say)
            return
        frame = self._out.pop(0)
        self._number += 1
        self._waits = frame[-4] == 0x7F and frame[-2] == 0x78
        if self.damage:
            self.damage.pop()
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
        self._send(frame, self._said, None)

    def _said(self, _):
        self._message_done()
        if self.state == WAKING:
            self._activate()
        if self._out:
            self._mark_end = self.world.now
            self._answer_next(None)
        else:
            self._alive()
