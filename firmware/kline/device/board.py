"""Which pins the interface hangs on: read from `board.json` in the root of the board's file system.

`board.json` is written when the board is flashed, from `boards/<NAME>/board.toml`:

    {"board": "ESP32_GENERIC", "uart": 1, "rx": 16, "tx": 17, "spare": 4, "led": 2, "tx_invert": true}
"""

import json

from machine import ADC, Pin

_READINGS = 16
_MODES = ("ibus", "obd")  # in the order of records.MODE_..


class Board:
    """Pins and inversion of one board.

    name       folder name under boards/
    uart       UART number
    rx, tx     GPIO numbers
    spare      a free GPIO that TX is parked on while the UART is set up (see transport.py); None = do without
    led        activity LED; None = none
    led_on     level that lights it
    tx_invert  the stage inverts TX: True for an optocoupler, False for a transistor
    rx_invert  RX idles low
    mode       what the application does after its start: "ibus" or "obd"; an attribute of records.MODE_..
    vin_pin    GPIO with an ADC that sees the supply voltage through a divider; None = none
    vin_ratio  supply voltage by voltage at that pin: 5.7 for 47 kohm above 10 kohm
    password   32-bit number that an update over the gateway needs; None = no such updates
    """

    def __init__(
        self,
        rx,
        tx,
        name="custom",
        uart=1,
        spare=None,
        led=None,
        led_on=1,
        tx_invert=True,
        rx_invert=False,
        mode="ibus",
        password=None,
        vin_pin=None,
        vin_ratio=5.7,
    ):
        self.name = name
        self.uart = uart
        self.rx = _pin("rx", rx)
        self.tx = _pin("tx", tx)
        self.spare = None if spare is None else _pin("spare", spare)
        self.led = None if led is None else _pin("led", led)
        self.led_on = led_on
        self.tx_invert = bool(tx_invert)
        self.rx_invert = bool(rx_invert)
        if mode not in _MODES:
            raise ValueError("mode: %r is not one of %s" % (mode, ", ".join(_MODES)))
        self.mode = _MODES.index(mode)
        if password is not None and (not isinstance(password, int) or not 0 <= password >> 16 <= 0xFFFF):
            raise ValueError("password: expected a number of 32 bits")  # which one it is stays untold
        self.password = password
        self.vin_pin = None if vin_pin is None else _pin("vin_pin", vin_pin)
        if isinstance(vin_ratio, bool) or not isinstance(vin_ratio, (int, float)) or not 1 <= vin_ratio <= 20:
            raise ValueError("vin_ratio: %r is not a number from 1 to 20" % (vin_ratio,))
        self.vin_ratio = vin_ratio
        if self.rx == self.tx:
            raise ValueError("rx and tx: both are GPIO %d" % self.rx)


def supply_mv(board):
    """The supply voltage, mean of some readings; None: the board measures none."""
    if board.vin_pin is None:
        return None
    adc = ADC(Pin(board.vin_pin), atten=ADC.ATTN_11DB)
    total_uv = 0
    for _ in range(_READINGS):
        total_uv += adc.read_uv()
    return int(total_uv // _READINGS * board.vin_ratio) // 1000


class ActivityLed:
    """The board's LED; without one, on() and off() do nothing."""

    def __init__(self, board):
        self._pin = None if board.led is None else Pin(board.led, Pin.OUT, value=not board.led_on)
        self._on = board.led_on

    def on(self):
        if self._pin:
            self._pin(self._on)

    def off(self):
        if self._pin:
            self._pin(not self._on)


def _pin(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 48:
        raise ValueError("%s: %r is not a GPIO number from 0 to 48" % (name, value))
    return value


def load(path="board.json"):
    """The Board described by the JSON file at `path`.

    Raises OSError when there is no such file and ValueError when it says something wrong, naming file and field.
    """
    try:
        with open(path) as file:
            fields = json.load(file)
    except OSError:
        raise OSError("%s is missing: flash the board with openkline, or pass Board(rx=.., tx=..)" % path)
    except ValueError:
        raise ValueError("%s is not JSON" % path)
    if not isinstance(fields, dict):
        raise ValueError("%s: expected an object with rx and tx" % path)
    fields["name"] = fields.pop("board", "custom")
    known = (
        "name", "uart", "rx", "tx", "spare", "led", "led_on", "tx_invert", "rx_invert", "mode", "password", "vin_pin",
        "vin_ratio",
    )  # fmt: skip
    try:
        return Board(**{name: fields[name] for name in known if name in fields})
    except (TypeError, ValueError) as error:
        raise ValueError("%s: %s" % (path, error))
