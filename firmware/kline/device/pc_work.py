"""What the board does for the PC: the one place for it, in pieces that leave the bus its moments.

No piece takes longer than a frame's end may be away when bus_access.py lets one begin: some 5 ms, while a message
waits. The order is fixed, and each piece has its turn.
"""

from kline.protocol.link.device_end import RESERVED
from kline.protocol.link.record_ring import OVERHEAD

_LITTLE = 16  # bytes from the PC at once: at most one record's end among them


class PcWork:
    """Reads the PC's records, delivers frames to it, works on an update, sends what is due, looks at the clock.

    app     the Application, whose turn it is part of
    behind  over half of what the link can hold waits for the PC
    full    there is no room for a record that must not be lost, a result or an answer
    """

    def __init__(self, app):
        self._app = app
        self._link = app.link
        self._ring = ring = app.link.outbox.ring
        self._half = ring.size // 2
        self._most = ring.size - OVERHEAD - RESERVED
        self._usb = app.usb
        # Bound once: making a bound method allocates.
        self._pieces = (self._read_little, self._deliver, self._send_one, app.look_at_the_clock)
        self._next = 0
        self.look()

    def look(self):
        """How much waits for the PC?"""
        used = self._ring.used
        self.behind = used > self._half
        self.full = used > self._most

    def all(self):
        """Everything that is to be done now: no message waits for the bus."""
        app = self._app
        self.read()
        if app.obd is None:  # the PC may have changed what the bus is
            app.ibus.handler.process()
            if app.updater is not None:
                app.updater.step()
        self._usb.pump()
        app.look_at_the_clock()

    def part(self):
        """The board restarts: what it has heard goes to the PC, and the bus is heard again after that."""
        app = self._app
        self.read()
        app.ibus.handler.process()
        app.updater.step()
        self._usb.pump()

    def one(self):
        """The next piece for which there is something to do; each has its turn."""
        for _ in range(len(self._pieces)):
            piece = self._next
            self._next = (piece + 1) & 3
            if self._pieces[piece]():
                break

    def read(self, most=64):
        """Take in what the PC says, at most so many bytes. Without room for an answer, the PC is to ask again."""
        updater = self._app.updater
        self.look()
        self._link.held = self.full or (updater is not None and updater.full())
        return self._usb.read(most)

    def _deliver(self):
        app = self._app
        if app.updater is not None:
            app.updater.step()
        return app.ibus.handler.process_one()

    def _read_little(self):
        return self.read(_LITTLE)

    def _send_one(self):
        return self._usb.pump(1)
