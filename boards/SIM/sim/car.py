"""A small car for demonstrations: ignition on, instrument cluster, radio, steering wheel, lights, key.

Message ids and addresses are those of the public tables (docs/decisions.md names their source); what the data bytes say
is made up in their style. Each module is a sim.Module: it waits for silence, compares its echo, backs off. About
three frames a second: what an E46 says in a quiet minute.
"""

from .module import Module, frames_of
from .rng import Rng

GM, CDC, EWS, MFL, IHKA, RAD, IKE, ALL, LCM, RLS = 0x00, 0x18, 0x44, 0x50, 0x5B, 0x68, 0x80, 0xBF, 0xD0, 0xE8
DIAGNOSTICS = 0x3F
ADDRESSES = (GM, CDC, EWS, MFL, IHKA, RAD, IKE, LCM, RLS)
STATIONS = ("FM  88.9", "FM  92.3", "FM  98.5", "FM 101.3", "FM 104.6")

OFF, ACCESSORY, ON = 0, 1, 3  # ignition


def frame(source, destination, data):
    """A whole frame with length and XOR."""
    f = bytearray((source, len(data) + 2, destination))
    f.extend(data)
    x = 0
    for b in f:
        x ^= b
    f.append(x)
    return bytes(f)


class Car:
    """speed_kmh, rpm, outside_c, coolant_c, station, ignition, lights are its state; start() turns the key, once."""

    def __init__(self, world, max_tries=10):
        self.world = world
        self.rng = Rng(world.seed + 46)
        self.modules = {}
        for a in ADDRESSES:
            self.modules[a] = Module(world.wire, a, keep=False, max_tries=max_tries)
            self.modules[a].results = _Count()
            self.modules[a].begun = _Count()
        self.ignition = OFF
        self.speed_kmh, self.rpm, self.outside_c, self.coolant_c = 0, 0, 12, 15
        self.km = 123456
        self.station = 0
        self.volume = 6
        self.lights = 0
        self.tick = 0
        frames_of(world.wire, self.modules[IKE].fmt).takers.append(self._heard)

    def say(self, source, destination, *data, after_us=0):
        self.modules[source].send(frame(source, destination, bytes(data)), self.world.now + after_us)

    def start(self, _=None):
        """Unlock, key in, ignition."""
        self.say(GM, ALL, 0x72, 0x26)
        self.say(GM, ALL, 0x7A, 0x51, 0x00, after_us=300_000)
        self.say(EWS, ALL, 0x74, 0x04, 0x01, after_us=900_000)
        self.world.at(self.world.now + 1_200_000, self._ignite, ACCESSORY)
        self.world.at(self.world.now + 2_000_000, self._ignite, ON)
        self.world.at(self.world.now + 2_500_000, self._turn)

    def _ignite(self, state):
        self.ignition = state
        self._answer_ignition()
        if state == ACCESSORY:
            for a in (IKE, RAD, LCM, IHKA):
                self.say(a, ALL, 0x02, 0x00, after_us=50_000)
            self._station()
        else:
            self.rpm = 800
            self._lights()

    # what it says by itself, twice a second

    def _turn(self, _):
        self.world.at(self.world.now + 500_000, self._turn)
        self.tick += 1
        n = self.tick
        self._drive()
        if n % 2 == 0:
            self.say(IKE, ALL, 0x18, self.speed_kmh // 2, self.rpm // 100)
        if n % 4 == 1:
            self.say(IKE, ALL, 0x13, 0x02, 0x10, 0x00, 0x00, 0x00, 0x00)
        if n % 10 == 3:
            self._answer_temperature()
        if n % 6 == 5:
            self.say(RLS, LCM, 0x59, 0x11 + self.rng.below(4), 0x01)
        if n % 14 == 7:
            self._wheel()
        if n % 16 == 9:
            self.lights ^= 0x20  # a turn signal, on and off again
            self._lights()
        if n % 20 == 11:
            self.say(IHKA, IKE, 0x83, 0x80, 0x08)
        if n % 30 == 13:
            self.say(RAD, CDC, 0x01)
        if n % 8 == 2:
            self.say(LCM, ALL, 0x5C, 0xFF, 0x00)

    def _drive(self):
        self.speed_kmh = max(0, min(130, self.speed_kmh + self.rng.below(9) - 3 - self.speed_kmh // 40))
        self.rpm = 800 + self.speed_kmh % 40 * 60 + self.rng.below(100)
        if self.coolant_c < 92 and self.tick % 6 == 0:
            self.coolant_c += 1
        if self.tick % 60 == 0:
            self.km += 1

    def _wheel(self):
        """A button of the steering wheel: next station, or volume."""
        if self.rng.below(2):
            self.say(MFL, RAD, 0x3B, 0x01)
            self.say(MFL, RAD, 0x3B, 0x21, after_us=200_000)
        else:
            self.say(MFL, RAD, 0x32, 0x11 if self.rng.below(2) else 0x10)

    def _lights(self):
        self.say(LCM, ALL, 0x5B, self.lights, 0x00, 0x00, 0x00)

    def _station(self):
        text = STATIONS[self.station].encode()
        self.say(RAD, IKE, 0x23, 0x62, 0x30, *text)

    def _answer_ignition(self):
        self.say(IKE, ALL, 0x11, self.ignition)

    def _answer_temperature(self):
        self.say(IKE, ALL, 0x19, self.outside_c, self.coolant_c, 0x00)

    # what it answers

    def _heard(self, t, f):
        source, destination, message = f[0], f[2], f[3]
        if destination not in self.modules or len(f) < 5:
            return
        self.world.at(self.world.now + self.rng.between(5000, 15_000), self._react, (source, destination, message, f))

    def _react(self, what):
        source, destination, message, f = what
        if message == 0x01:
            self.say(destination, ALL, 0x02, 0x00)
        elif source == DIAGNOSTICS and message == 0x0C:
            self.say(destination, DIAGNOSTICS, 0xA0)
        elif destination == RAD and message == 0x3B and len(f) > 5 and f[4] == 0x01:
            self.station = (self.station + 1) % len(STATIONS)
            self._station()
        elif destination == RAD and message == 0x32 and len(f) > 5:
            self.volume = max(0, min(40, self.volume + (f[4] >> 4) * (1 if f[4] & 1 else -1)))
        else:
            self._answer(destination, message)

    def _answer(self, destination, message):
        """Requests: each is answered by one module only."""
        if destination == IKE:
            if message == 0x10:
                self._answer_ignition()
            elif message == 0x12:
                self.say(IKE, ALL, 0x13, 0x02, 0x10, 0x00, 0x00, 0x00, 0x00)
            elif message == 0x16:
                self.say(IKE, ALL, 0x17, self.km & 255, self.km >> 8 & 255, self.km >> 16 & 255, 0, 0, 0, 0)
            elif message == 0x1D:
                self._answer_temperature()
        elif destination == LCM and message == 0x5A:
            self._lights()
        elif destination == LCM and message == 0x5D:
            self.say(LCM, ALL, 0x5C, 0xFF, 0x00)
        elif destination == EWS and message == 0x73:
            self.say(EWS, ALL, 0x74, 0x04, 0x01)
        elif destination == GM and message == 0x79:
            self.say(GM, ALL, 0x7A, 0x51, 0x00)


class _Count(list):
    """A list that only counts, for things that run for days."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def append(self, item):
        self.count += 1
