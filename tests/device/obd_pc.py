"""The whole way of OBD on the board: a car with ECUs, the application, and the PC's end of the link."""

from obd_rig import KWP
from rig import Rig
from sim.obdcar import Car

from kline.protocol.link import records, unpack


class ObdPc(Rig):
    """car, ecu; call() returns a Call; the board is in OBD mode unless mode=False.

    max_silence_us  the longest time in which nothing came from the board
    """

    def __init__(self, script=KWP, mode=True, seed=1, keep=None, **changes):
        script = dict(script)
        script.update(changes)
        self.texts, self.answers, self.ends, self.kinds = [], [], [], []
        self._id = 0
        super().__init__(seed, board={"tx_invert": True, "rx_invert": False})
        self.car = Car(self.world.wire, script, seed, keep)
        self.ecu = self.car.ecus[0]
        if mode:
            self.set_mode(records.MODE_OBD)

    def set_mode(self, mode):
        n = len(self.configured)
        self.configure(records.CONFIG_MODE, mode)
        self.turn_until(lambda: len(self.configured) > n)
        return self.configured[-1]

    def _on_record(self, kind, channel, buf, start, end):
        super()._on_record(kind, channel, buf, start, end)
        self.kinds.append((self.world.now, kind))
        if kind == records.OBD_TEXT:
            self.texts.append(unpack.unpack_obd_text(buf, start, end))
        elif kind == records.OBD_ANSWER:
            self.answers.append(unpack.unpack_obd_answer(buf, start, end))
        elif kind == records.OBD_END:
            self.ends.append(unpack.unpack_obd_end(buf, start, end))

    def send(self, operation, arguments=b""):
        """Queue a call; its id."""
        self._id += 1
        out = bytearray(300)
        assert self.pc.queue(records.OBD_CALL, 0, out, records.pack_obd_call(out, self._id, operation, arguments))
        return self._id

    def cancel(self, ident):
        out = bytearray(2)
        records.put_u16(out, 0, ident)
        self.pc.queue(records.OBD_CANCEL, 0, out, 2)

    def end_of(self, ident, limit_s=60):
        self.turn_until(lambda: [e for e in self.ends if e.ident == ident], limit_s)
        found = [e for e in self.ends if e.ident == ident]
        assert len(found) == 1, found
        return found[0]

    def call(self, operation, arguments=b"", limit_s=60):
        """Make the call and wait: its end."""
        return self.end_of(self.send(operation, arguments), limit_s)

    def connect(self, order=b"", baud=0):
        end = self.call(records.OP_CONNECT, bytes((baud & 0xFF, baud >> 8)) + order)
        assert end.code == records.END_DONE, (end, self.error())
        return unpack.ObdFound(end.found)

    def ask(self, data, p2_ms=0):
        """(end, [(attempt, ecu, data)]) of a request."""
        end = self.call(records.OP_REQUEST, bytes((p2_ms & 0xFF, p2_ms >> 8)) + data)
        return end, [(a.attempt, a.source, a.data) for a in self.answers if a.ident == end.ident]

    def error(self):
        return b"".join([text for _, kind, text in self.texts if kind == records.TEXT_ERROR]).decode()

    def progress(self):
        return [text.decode() for _, kind, text in self.texts if kind == records.TEXT_PROGRESS]
