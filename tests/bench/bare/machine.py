"""Stands in for `machine` while the heap is measured: on a board these objects live outside of MicroPython's heap."""


class _Part:
    IN = OUT = PULL_UP = PULL_DOWN = IRQ_FALLING = IRQ_RISING = DRIVE_0 = DRIVE_2 = 0
    INV_TX = INV_RX = IRQ_RX = PERIODIC = ONE_SHOT = ATTN_11DB = 0

    def __init__(self, *_, **__):
        pass

    def __call__(self, *_):
        return 1

    def init(self, *_, **__):
        pass

    deinit = init

    def irq(self, *_, **__):
        return self

    def trigger(self, *_):
        return 0

    value = any = trigger

    def readinto(self, *_):
        return None

    def write(self, data):
        return len(data)

    def txdone(self):
        return True


ADC = Pin = Timer = UART = _Part


def unique_id():
    return b"\x24\x0a\xc4\x00\x00\x01"


def time_pulse_us(*_):
    return -2


def disable_irq():
    return 0


enable_irq = reset = reset_cause = disable_irq
