"""While an initialisation makes its edges there is no garbage collection: what is allocated meanwhile has a bound.

Pin, UART and clock are stand-ins here, because the model behind the virtual board's own does allocate. Counted are
bytes of this 64-bit port; those of an ESP32 are about half. Each gc.collect() between two edges begins anew.
"""

import gc

import sim

MOST = 2048  # bytes between two collections; the smallest board has 100 KB free
TURNS = 400  # of the application, 5 ms each: as long as an address takes


class Clock:
    def __init__(self):
        self.now = 1000

    def ticks_us(self):
        self.now += 2
        return self.now

    def sleep_us(self, us):
        self.now += us


class FakePin:
    OUT = 1
    level = 1

    def __init__(self, number, mode=-1, value=1):
        FakePin.level = value

    def __call__(self, *value):
        if value:
            FakePin.level = value[0]
        return FakePin.level


class FakeUart:
    def init(self, baudrate, tx):
        FakePin.level = 1

    def write(self, data):
        return 1


class FakeTransport:
    last_byte_us = 0

    def __init__(self, config):
        self.config = config
        self.pin = FakePin(1)

    def serial(self):
        return FakeUart()

    def rx_pin(self):
        return self.pin

    def tx_pin(self):
        return 17

    def drain_uart(self):
        return 0

    def flush_rx(self):
        pass


class Watch:
    """Takes gc's place in the line's module. most: bytes between two collections while it was off."""

    def __init__(self):
        self.most = self.stretches = 0
        self._on = True
        self._before = 0

    def isenabled(self):
        return self._on

    def disable(self):
        self._on = False
        gc.disable()
        self._before = gc.mem_alloc()

    def collect(self):
        self._count()
        gc.collect()
        self._before = gc.mem_alloc()

    def enable(self):
        self._count()
        self._on = True
        gc.enable()

    def _count(self):
        if not self._on:
            self.stretches += 1
            self.most = max(self.most, gc.mem_alloc() - self._before)


def line():
    sim.World()
    from kline.device.config import KLineConfig
    from kline.device.obd import line as obd_line

    clock, watch = Clock(), Watch()
    obd_line.ticks_us, obd_line.sleep_us = clock.ticks_us, clock.sleep_us
    obd_line.Pin, obd_line.gc = FakePin, watch
    obd_line.disable_irq = obd_line.enable_irq = lambda *state: True
    config = KLineConfig.obd2(tx_invert=False, rx_invert=False)
    return obd_line.ObdLine(FakeTransport(config)), watch


def test_making_edges_allocates_little():
    from kline.device.obd.line import drain

    cases = (("address_steps", (0x33,), 7), ("address_steps", (0x55,), 11), ("pulse_steps", (), 1))
    for name, args, stretches in cases:
        obd, watch = line()
        for _ in range(2):  # the first time interns names
            watch.most = watch.stretches = 0
            gc.collect()
            drain(getattr(obd, name)(*args))
        print("%s: at most %d bytes between two collections" % (name, watch.most))
        assert watch.stretches == stretches and watch.most < MOST, (name, watch.stretches, watch.most)
        assert gc.isenabled()


def test_the_applications_turns_meanwhile_allocate_little():
    """The link goes on during an initialisation: a turn of the application in OBD mode."""
    from mpy_alloc import application

    app, _ = application()
    from kline.device.obd.service import ObdService

    app.obd = ObdService(app.transport, app.link, app._out)
    app.obd._steps = forever()

    class NoPoll:
        def ipoll(self, timeout_ms):
            return ()

    app._poll = NoPoll()
    app.usb.read = lambda most: 0  # the model's stdin allocates
    from kline.device import app as module
    from kline.device.obd import service

    clock = Clock()
    module.ticks_ms = service.ticks_ms = lambda: clock.ticks_us() // 1000
    module.sleep_us = clock.sleep_us
    for turns in (TURNS, TURNS):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        for _ in range(turns):
            app.turn()
        allocated = gc.mem_alloc() - before
        gc.enable()
    print("%d turns: %d bytes" % (TURNS, allocated))
    assert allocated < 4 * MOST, allocated


def forever():
    while True:
        yield 10_000
