"""How an ECU judges an initialisation: the 5-baud address, the key bytes' exchange, the wake-up pattern.

All decisions are made on edges of the wire; a low of 10 ms and more is none of a byte's. A low of 100 ms and more
begins an address (the start bit is 200 ms and longer), one below it is a wake-up pattern.
"""

from .ecu_script import octet, octets, pick
from .ecu_timing import SLOW_BIT_US, within

LEAST_LOW_US = 10_000
SLOW_LOW_US = 100_000
FOLLOW_US = 3_000_000  # so long it waits for the leader to finish
PATIENCE_US = 500_000  # so long it waits for something late, to tell how late

NONE, ADDRESS, DEAF, W1, KEYS, W4, W4_BYTE, CLOSING, FOLLOW, WAKE, START = range(11)


class Init:
    """One ECU's side. state NONE: nothing is going on (a session may be open)."""

    def __init__(self, ecu):
        self.ecu = ecu
        self.world = ecu.world
        self.setup = ecu.setup
        self.state = NONE
        self._event = None
        self._rule = {}

    def stop(self):
        if self._event is not None:
            self.world.drop(self._event)
            self._event = None
        self.state = NONE

    def _later(self, t, fn):
        if self._event is not None:
            self.world.drop(self._event)
        self._event = self.world.at(t, fn)

    def _refuse(self, name, measured, deaf_until=0):
        self.ecu.notes.refuse(name, measured)
        self.ecu.used = True
        leads = self.state in (W1, KEYS, W4, W4_BYTE, CLOSING)
        self.stop()
        if leads:
            self.ecu.car.followers(self.ecu, False)
        if deaf_until > self.world.now:
            self.state = DEAF
            self._later(deaf_until, self._listen)

    def _listen(self, _):
        self._event = None
        self.state = NONE

    # edges, none of which are the ECU's own

    def rise(self, now):
        if self.state == ADDRESS:
            self._bit_edge(now)
        elif self.state in (NONE, FOLLOW):
            low = now - self.ecu.fell_us
            if low >= SLOW_LOW_US:
                self._address()
            elif low >= LEAST_LOW_US:
                self._wake_up(low)

    def fall(self, now):
        state = self.state
        if state == NONE or state == DEAF:
            return
        if state == ADDRESS:
            self._bit_edge(now)
        elif state == W4:
            self._w4(now)
        elif state == WAKE:
            self._first_bit(now)
        elif state == W1:
            after = now - self._t0
            if after < 10 * SLOW_BIT_US:
                self._refuse("stop_bit", after - 9 * SLOW_BIT_US)
            else:
                self._refuse("W1", "the tester spoke")
        elif state == KEYS or state == CLOSING:
            self._refuse("W4" if state == CLOSING else "W2", "the tester spoke")

    def _may_begin(self, kind, spoken, deaf_until):
        session = self.ecu.session
        if not spoken:
            self._refuse(kind, "not spoken", deaf_until)
        elif session.open and not self.setup.reinit:
            self._refuse("in_session", kind, deaf_until)
        else:
            return True
        return False

    # slow init

    def _address(self):
        ecu = self.ecu
        self._t0 = ecu.fell_us
        end = self._t0 + 10 * SLOW_BIT_US
        if not self._may_begin("slow_init", self.setup.slow, end):
            return
        name = "W5" if ecu.used else "W0"
        if not within(self.setup.limits[name], ecu.idle_us):
            self._refuse(name, ecu.idle_us, end)
            return
        ecu.notes.accept(name, ecu.idle_us)
        ecu.used = True
        ecu.session.close("init")
        self.state = ADDRESS
        self._bits = self._k = self._worst = 0
        self._later(self._t0 + 9 * SLOW_BIT_US + SLOW_BIT_US // 2, self._stop_bit)
        self._bit_edge(self.world.now)

    def _bit_edge(self, now):
        t = now - self._t0
        k = (t + SLOW_BIT_US // 2) // SLOW_BIT_US
        deviation = t - k * SLOW_BIT_US
        if k == self._k or not within(self.setup.limits["bit"], deviation):
            self._refuse("bit", deviation, self._t0 + 10 * SLOW_BIT_US)
            return
        if abs(deviation) > abs(self._worst):
            self._worst = deviation
        self._fill(k, self.ecu.wire.level ^ 1)

    def _fill(self, k, level):
        """The bits from the last edge to bit k had this level."""
        if level:
            self._bits |= (1 << k) - (1 << self._k)
        self._k = k

    def _stop_bit(self, _):
        self._event = None
        ecu = self.ecu
        end = self._t0 + 10 * SLOW_BIT_US
        if ecu.wire.level == 0:
            self._refuse("stop_bit", "low", end)
            return
        self._fill(10, 1)
        address = self._bits >> 1 & 0xFF
        ecu.notes.accept("bit", self._worst)
        if address != self.setup.init_address:
            self._refuse("address", address, end)
            return
        ecu.notes.accept("address", address)
        if ecu.car.leader(ecu) is not ecu:
            self.state = FOLLOW
            self._later(end + FOLLOW_US, self._listen)
            return
        self.state = W1
        self._rule = pick(self.setup.rules, None)
        if self._rule.get("silent"):
            self._refuse("scripted", "silent")
            return
        keys = self.setup.key_bytes
        if "key_bytes" in self._rule:
            keys = octets(self._rule["key_bytes"], "key_bytes")
        self._keys = bytes((octet(self._rule.get("sync", 0x55), "sync"), keys[0], keys[1]))
        self._sent = 0
        self._later(end + ecu.own("W1"), self._send_key)

    def _send_key(self, _):
        """Sync byte and key bytes, one by one."""
        self._event = None
        self.state = KEYS
        if self._sent == self._rule.get("stop_after"):
            self._refuse("scripted", "stops after %d bytes" % self._sent)
            return
        self._sent += 1
        self.ecu.sender.say(self._keys[self._sent - 1 : self._sent], 0, self._key_sent)

    def _key_sent(self, good):
        if not good:
            self._refuse("collision", "in the key bytes")
        elif self._sent < 3:
            self._later(self.world.now + self.ecu.own("W2" if self._sent == 1 else "W3"), self._send_key)
        else:
            self.state = W4
            self._later(self.world.now + PATIENCE_US, self._no_inverse)

    def _no_inverse(self, _):
        self._event = None
        self._refuse("W4" if self.state == W4 else "key_byte_2", "nothing came")

    def _w4(self, now):
        waited = now - self.ecu.bus_end_us
        if not within(self.setup.limits["W4"], waited):
            self._refuse("W4", waited)
            return
        self.ecu.notes.accept("W4", waited)
        self.state = W4_BYTE

    def byte(self, value, flags):
        """The tester's inverted key byte 2."""
        want = self._keys[2] ^ 0xFF
        if value != want or flags:
            self._refuse("key_byte_2", "%02X instead of %02X" % (value, want) + (", framing" if flags else ""))
            return
        self.ecu.notes.accept("key_byte_2", value)
        if self._rule.get("stop_after") == 3:
            self._refuse("scripted", "stops after 3 bytes")
            return
        self.state = CLOSING
        self._later(self.world.now + self.ecu.own("W4"), self._send_address)

    def _send_address(self, _):
        self._event = None
        if self._rule.get("no_complement"):
            self._connected(True)
            return
        complement = octet(self._rule.get("complement", self.setup.init_address ^ 0xFF), "complement")
        self.ecu.sender.say(bytes((complement,)), 0, self._connected)

    def _connected(self, good):
        if not good:
            self._refuse("collision", "in the address")
            return
        self.stop()
        self.ecu.session.begin("slow init")
        self.ecu.car.followers(self.ecu, True)

    def follow(self, connected):
        """The leader of the initialisation has finished it, or given up."""
        if self.state == FOLLOW:
            self.stop()
            if connected:
                self.ecu.session.begin("slow init, following")

    # fast init

    def _wake_up(self, low):
        ecu = self.ecu
        limits = self.setup.limits
        if not self._may_begin("fast_init", self.setup.fast, 0):
            return
        for name, measured in (("idle", ecu.idle_us), ("TiniL", low)):
            if not within(limits[name], measured):
                self._refuse(name, measured)
                return
            ecu.notes.accept(name, measured)
        ecu.used = True
        ecu.session.close("init")
        self.state = WAKE
        self._t0 = ecu.fell_us
        self._later(self.world.now + PATIENCE_US, self._no_first_bit)

    def _no_first_bit(self, _):
        self._event = None
        self._refuse("TWuP", "nothing came")

    def _first_bit(self, now):
        since = now - self._t0
        if not within(self.setup.limits["TWuP"], since):
            self._refuse("TWuP", since)
            return
        self.ecu.notes.accept("TWuP", since)
        self.state = START
        self._later(now + PATIENCE_US, self._no_start)

    @property
    def starting(self):
        """After a good wake-up pattern, until StartCommunication has come."""
        return self.state == START

    def start_failed(self):
        if self.state == START:
            self.stop()

    def _no_start(self, _):
        self._event = None
        self._refuse("start_communication", "nothing came")
