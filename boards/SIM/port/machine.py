"""machine of the ESP32 port on the model. What it asserts about the port, with sources: docs/virtual-board.md."""

from sim import portpin, porttimer, portuart
from sim.portpin import Pin, time_pulse_us
from sim.porttimer import WDT, Timer
from sim.portuart import UART

__all__ = (
    "ADC",
    "UART",
    "WDT",
    "Pin",
    "Timer",
    "disable_irq",
    "enable_irq",
    "freq",
    "idle",
    "reset",
    "reset_cause",
    "soft_reset",
    "time_pulse_us",
    "unique_id",
)

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
RESET_STATUS = 75  # exit status of the process: "restart me"
SOFT_RESET_STATUS = 76

_w = None


def _bind(world):
    global _w
    _w = world
    portpin._w = portuart._w = porttimer._w = world


def _end(status):
    w = _w
    w.busy = True
    if w.in_callback:
        w.interrupt(SystemExit(status))
    raise SystemExit(status)


class ADC:
    """Reads the same on every pin: world.adc_uv."""

    ATTN_11DB = 3

    def __init__(self, pin, *, atten=0):
        if not isinstance(pin, Pin):
            raise ValueError("invalid pin")

    def read_uv(self):
        w = _w
        w.enter("misc")
        found = w.adc_uv
        w.leave()
        return found


def reset():
    _end(RESET_STATUS)


def soft_reset():
    _end(SOFT_RESET_STATUS)


def reset_cause():
    return _w.reset_cause


def unique_id():
    w = _w
    w.enter("misc")
    uid = b"\x02SIM" + bytes((w.seed >> 8 & 255, w.seed & 255))
    w.leave()
    return uid


def freq(*args):
    if args and args[0] not in (20_000_000, 40_000_000, 80_000_000, 160_000_000, 240_000_000):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    return None if args else 160_000_000


def disable_irq():
    w = _w
    w.enter("misc")
    was = w.mask_interrupts(True)
    w.leave()
    return not was


def enable_irq(state=True):
    w = _w
    w.enter("misc")
    w.mask_interrupts(not state)
    w.leave()


def idle():
    w = _w
    w.enter("misc")
    w.serve()
    w.leave()
