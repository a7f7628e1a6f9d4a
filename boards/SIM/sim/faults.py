"""Wiring faults by name, for tests and for people who want to see what `openkline doctor` says: boot.py --fault NAME.

Those of the stage are its own (stage.py); here are those of the wire and of who else sits on it.
"""

from .module import Module, Talker
from .stage import Stage


class OtherTester(Module):
    """A diagnostic tester on the K-line: its keep-alive, again and again (10400 8N1, as ISO 14230 has it)."""

    KEEP_ALIVE = b"\xc1\x33\xf1\x3e\x23"

    def __init__(self, wire, period_us=60_000):
        super().__init__(wire, 0xF1, baud=10400, parity=None, keep=False, polite=False)
        self.period_us = period_us
        self._say(None)

    def _say(self, _):
        self.send_raw(self.KEEP_ALIVE)
        self.world.at(self.world.now + self.period_us, self._say)


def _of_the_stage(w, name):
    stage = w.board.stage
    stage.set_fault(*stage.faults, name)


def _bus_low(w):
    w.wire.driver("short").set(0)


def _bus_high(w):
    w.wire.held_high = True
    w.wire.set(1)


def _no_12v(w):
    """The wire lies at 0 V; the receiving optocoupler's LED hangs between battery and wire, so RX sees nothing."""
    w.wire.power(False)
    _of_the_stage(w, "rx_open")


def _car_10400(w):
    w.talker = Talker(w.wire, 0x80, 0.2, baud=10400, parity=None, keep=False)


def _other_tester(w):
    w.tester = OtherTester(w.wire)


def _car_9600(w):
    w.talker = Talker(w.wire, 0x80, 0.2, keep=False)


_OF_THE_WIRE = {
    "bus_low": _bus_low, "bus_high": _bus_high, "no_12v": _no_12v, "car_10400": _car_10400,
    "other_tester": _other_tester, "car_9600": _car_9600,
}  # fmt: skip
NAMES = sorted(_OF_THE_WIRE) + list(Stage.FAULTS)


def apply(w, name):
    """Breaks something more. Errors: ValueError for a name that is none of NAMES."""
    if name in _OF_THE_WIRE:
        _OF_THE_WIRE[name](w)
    elif name in Stage.FAULTS:
        _of_the_stage(w, name)
    else:
        raise ValueError("fault: one of " + ", ".join(NAMES))
