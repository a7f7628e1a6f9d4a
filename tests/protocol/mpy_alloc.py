"""Nothing allocates in the receive path nor in the link, on MicroPython.

heap_lock() makes an allocation raise MemoryError, so what runs under it needs none. mem_alloc() before and after says
that nothing is kept. (The VM itself takes frames of more than 11 words from the heap and returns them at the end of the
function, where it can; with the heap locked they go to the C stack. That is neither garbage nor a reason to collect.
Here all steps are methods: calling a closure of more than five cells and arguments does need the heap.)
"""

import gc

import micropython

from kline.protocol.ibus.frames import IbusScanner, encode
from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.framing import Deframer, encode_record
from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import LOST, OPEN
from kline.protocol.ring import RingBuffer

ROUNDS = 200


def run_locked(step):
    """step(i) ROUNDS times: without the heap, and once more counting what is kept."""
    for i in range(8):
        step(i)  # attributes get their places, counters their first values
    micropython.heap_lock()
    try:
        for i in range(ROUNDS):
            step(i)
    finally:
        micropython.heap_unlock()
    gc.collect()
    gc.disable()
    try:
        before = gc.mem_alloc()
        for i in range(ROUNDS):
            step(i)
        kept = gc.mem_alloc() - before
    finally:
        gc.enable()
    # 0 per frame; what the measuring itself costs must not depend on ROUNDS.
    assert kept < 64, f"{kept} bytes in {ROUNDS} rounds"


def test_the_measure_works():
    def allocates(i):
        return bytearray(40)

    try:
        run_locked(allocates)
    except MemoryError:
        return
    raise AssertionError("heap_lock() let an allocation pass")


class PlainRing:
    """A ring without the fast path, as a transport that only delegates would be."""

    def __init__(self, ring):
        self.available = ring.available
        self.peek = ring.peek
        self.remove = ring.remove


class Reception:
    def __init__(self, plain):
        self.ring = RingBuffer(128)
        self.scanner = IbusScanner(PlainRing(self.ring) if plain else self.ring)
        self.frame = encode(0x80, 0xBF, bytes(range(20)))
        self.half = self.frame[:9]
        self.noise = b"\xff\x00\x68\x3e\x01\x05\x05\x80\x02"
        self.out = bytearray(64)

    def scan(self, now_us):
        n = self.scanner.scan(now_us)
        while n:
            self.ring.copy_to(self.out, n)
            self.scanner.take()
            n = self.scanner.scan(now_us)

    def step(self, i):
        now_us = 1_073_000_000 + i * 1_000
        ring = self.ring
        for k in range(len(self.frame)):
            ring.put(self.frame[k])
            self.scan(now_us)
        ring.write(self.noise)
        self.scan(now_us)
        ring.write(self.frame, 24)
        ring.write(self.half)
        # The stall: the noise's claims fail, the frame comes out, the half one goes.
        self.scan(now_us)
        self.scan((now_us + 100_000) & 0x3FFFFFFF)
        ring.read()
        ring.peek(3)
        ring.clear()

    def check(self):
        run_locked(self.step)
        s = self.scanner
        assert s.frames == 2 * (8 + 2 * ROUNDS)
        assert s.dropped_bytes == s.bad_checksum + s.bad_length + s.too_long + s.stalled > 0


def test_ring_and_scanner():
    Reception(False).check()


def test_scanner_on_any_ring():
    Reception(True).check()


class Framing:
    def __init__(self):
        self.out = bytearray(64)
        self.wire = bytearray(400)
        self.frame = encode(0x80, 0xBF, bytes(20))
        self.values = [1073741823] * 12
        self.text = b"Traceback (most recent call last):\r\n\x00"
        self.deframer = Deframer(300)
        self.deframer.on_frame = self.on_frame
        self.deframer.on_text = self.on_text
        self.frames = 0
        self.texts = 0

    def on_frame(self, buf, start, end):
        self.frames += 1

    def on_text(self, buf, n):
        self.texts += 1

    def step(self, i):
        out = self.out
        wire = self.wire
        n = records.pack_frame(out, 1073741823, 1, self.frame, len(self.frame))
        n = encode_record(wire, records.FRAME, 0, i & 255, 7, out, 0, n)
        self.deframer.feed(wire, n)
        wire[5] ^= 1
        self.deframer.feed(wire, n)
        self.deframer.feed(self.text, len(self.text))
        records.pack_result(out, 7, 1, 2, 3, 1073741823, 1073741823)
        records.pack_event(out, 1, 1073741823, 5)
        records.pack_counters(out, 1073741823, self.values)
        records.pack_configured(out, 1, True, 60)


def test_packing_and_framing():
    framing = Framing()
    run_locked(framing.step)
    assert framing.frames == framing.texts == framing.deframer.bad == 8 + 2 * ROUNDS


class Session:
    """Traffic both ways with losses, text, NAKs and repetitions, over the wrap of the ticks."""

    def __init__(self):
        self.device = DeviceLink()
        self.pc = HostLink()
        self.pc.open(0x11223344)
        self.pc.on_record = self.at_pc
        self.device.on_record = self.at_device
        self.to_pc_ = self.to_pc
        self.to_device_ = self.to_device
        self.nowhere_ = self.nowhere
        self.payload = bytearray(46)
        self.turn = 0
        self.pc_got = 0
        self.device_got = 0

    def now(self):
        return (1_073_000_000 + self.turn * 10_000) & 0x3FFFFFFF

    def to_pc(self, buf, n):
        if self.turn % 11 == 3:
            buf[n // 2] ^= 0x10
        self.pc.feed(buf, n, self.now())

    def to_device(self, buf, n):
        if self.turn % 13 != 5:
            self.device.feed(buf, n, self.now())

    def nowhere(self, buf, n):
        pass

    def at_pc(self, kind, channel, buf, start, end):
        self.pc_got += 1

    def at_device(self, kind, channel, buf, start, end):
        self.device_got += 1

    def step(self, i):
        self.turn += 1
        turn = self.turn
        self.device.queue(records.FRAME, 0, self.payload, 5 + turn % 41)
        self.device.queue(records.FRAME, 0, self.payload, 46)
        self.pc.queue(records.TRANSMIT, 0, self.payload, 12)
        if turn % 20 == 0:
            self.device.send_now(records.LOG, 0, b"\x01hello", 6)
            self.pc.feed(b"MPY: soft reboot\r\n", 18, self.now())
        self.device.pump(self.now(), self.to_pc_, 115)
        self.pc.pump(self.now(), self.to_device_, 4096)

    def silent_step(self, i):
        self.turn += 1
        self.device.queue(records.FRAME, 0, self.payload, 40)
        self.device.pump(self.now(), self.nowhere_, 115)

    def reopening_step(self, i):
        """The device hears a HELLO of the session it has, and now and then of another."""
        self.turn += 1
        if self.turn % 40 == 0:
            self.pc._reset(False)
            self.pc.handshake.another()
        self.pc._start_opening()
        self.pc.pump(self.now(), self.to_device_, 4096)
        self.device.pump(self.now(), self.to_pc_, 115)


def test_link():
    session = Session()
    run_locked(session.step)
    device, pc = session.device, session.pc
    assert device.state == pc.state == OPEN
    assert session.pc_got > ROUNDS and session.device_got > ROUNDS
    assert device.outbox.sent_again and pc.outbox.sent_again and pc.deframer.bad and pc.deframer.text_bytes
    assert pc.rx_gaps and device.queue_full
    run_locked(session.reopening_step)
    for _ in range(600):
        session.silent_step(0)
    run_locked(session.silent_step)
    assert device.state == LOST
