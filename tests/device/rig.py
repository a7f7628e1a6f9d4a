"""What most tests of the application need: a world, the application on the board, and the PC's end of the link."""

import sim
from pc_side import HostLink, host_records, records

from kline.protocol.link.link import OPEN
from kline.protocol.link.records import get_u16, get_u32

BOARD = {"rx": 16, "tx": 17, "led": 2, "spare": 4}


def board(**changes):
    """A kline Board with the virtual board's pins."""
    from kline.device.board import Board

    fields = dict(BOARD)
    fields.update(changes)
    return Board(**fields)


class Rig:
    """`pc` is the PC's Link; what it received is split into frames, results, events, counters.

    application: another class than the firmware's
    """

    def __init__(self, seed=1, connect=True, application=None, **options):
        self.world = sim.World(seed=seed, **options)
        import micropython

        from kline.device.app import Application

        micropython.kbd_intr(-1)  # run() does it on the board
        self.host = sim.UsbHost(self.world)
        self.pc = HostLink()
        self.pc.on_record = self._on_record
        self.pc.on_text = self._on_text
        self.text = bytearray()
        self.frames = []  # (device time, flags, frame)
        self.results = []  # (id, code, detail, tries, waited_us)
        self.events = []  # (code, argument or None)
        self.counters = {}
        self.configured = []
        self.records = []
        self.app = (application or Application)(board())
        if connect:
            self.pc.open(0x11223344)
            self.host.attach(self.pc)
            self.turn_until(lambda: self.pc.state == OPEN)

    def turn_until(self, condition, limit_s=30):
        """Let the application turn until the condition holds."""
        end = self.world.now + int(limit_s * 1_000_000)
        while not condition():
            if self.world.now >= end:
                raise AssertionError("the condition did not come true in %d s of virtual time" % limit_s)
            self.app.turn()

    def turn_for(self, seconds):
        end = self.world.now + int(seconds * 1_000_000)
        while self.world.now < end:
            self.app.turn()

    def transmit(self, ident, body, max_tries=5, flags=0, deadline_ms=0):
        out = bytearray(300)
        n = host_records.pack_transmit(out, ident, max_tries, flags, deadline_ms, body)
        return self.pc.queue(records.TRANSMIT, 0, out, n)

    def configure(self, key, value):
        out = bytearray(8)
        return self.pc.queue(records.CONFIGURE, 0, out, host_records.pack_configure(out, key, value))

    def result_codes(self):
        return [result[1] for result in self.results]

    def _on_text(self, buf, n):
        self.text.extend(memoryview(buf)[:n])

    def _on_record(self, kind, channel, buf, start, end):
        self.records.append(kind)
        if kind == records.FRAME:
            self.frames.append((get_u32(buf, start), buf[start + 4], bytes(memoryview(buf)[start + 5 : end])))
        elif kind == records.RESULT:
            self.results.append(
                (get_u16(buf, start), buf[start + 2], buf[start + 3], buf[start + 4], get_u32(buf, start + 5))
            )
        elif kind == records.EVENT:
            self.events.append((buf[start], get_u32(buf, start + 5) if end - start > 5 else None))
        elif kind == records.COUNTERS:
            for i, name in enumerate(host_records.COUNTER_NAMES):
                self.counters[name] = get_u32(buf, start + 4 + 4 * i)
        elif kind == records.CONFIGURED:
            self.configured.append((buf[start], buf[start + 1], get_u32(buf, start + 2)))


def frame(source, destination, data):
    """A whole frame, made the slow obvious way."""
    body = bytes((source, len(data) + 2, destination)) + bytes(data)
    x = 0
    for byte in body:
        x ^= byte
    return body + bytes((x,))
