"""What Python costs on this board: units of the byte code, and functions of the firmware. Runs on the board.

    probe()

prints one line a measurement:  what <tab> microseconds. The board has openkline's modules (it was flashed with them),
and nothing is sent: UART and pins are left alone but for the two calls that a spare GPIO is given for. The model of the
virtual board says the same lines with its own figures: tests/hardware/cost_test.py puts them side by side.
"""

import gc
from time import ticks_diff, ticks_us

TURNS = 500


def empty(n):
    for i in range(n):
        pass


def index(n):
    x = bytearray(1)
    for i in range(n):
        x[0]


class Holder:
    def __init__(self):
        self.value = 1


def attribute(n):
    holder = Holder()
    for i in range(n):
        holder.value


def operation(n):
    a = 1
    for i in range(n):
        b = a + i  # noqa: F841


def nothing():
    return None


def call(n):
    for i in range(n):
        nothing()


def builtin(n):
    text = b""
    for i in range(n):
        len(text)


def us(fn, *args):
    """Tenths of a microsecond for one call: the shortest of five."""
    best = 1 << 29
    for _ in range(5):
        begun = ticks_us()
        fn(*args)
        best = min(best, ticks_diff(ticks_us(), begun))
    return best


def say(what, value):
    print("%s\t%.1f" % (what, value))


def units():
    turn = us(empty, TURNS) / TURNS
    say("a turn of a loop", turn)
    for what, fn in (
        ("an index", index),
        ("an attribute", attribute),
        ("an operation between locals", operation),
        ("a call of a Python function", call),
        ("a call of a C function", builtin),
    ):
        say(what, us(fn, TURNS) / TURNS - turn)


def frame(n):
    """A whole frame of n bytes."""
    made = bytearray(n)
    made[0], made[1], made[2] = 0x68, n - 2, 0x18
    for i in range(3, n - 1):
        made[i] = i
    made[n - 1] = 0
    x = 0
    for byte in made:
        x ^= byte
    made[n - 1] = x
    return made


def received(n):
    from kline.protocol.ibus.frames import IbusScanner
    from kline.protocol.ring import RingBuffer

    ring = RingBuffer(512)
    scanner = IbusScanner(ring)
    data = frame(n)
    say("RingBuffer.write, %d bytes" % n, us(ring.write, data))
    ring.clear()
    ring.write(data)
    begun = ticks_us()
    scanner.scan(begun)
    say("IbusScanner.scan, a frame of %d bytes" % n, ticks_diff(ticks_us(), begun))
    out = bytearray(n)
    say("RingBuffer.copy_to, %d bytes" % n, us(ring.copy_to, out, n))


def encoded(n):
    from kline.protocol.checksum import crc16
    from kline.protocol.link import framing, records
    from kline.protocol.link.record_ring import RecordRing

    data = frame(n)
    out = bytearray(300)
    say("pack_frame, %d bytes" % n, us(records.pack_frame, out, 5, 0, data, n))
    ring = RecordRing(2048)
    say("RecordRing.push, %d bytes" % n, us(ring.push, records.FRAME, 0, out, 0, n + 5))
    say("RecordRing.load, %d bytes" % n, us(ring.load, 0, out))
    say("crc16, %d bytes" % n, us(crc16, data, 0, n))
    say("framing.finish, %d bytes" % n, us(framing.finish, out, framing.PAYLOAD_AT + n + 5))


def linked(n):
    """A link whose session is open, without a stream."""
    from kline.protocol.link import framing, records
    from kline.protocol.link.device_end import DeviceLink
    from kline.protocol.link.link import OPEN

    link = DeviceLink()
    link.known, link.state = True, OPEN
    link.outbox.window = 192
    link._greet_due = False
    link._heard_us = link._pumped_us = link._beat_us = now_us = ticks_us()
    out = bytearray(300)
    say("Link.pump, nothing due", us(link.pump, now_us, write, 100))
    for i in range(n):
        out[i] = i
    say("Link.queue, %d bytes" % n, us(link.queue, records.FRAME, 0, out, n, 96))
    begun = ticks_us()
    link.pump(now_us, write, 30)
    say("Link.pump, a record of %d bytes" % n, ticks_diff(ticks_us(), begun))
    wire = bytearray(300)
    size = framing.encode_record(wire, records.TRANSMIT, 0, 0, 0, out, 0, n)
    begun = ticks_us()
    link.feed(wire, size, now_us)
    say("Link.feed, a record of %d bytes" % n, ticks_diff(ticks_us(), begun))


def write(buf, n):
    return n


def hardware(spare):
    from machine import Pin

    pin = Pin(spare, Pin.IN)
    edge = pin.irq(nothing_at, Pin.IRQ_FALLING)
    say("irq.trigger", us(edge.trigger, Pin.IRQ_FALLING))
    pin.irq(None)
    say("Pin(..)", us(Pin, spare, Pin.IN))
    say("ticks_us", us(ticks_us))
    say("gc.collect, %d KB used" % (gc.mem_alloc() // 1024), us(gc.collect))


def nothing_at(pin):
    pass


def probe(spare=4):
    """spare: a free GPIO."""
    gc.collect()
    units()
    for n in (5, 40):
        received(n)
        encoded(n)
        linked(n)
    hardware(spare)
    print("done\t0")
