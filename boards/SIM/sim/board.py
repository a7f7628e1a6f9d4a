"""The board: its pads, the stage on the wire, its UARTs."""

from .hwuart import HwUart
from .pads import Pad
from .stage import Stage

DEFAULTS = {"board": "SIM", "rx": 16, "tx": 17, "led": 2, "uart": 1, "tx_invert": True, "rx_invert": False, "spare": 4}
# Pins by the chip of the board whose settings are on the flash: how many, which do not exist, which go to the flash
# chip, from which on there are only inputs (ESP-IDF Programming Guide, "GPIO Summary" of each chip; the same table on
# the PC: host/openkline/boards/chips.py).
_ESP32 = (40, (20, 24, 28, 29, 30, 31), range(6, 12), 34)
_CHIPS = {
    "ESP32_GENERIC_S3": (49, (22, 23, 24, 25), range(26, 33), 49),
    "ESP32_GENERIC_C3": (22, (), range(11, 18), 22),
}


class Board:
    """config: board.json's fields. pads and UARTs are made when they are first used."""

    def __init__(self, world, config, pin_in_cuts_rx=True):
        self.world = world
        self.config = dict(DEFAULTS)
        self.config.update(config)
        self.pin_in_cuts_rx = pin_in_cuts_rx
        self.pads = {}
        self.uarts = {}
        c = self.config
        self.chip = _CHIPS.get(c["board"], _ESP32)
        self.stage = Stage(
            world,
            self.pad(c["tx"]),
            self.pad(c["rx"]),
            c["tx_invert"],
            c["rx_invert"],
            c.get("tx_delay_us", 0),
            c.get("rx_delay_us", 0),
        )

    def pad(self, number):
        """Errors: ValueError as the port's for a pin that the chip hasn't got."""
        p = self.pads.get(number)
        if p is None:
            count, absent, flash, _ = self.chip
            if not isinstance(number, int) or not 0 <= number < count or number in absent:
                raise ValueError("invalid pin")
            if number in flash:
                raise ValueError("virtual board: pin %d is wired to the flash chip; a board would crash" % number)
            p = self.pads[number] = Pad(self, number)
        return p

    def uart(self, number):
        u = self.uarts.get(number)
        if u is None:
            u = self.uarts[number] = HwUart(self, number)
        return u
