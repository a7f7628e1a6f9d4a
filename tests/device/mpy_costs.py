"""What the firmware's functions cost in the model, beside what was measured with the real port on an emulated chip.

The table of calls fitted the units in boards/SIM/sim/costs.py; the other tests here are predictions. Measured figures:
docs/virtual-board.md, "What Python costs".
"""

from time import ticks_ms, ticks_us

import sim
from old_order import OldOrder, run
from rig import Rig, frame
from sim.flash import Flash

from kline.device import counters
from kline.protocol.link import records

CHIP = "160"
TIMEOUT = 120
FULL_CREDIT_US = 8700
SIZES = (5, 20, 32, 40)


class Table:
    """Rows of model, measured, ratio. `within`: share by which the worst may be off."""

    def __init__(self, within):
        self.within = within
        self.off = []
        print("%-44s %8s %8s  ratio" % ("us", "model", "measured"))

    def row(self, name, model, measured, same=True):
        """measured: a number, or (from, to); same: what was measured is what runs today."""
        low, high = measured if isinstance(measured, tuple) else (measured, measured)
        near = min(max(model, low), high)
        print("%-44s %8d %8s  %.2f" % (name, model, low if low == high else "%d-%d" % (low, high), model / near))
        if same and not 1 - self.within <= model / near <= 1 + self.within:
            self.off.append(name)

    def check(self):
        assert not self.off, "more than %d %% off: %s" % (self.within * 100, ", ".join(self.off))


class Bench:
    """A rig with an open link, and a meter for single calls."""

    def __init__(self, application=None):
        self.rig = Rig(application=application)
        self.world = self.rig.world
        self.app = self.rig.app
        self.transport = self.app.transport
        self.rig.turn_for(6)  # HELLO and the first counters are over
        self.rig.configure(records.CONFIG_RATE_PER_MINUTE, 0)
        self.rig.turn_for(1.5)
        self.app._counted_ms = self.app._collected_ms = ticks_ms()

    def us(self, fn, *args):
        """Model time of one call, with what it calls of the hardware."""
        charger = self.world.charger
        charger.settle()
        begun = self.world.now
        fn(*args)
        charger.settle()
        return self.world.now - begun

    def receive(self, data):
        """These bytes are in the UART."""
        uart = self.transport.serial()._u
        for byte in data:
            uart.rx_data[(uart.rx_head + uart.rx_count) & 4095] = byte
            uart.rx_count += 1

    def in_use(self):
        """A byte has just come."""
        self.transport.idle.byte_came(ticks_us())

    def received(self, n):
        """us of drain_uart, scan, process with the scan in it, pump for a frame of n bytes"""
        self.in_use()
        self.receive(foreign(n))
        drained = self.us(self.transport.drain_uart)
        scanner = self.app.ibus.handler.scanner
        scanned = self.us(scanner.scan, scanner._grown_us)
        scanner.reset()  # it is to look again
        processed = self.us(self.app.ibus.handler.process)
        self.app.usb._credit_us = FULL_CREDIT_US
        self.app.link._beat_due = False
        pumped = self.us(self.app.usb.pump)
        self.rig.turn_for(0.3)
        return drained, scanned, processed, pumped

    def from_pc(self, n):
        """Bytes on the stream of a TRANSMIT with a body of n bytes, the PC's next record."""
        out = []
        self.rig.host.link = None
        self.rig.transmit(1, foreign(n + 1)[:-1])
        self.rig.pc.pump(self.rig.host.ticks(), lambda buf, k: out.append(bytes(memoryview(buf)[:k])) or k, 4096)
        return b"".join(out)


def foreign(n):
    return frame(0x68, 0x18, bytes(range(1, n - 3)))


def straight(name, table, found, base, slope, same=True):
    """Both ends of a line base + slope n."""
    for n in (SIZES[0], SIZES[-1]):
        table.row("%s, %d bytes" % (name, n), found[SIZES.index(n)], base + slope * n, same)


def test_the_table_of_calls():
    bench = Bench()
    table = Table(0.25)
    app, transport = bench.app, bench.transport
    found = [bench.received(n) for n in SIZES]
    table.row("drain_uart, nothing", bench.us(transport.drain_uart), 35)
    straight("drain_uart", table, [f[0] for f in found], 379, 15.7)
    straight("scan, a whole frame", table, [f[1] for f in found], 300, 13.7, same=False)
    straight("process", table, [f[2] for f in found], 1540, 64, same=False)
    straight("pump, one FRAME", table, [f[3] for f in found], 1789, 50)
    for n in (SIZES[0], SIZES[-1]):
        packed = bench.us(records.pack_frame, app._out, 5, 0, foreign(n), n)
        table.row("pack_frame, %d bytes" % n, packed, 105 + 10.7 * n)
        queued = bench.us(app.link.queue, records.FRAME, 0, app._out, n, 96)
        table.row("link.queue, %d bytes" % n, queued, 298 + 15 * n)
    bench.rig.turn_for(0.3)
    table.row("pump, nothing due", bench.us(app.usb.pump), 433)
    table.row("read, nothing", bench.us(app.usb.read), 78, same=False)
    table.row("Transmitter.run, nothing", bench.us(run, transport), 250)
    incomplete(bench, table)
    from_the_pc(bench, table)
    transmitting(bench, table)
    table.check()


def incomplete(bench, table):
    scanner = bench.app.ibus.handler.scanner
    bench.receive(foreign(10)[:4])
    bench.transport.drain_uart()
    table.row("scan, incomplete", bench.us(scanner.scan, scanner._grown_us), (185, 225))
    bench.transport.rx_ring.clear()
    scanner.reset()
    bench.receive(bytes(20))
    bench.transport.drain_uart()
    table.row("scan, junk, a dropped byte", bench.us(scanner.scan, scanner._grown_us) // 20, 163)
    bench.transport.rx_ring.clear()
    scanner.reset()
    app = bench.app
    app.link._ack_due = True
    app.usb._credit_us = FULL_CREDIT_US
    table.row("pump, a bare acknowledgement", bench.us(app.usb.pump), 1162)


def from_the_pc(bench, table):
    link = bench.app.link
    for n in (4, 31):
        data = bench.from_pc(n)
        bench.rig.host.attach(bench.rig.pc)
        table.row("feed, TRANSMIT, %d bytes" % n, bench.us(link.feed, data, len(data), link._now_us), 2308 + 81 * n)
    bench.rig.turn_for(1)
    data = bench.from_pc(31)
    usb = bench.world.usb
    for byte in data:
        usb.ring[(usb.head + usb.count) & 511] = byte
        usb.count += 1
    fed = 2308 + 81 * 31
    table.row("read, %d bytes, and feed" % len(data), bench.us(bench.app.usb.read), 292 + 72 * len(data) + fed)
    bench.rig.host.attach(bench.rig.pc)
    bench.rig.turn_for(1)


def transmitting(bench, table):
    transport = bench.transport
    log = bench.world.board.stage.driver.record()
    message_waits(bench)
    table.row("Transmitter.run, waiting", bench.us(run, transport), (283, 375))
    transport.rx_ring.clear()  # so the bus is between two bursts
    bench.world.charger.settle()
    begun, before = bench.world.now, len(log)
    run(transport)
    gate = log[before][0] - begun - transport.config.idle_timeout_us
    table.row("Transmitter.run, to the gate and the start bit", gate, 741 + 70)


def message_waits(bench):
    """A message is loaded, and a foreign frame is under way."""
    transport = bench.transport
    transport.write(foreign(5)[:-1])
    bench.receive(foreign(10)[:4])
    transport.drain_uart()
    bench.in_use()
    assert not run(transport)
    bench.in_use()


def test_turns():
    bench = Bench(OldOrder)
    table = Table(0.25)
    app = bench.app
    app.transport._poll = None
    polled = app._poll

    class Ready:
        def ipoll(self, _):
            return ()

    app._poll = Ready()
    table.row("a turn in which nothing waits, without its poll", bench.us(app.turn), 1300, same=False)
    app._poll = polled
    message_waits(bench)
    table.row("a turn in which a message waits", bench.us(app.turn) - 100, 1505)
    table.check()


def test_predicted_a_frame_and_counters():
    """Not fitted: sums of what was."""
    bench = Bench()
    table = Table(0.25)
    for n, measured in ((5, 1540 + 64 * 5 + 1789 + 50 * 5), (32, 6800), (40, 1540 + 64 * 40 + 1789 + 50 * 40)):
        _, _, processed, pumped = bench.received(n)
        table.row("process + pump, a frame of %d bytes" % n, processed + pumped, measured)
    app = bench.app
    counted = bench.us(app._count)
    app.usb._credit_us = FULL_CREDIT_US
    # Without the wait for the FIFO: it is longer than that.
    before = bench.world.charger.total_us
    app.usb.pump()
    pumped = bench.world.charger.total_us - before
    print(
        "COUNTERS: made and queued in %d us (%d counters), encoded in %d"
        % (counted, len(counters.values_of(app)), pumped)
    )
    table.row("COUNTERS, its longest piece", max(counted, pumped), 9500)
    table.check()


def test_reading_the_flash_takes_its_time():
    world = sim.World()
    flash = Flash(blocks=16)
    flash.power_on()
    with open("file", "wb") as file:
        file.write(bytes(300))
    flash.world, flash.read_us = world, 310
    begun, before = world.now, flash.reads
    with open("file", "rb") as file:
        assert len(file.read()) == 300
    took_us, reads = world.now - begun, flash.reads - before
    assert reads >= 300 // 64
    assert reads * 310 <= took_us <= reads * (310 + 2 * world.cost["misc"])


def test_a_loop_of_less_than_no_turn_gives_nothing_back():
    from sim import bytecode

    for charge in (bytecode.charge, bytecode._charge_slowly):
        owed = bytecode._meter[0]
        charge(-470)
        assert bytecode._meter[0] == owed
        charge(47)
        assert bytecode._meter[0] == owed + 47
