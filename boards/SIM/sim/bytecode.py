"""What the firmware's bytecode costs, charged while it runs.

Tests run a copy of the firmware in which each run of statements begins with charge(tenths of a microsecond at 160 MHz),
made by tests/charging. Charges add up here; model time passes with the next call of the hardware, or at once when an
event of the model comes before that: a byte, an edge, a timer. So callbacks run where they would on the chip.

Code that runs inside the model (`world.busy`: the PC's end of the link in a test) is charged to nobody.
"""

from array import array

import micropython

from .costs import CHIP_CALLS, CHIPS

# Owed tenths of a microsecond, and from how many on settle() is called.
_meter = array("i", (0, 1 << 30))
_NEVER = 1 << 30
_charger = None

_SOURCE = """
@micropython.viper
def charge(tenths: int):
    if tenths < 0:  # for i in range(n), n below 0: no turn
        tenths = 0
    meter = ptr32(_meter)
    owed = int(meter[0]) + tenths
    meter[0] = owed
    if owed >= int(meter[1]):
        _settle()
"""


def _settle():
    if _charger is not None:
        _charger.settle()


def _charge_slowly(tenths):
    owed = _meter[0] + max(tenths, 0)
    _meter[0] = owed
    if owed >= _meter[1]:
        _settle()


try:
    _names = {"micropython": micropython, "_meter": _meter, "_settle": _settle}
    exec(_SOURCE, _names)
    charge = _names["charge"]
except Exception:  # a MicroPython without native code for this processor
    charge = _charge_slowly


class Charger:
    """Makes a World charge for bytecode. chip: a key of costs.CHIPS.

    total_us  model time that bytecode has taken so far
    """

    def __init__(self, world, chip):
        global _charger
        self.world = world
        self.factor = CHIPS[chip]
        world.cost.update({name: self.scaled(us) for name, us in CHIP_CALLS.items()})
        self._rest = 0.0
        self.total_us = 0
        self._busy_total = 0
        _meter[0] = 0
        _charger = self
        self.look_ahead()

    def scaled(self, us):
        return int(us * self.factor + 0.5)

    def owed_us(self):
        """What has been charged since the last time, and is forgotten with that."""
        tenths = _meter[0]
        if tenths <= 0:
            return 0
        _meter[0] = 0
        us = tenths * self.factor / 10 + self._rest
        whole = int(us)
        self._rest = us - whole
        self.total_us += whole
        return whole

    def look_ahead(self):
        """From which charge on an event of the model is due; what the model itself called is forgotten."""
        _meter[0] = 0
        w = self.world
        tenths = (w.next_event() - w.now) * 10 / self.factor
        _meter[1] = int(tenths) + 1 if tenths < _NEVER else _NEVER

    def settle(self):
        w = self.world
        if w.busy:
            return
        w.busy = True
        w.run_until(w.now + self.owed_us())
        self.look_ahead()
        w.leave()


def stop():
    """No world charges."""
    global _charger
    _charger = None
    _meter[0] = 0
    _meter[1] = _NEVER
