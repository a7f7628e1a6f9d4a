"""Nothing is allocated per byte or frame received, from the UART to the USB stream, nor around a transmission's gate.

The heap is locked, so that an allocation raises MemoryError. The UART, the streams and the interrupts are stand-ins
here, because the model behind the virtual board's own does allocate.
"""

import gc

import micropython
import sim
from rig import board, frame

CHIP = ""  # charging for bytecode allocates, in the model
FRAME = frame(0x68, 0x18, b"\x38\x00\x00")


class FakeUart:
    """Delivers FRAME again and again, one whole frame at a look; takes what is written as its echo."""

    def __init__(self):
        self.waiting = self.at = 0

    def any(self):
        return self.waiting

    def readinto(self, buf, n):
        for i in range(n):
            buf[i] = FRAME[self.at]
            self.at = (self.at + 1) % len(FRAME)
        self.waiting -= n
        return n

    def write(self, buf, n):
        self.waiting += n
        return n


class FakeEdge:
    def trigger(self, mask):
        pass


class FakeTimer:
    def init(self, mode=0, period=0, callback=None):
        pass

    def deinit(self):
        pass


class Nowhere:
    def write(self, buf, n):
        return n


def application():
    """An Application whose receive path is the real one between stand-ins for UART and stdout."""
    sim.World()
    from kline.device.app import Application
    from kline.protocol.link.link import OPEN

    app = Application(board(led=None), stdout=Nowhere())
    uart = FakeUart()
    transport = app.transport
    transport._any = uart.any
    transport._readinto = uart.readinto
    idle = transport.idle
    idle._timer.deinit()
    idle._any = uart.any
    idle._timer = FakeTimer()
    idle._edge = FakeEdge()
    transport.transmitter._rx_pin = recessive
    link = app.link
    link.known = True
    link.outbox.window = 100_000
    link._set_state(OPEN)
    return app, uart


def recessive():
    return 1


def receive(app, uart, frames):
    link = app.link
    for _ in range(frames):
        uart.waiting = len(FRAME)
        app.ibus.access.turn()
        app.ibus.handler.process()
        app.usb._credit_us = 8_700  # the line has drained
        app.usb.pump()
        # The PC acknowledges everything at once.
        link.outbox.acknowledge((link.outbox.base + link.outbox.outstanding) & 0xFF, 0)


def test_receiving_allocates_nothing():
    app, uart = application()
    receive(app, uart, 50)
    gc.collect()
    before = gc.mem_alloc()
    gc.disable()
    micropython.heap_lock()
    try:
        receive(app, uart, 1000)
    finally:
        micropython.heap_unlock()
    after = gc.mem_alloc()
    assert app.ibus.handler.scanner.frames == 1050
    assert app.link.outbox.sent_first >= 1000, app.link.outbox.sent_first
    print("bytes allocated per frame received: %.3f" % ((after - before) / 1000))
    assert after == before


def test_interrupt_handlers_allocate_nothing():
    app, uart = application()
    idle = app.transport.idle
    micropython.heap_lock()
    try:
        for _ in range(100):
            idle._on_edge(None)
            idle._on_timer(idle._timer)
    finally:
        micropython.heap_unlock()


def test_sending_allocates_nothing_between_gate_and_echo():
    application()
    import kline.device.sender as sender_module
    from kline.device.config import KLineConfig
    from kline.device.sender import SENT, Sender
    from kline.protocol.ring import RingBuffer

    sender_module.time_pulse_us = silent
    uart = FakeUart()
    sender = Sender(uart, None, 17, KLineConfig.ibus(), RingBuffer(256))
    buf = bytearray(FRAME)
    micropython.heap_lock()
    try:
        for _ in range(100):
            outcome = sender.attempt(buf, len(FRAME), 1500)
            if outcome != SENT:
                break
    finally:
        micropython.heap_unlock()
    assert outcome == SENT


def silent(pin, level, timeout_us):
    return -2
