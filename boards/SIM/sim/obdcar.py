"""The car's end of an OBD K-line: one or several ECUs, each with its own driver and ear, at level resolution.

    from sim.obdcar import Car
    car = Car(w.wire, "boards/SIM/cars/kwp_fast.json", seed=1)    # or a dict in the format of sim/ecu_script.py
    w.run_until(...)                                              # the tester does its initialisation and asks
    car.ecus[0].refusals                                          # [(t_us, limit, measured us or a text)]
    car.ecus[0].accepted                                          # the same for what lay within its limits
    car.ecus[0].requests, car.ecus[0].answers                     # [(t_us of the end / of the first start bit, frame)]
    car.fault("01 0C", nrc=0x21, times=2)                         # a rule of the script, from now on
    car.ignition(False); car.ignition(True); car.reset(0)

An ECU judges the tester's waveform on the wire. What lies outside a limit it doesn't answer, and notes which limit
and the measured value. It shares no code with the firmware: each is the other's witness.

    slow init    W0/W5 idle, each edge of the 5-baud byte ("bit", deviation from its ideal time), "stop_bit", "address",
                 W4 before the inverted key byte 2, "key_byte_2"
    fast init    "idle", TiniL (low), TWuP (from its beginning to the first start bit), "start_communication"
    requests     P3 (from the last byte on the wire, anyone's), P4 (between the tester's bytes), "header", "length",
                 "checksum", "framing", "no_session", "pending" (spoke while an answer was due), "collision"
"""

from .ecu_data import Data
from .ecu_init import NONE, START, W4_BYTE, Init
from .ecu_script import Rule, load, setups
from .ecu_session import Session
from .ecu_timing import Notes
from .ecu_transmitter import FrameSender
from .module import Peer
from .rng import Rng
from .uart import FRAMING_ERROR, Format, Receiver


class Ecu(Peer):
    """One ECU. setup: an ecu_script.Setup; init, session, sender, data: its parts; notes: what happened.

    bus_end_us  end of the last byte on the wire, anyone's; idle_us: how long it was quiet before the last fall
    used        something was said since the ignition came on (an address must then wait for W5, not W0)
    """

    def __init__(self, car, setup, seed, keep):
        self.fmt = Format.of(setup.baud, 8, None, 1)
        self.car = car
        self.setup = setup
        self.address = setup.address
        self.rng = Rng(seed)
        self.powered = True
        self.world = car.wire.world
        self.rose_us = self.fell_us = self.bus_end_us = self.world.now
        self.idle_us = 0
        self.used = False
        super().__init__(car.wire, "ecu %02X" % setup.address)
        self.notes = Notes(self.world, keep)
        self.data = Data(setup)
        self.sender = FrameSender(self)
        self.session = Session(self)
        self.init = Init(self)
        self.ear = Receiver(self.world, car.wire, self.fmt, self._byte)
        self._boot = None
        self.power(True)

    @property
    def refusals(self):
        return self.notes.refusals

    @property
    def accepted(self):
        return self.notes.accepted

    @property
    def requests(self):
        return self.notes.requests

    @property
    def answers(self):
        return self.notes.answers

    @property
    def counts(self):
        return self.notes.counts

    def own(self, name):
        """One of its own times in us; drawn, where the script gives a range."""
        us = self.setup.own[name]
        return us if isinstance(us, int) else self.rng.between(us[0], us[1])

    # supply

    def power(self, on, why="ignition"):
        """Off: it lets go of the wire, hears nothing and forgets its session (its codes stay)."""
        if self._boot is not None:
            self.world.drop(self._boot)
            self._boot = None
        self.sender.abort()
        self.init.stop()
        self.session.close(why)
        self.powered = False
        if on and self.setup.boot_us:
            self._boot = self.world.at(self.world.now + self.setup.boot_us, self._awake)
        elif on:
            self._awake(None)

    def _awake(self, _):
        self._boot = None
        self.powered = True
        self.used = False
        self.bus_end_us = self.rose_us  # the wire is judged, not what the ECU slept through
        self.ear.restart()

    def reset(self):
        self.notes.event("reset")
        self.power(True, "reset")

    # what it hears

    def edge(self, level):
        now = self.world.now
        if level:
            self.rose_us = now
            if self.powered and not self.sender.speaking:
                self.init.rise(now)
        else:
            self.idle_us = now - max(self.rose_us, self.bus_end_us)
            self.fell_us = now
            if self.powered and not self.sender.speaking:
                self.init.fall(now)

    def _byte(self, value, flags):
        if not self.powered:
            return
        if self.sender.speaking:
            self.sender.echo(value, flags)
            return
        now = self.world.now
        start = now - self.fmt.frame_us
        gap = max(0, start - self.bus_end_us)
        if flags & FRAMING_ERROR and self.wire.level == 0:
            return  # a low longer than a byte: the beginning of an initialisation, or of none
        self.used = True
        self.bus_end_us = now
        if self.car.spoke(start):
            return
        state = self.init.state
        if state == W4_BYTE:
            self.init.byte(value, flags)
        elif state in (NONE, START):
            self.session.byte(value, flags, gap)


class Car:
    """The ECUs of a script on one wire.

    script   a path or a dict (sim/ecu_script.py)
    keep     newest entries that each list of notes keeps (None: all; long runs want a number)
    """

    def __init__(self, wire, script, seed=1, keep=None):
        self.wire = wire
        self.world = wire.world
        self.script = load(script)
        self.speakers = 0  # ECUs with a frame on the wire
        self._speech = (0, 0)
        self.on = True
        self.ecus = [Ecu(self, s, seed * 1009 + i, keep) for i, s in enumerate(setups(self.script))]
        for event in self.script.get("events", ()):
            self.world.at(self.world.now + round(event["at_s"] * 1_000_000), self._happen, event)

    def _happen(self, event):
        if "ignition" in event:
            self.ignition(event["ignition"])
        if "reset" in event:
            self.reset(event["reset"])
        if "fault" in event:
            rule = dict(event["fault"])
            self.fault(rule.pop("request", ""), event.get("ecu"), **rule)

    def ignition(self, on):
        if on != self.on:
            self.on = on
            for ecu in self.ecus:
                ecu.notes.event("ignition", "on" if on else "off")
                ecu.power(on)

    def reset(self, number=0):
        """One ECU begins anew."""
        if self.on:
            self.ecus[number].reset()

    def fault(self, request, ecu=None, **actions):
        """A rule before all others, for one ECU (its number) or for all; times=1 unless said. See sim/ecu_script.py."""
        fields = {"request": request, "times": 1}
        fields.update(actions)
        for i, e in enumerate(self.ecus):
            if ecu is None or i == ecu:
                e.setup.rules.insert(0, Rule(fields))

    @property
    def refusals(self):
        """Of all ECUs, in order: [(t_us, ECU's address, name, measured)]."""
        found = [(t, e.address, name, measured) for e in self.ecus for t, name, measured in e.refusals]
        return sorted(found, key=lambda r: (r[0], r[1]))

    # among the ECUs

    def leader(self, ecu):
        """The one that sends the key bytes when several have the same address: the first."""
        for e in self.ecus:
            if e.powered and e.setup.slow and e.setup.init_address == ecu.setup.init_address:
                return e
        return ecu

    def followers(self, leader, connected):
        for e in self.ecus:
            if e is not leader:
                e.init.follow(connected)

    def speech_begins(self):
        self.speakers += 1
        if self.speakers == 1:
            self._speech = (self.world.now, 0)

    def speech_ends(self):
        self.speakers -= 1
        self._speech = (self._speech[0], self.world.now)

    def spoke(self, start):
        """Whether a byte with this start bit was an ECU's."""
        return start >= self._speech[0] and (self.speakers > 0 or start < self._speech[1])
