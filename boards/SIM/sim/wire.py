"""Levels: a net (one signal with its listeners), the one wire (wired-AND of its drivers), a log of transitions.

Level 1 is recessive (battery voltage, bus idle), 0 is dominant.
"""

from array import array


class LevelLog:
    """Transitions (t_us, level) in order; 8 bytes each."""

    def __init__(self):
        self._a = array("q")

    def add(self, t, level):
        self._a.append(t << 1 | level)

    def __len__(self):
        return len(self._a)

    def __getitem__(self, i):
        v = self._a[i]
        return v >> 1, v & 1

    def __iter__(self):
        for v in self._a:
            yield v >> 1, v & 1

    def clear(self):
        self._a = array("q")


class Net:
    """One signal. listeners: functions fn(level), called at each change, at world.now."""

    def __init__(self, world, level=1):
        self.world = world
        self.level = level
        self.changed_us = world.now
        self.listeners = []
        self.log = None

    def record(self):
        """Starts a fresh LevelLog (in .log) and returns it."""
        self.log = LevelLog()
        return self.log

    def set(self, level):
        if level == self.level:
            return
        self.level = level
        self.changed_us = now = self.world.now
        if self.log is not None:
            self.log.add(now, level)
        for fn in self.listeners:
            fn(level)


class Driver:
    """One open-collector output on the wire: set(0) pulls low, set(1) lets go."""

    def __init__(self, wire, name):
        self.wire = wire
        self.name = name
        self.level = 1
        self.log = None

    def record(self):
        self.log = LevelLog()
        return self.log

    def set(self, level):
        if level == self.level:
            return
        self.level = level
        wire = self.wire
        if self.log is not None:
            self.log.add(wire.world.now, level)
        if level:
            wire.pulling -= 1
            if wire.pulling == 0:
                wire.set(1)
        else:
            wire.pulling += 1
            if wire.pulling == 1 and not wire.held_high:
                wire.set(0)


class Wire(Net):
    """The bus: low while any driver pulls."""

    def __init__(self, world):
        super().__init__(world)
        self.pulling = 0
        self.drivers = []
        self.held_high = False  # shorted to the battery: nobody can pull it low
        self._supply = None
        self._receivers = {}

    def driver(self, name):
        d = Driver(self, name)
        self.drivers.append(d)
        return d

    def power(self, on):
        """False: no supply, so no pull-up: the wire lies at 0 V."""
        if self._supply is None:
            self._supply = self.driver("supply")
        self._supply.set(1 if on else 0)

    def receiver(self, fmt):
        """The receiver that all peers with this format share: with no delay between them they see the same bits."""
        from .uart import Fanout

        key = fmt.key
        r = self._receivers.get(key)
        if r is None:
            r = self._receivers[key] = Fanout(self.world, self, fmt)
        return r
