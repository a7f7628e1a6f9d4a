"""The I-Bus for the PC: its messages go into the transport's queue; frames, results and events go out as records."""

from time import ticks_us

from kline.device.board import ActivityLed
from kline.device.bus_access import BusAccess
from kline.device.ibus_handler import IbusHandler
from kline.protocol.ibus.frames import MIN_FRAME
from kline.protocol.link import records
from kline.protocol.link.device_end import RESERVED


class IbusService:
    """link: the record link; out: a buffer for one record; handler: the IbusHandler of the bus in use;
    access: its BusAccess.

    In OBD mode it stands aside: the wire is the tester's, and messages for the I-Bus end as DROPPED_WRONG_MODE.
    """

    def __init__(self, link, out):
        self.handler = None
        self.access = None
        self._link = link
        self._out = out
        self._transport = None
        self._mode = records.MODE_IBUS
        self._asleep = False

    def use(self, transport, mode):
        """Serve this transport (begun) from now on; mode: records.MODE_.."""
        self.handler = IbusHandler(transport, ActivityLed(transport.board))
        self.handler.on_packet(self._on_packet)
        self.access = BusAccess(self.handler)
        transmitter = transport.transmitter
        transmitter.on_result = self._on_result
        transmitter.on_sent = self._on_sent
        transmitter.on_event = self._on_event
        self._transport = transport
        self._mode = mode

    def look(self):
        """Tell the PC when the bus has fallen asleep, or has woken up."""
        asleep = self._transport.transmitter.quiet_car.asleep
        if asleep != self._asleep and self._mode == records.MODE_IBUS:
            self._asleep = asleep
            self._on_event(records.EVENT_BUS_ASLEEP if asleep else records.EVENT_BUS_AWAKE, -1)

    # -- from the bus to the PC --------------------------------------------------------------------------------------

    def _on_packet(self, buffer, length):
        self._report_frame(buffer, length, self.handler.frame_us, 0)

    def _on_sent(self, buffer, length, time_us):
        self._report_frame(buffer, length, time_us, records.FRAME_OWN)

    def _report_frame(self, buffer, length, time_us, flags):
        out = self._out
        self._link.queue(records.FRAME, 0, out, records.pack_frame(out, time_us, flags, buffer, length), RESERVED)

    def _on_result(self, id, code, detail, tries, waited_us, time_us):
        out = self._out
        self._link.queue(records.RESULT, 0, out, records.pack_result(out, id, code, detail, tries, waited_us, time_us))

    def _on_event(self, code, value):
        out = self._out
        self._link.queue(records.EVENT, 0, out, records.pack_event(out, code, ticks_us(), value))

    # -- from the PC to the bus --------------------------------------------------------------------------------------

    def record(self, kind, buf, start, end):
        """TRANSMIT; or OBD_CALL, for which this is the wrong mode."""
        out = self._out
        if kind == records.TRANSMIT and end - start >= records.TRANSMIT_BODY:
            detail = self._transmit(buf, start, end)
            if detail:
                self._on_result(records.get_u16(buf, start), records.RESULT_DROPPED, detail, 0, 0, ticks_us())
        elif kind == records.OBD_CALL and end - start >= records.CALL_ARGUMENTS:
            n = records.pack_obd_end(out, records.get_u16(buf, start), records.END_WRONG_MODE)
            self._link.queue(records.OBD_END, 0, out, n)

    def _transmit(self, buf, start, end):
        """Queue the message; 0, or records.DROPPED_.. when that can't be."""
        body = start + records.TRANSMIT_BODY
        n = end - body
        if self._mode != records.MODE_IBUS:
            return records.DROPPED_WRONG_MODE
        # source, length, destination, at least one byte; the length byte counts destination, data and checksum.
        if n < MIN_FRAME - 1 or n >= self._transport.config.max_frame or buf[body + 1] != n - 1:
            return records.DROPPED_BAD_BODY
        queued = self._transport.write(
            buf,
            id=records.get_u16(buf, start + records.TRANSMIT_ID),
            max_tries=buf[start + records.TRANSMIT_MAX_TRIES],
            flags=buf[start + records.TRANSMIT_FLAGS],
            deadline_ms=records.get_u16(buf, start + records.TRANSMIT_DEADLINE_MS),
            start=body,
            end=end,
        )
        return 0 if queued else records.DROPPED_QUEUE_FULL
