"""The application: the bus on one side, the record link over USB serial on the other.

One turn of the loop: wait for the UART or the PC (a poll), then the bus (bus_access.py: drain the UART, send), then the
PC (pc_work.py: read, deliver, send; one piece of it while a message waits for the bus, else all). Between two turns lie
at most one frame of our own and one garbage collection, and that is only made when the bus is silent.
"""

import gc
import os
import select
import sys
from time import sleep_us, ticks_add, ticks_diff, ticks_ms, ticks_us

import machine
import micropython

from kline.device import board as boards
from kline.device import counters
from kline.device.config import KLineConfig
from kline.device.ibus_service import IbusService
from kline.device.pc_work import PcWork
from kline.device.transport import KLineTransport
from kline.device.usb_link import UsbLink
from kline.protocol.ibus.frames import MAX_FRAME, MIN_FRAME
from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.link import OPEN
from kline.version import VERSION

# A poll of 1..10 ms is one tick of FreeRTOS; the UART's interrupt ends it with the byte.
_POLL_MS = 10
_PENDING_US = 100
_COUNTERS_MS = 5_000
_COLLECT_MS = 2_000
_REPL_AFTER_MS = 300_000
_FAREWELL_MS = 100
_MAX_ERRORS = 20


def run(boot=None):
    """What main.py starts: the application on the board that board.json describes, until it ends.

    boot: main.py's Boot, which says what runs after the next start; without it there are no updates by the PC.
    """
    version = sys.implementation.version
    if version[0] == 1 and version[1] < 26:
        print("MicroPython %d.%d: its UART hangs with an interrupt handler; openkline needs 1.27" % version[:2])
        return
    Application(boards.load(), boot=boot).run()


class Application:
    """Owns transport, handler and link; run() returns when the PC says QUIT or has been silent for five minutes."""

    def __init__(self, board, stdin=None, stdout=None, boot=None):
        self.board = board
        self.boot = boot
        self.errors = 0
        self.loop_max_us = 0
        self._out = bytearray(MAX_FRAME + 16)
        self.link = DeviceLink()
        self.link.on_record = self._on_record
        self.usb = UsbLink(self.link, stdin or sys.stdin.buffer, stdout or sys.stdout.buffer)
        self._boot_id = int.from_bytes(os.urandom(4), "little")
        self.ibus = IbusService(self.link, self._out)
        self.pc = PcWork(self)
        self.obd = None
        self._probe = None
        self.updater = None
        self._start_bus(board.mode)
        self._running = True
        self._started_ms = ticks_ms()
        self._counted_ms = self._collected_ms = self._heard_ms = self._started_ms
        self.uptime_s = 0

    def restart_bus(self, mode, **changes):
        """Set up the bus again. mode: records.MODE_IBUS, or MODE_OBD for a tester; changes: of KLineConfig."""
        self._stop_bus()
        self._start_bus(mode, **changes)

    def _start_bus(self, mode, **changes):
        board = self.board
        preset = KLineConfig.obd2 if mode == records.MODE_OBD else KLineConfig.ibus
        self.mode = mode
        config = preset(tx_invert=board.tx_invert, rx_invert=board.rx_invert, **changes)
        self.transport = KLineTransport(board, config).begin()
        self.ibus.use(self.transport, mode)
        self._poll = select.poll()
        self._poll.register(self.usb.stdin, select.POLLIN)
        self._poll.register(self.transport.serial(), select.POLLIN)
        self.link.identity = records.pack_welcome(
            self._boot_id,
            config.max_frame,
            self._capabilities(),
            _version_tuple(VERSION),
            sys.implementation.version[:3],
            board.name,
            machine.unique_id(),
        )
        if mode == records.MODE_OBD:
            from kline.device.obd.service import ObdService

            self.obd = ObdService(self.transport, self.link, self._out)

    def _stop_bus(self):
        if self.obd is not None:
            self.obd.close()
            self.obd = None
        self.transport.close()

    def _capabilities(self):
        found = records.CAN_IBUS | records.CAN_OBD | records.CAN_PROBE
        if self.boot is not None and self.boot.slot:
            found |= records.RUNS_SLOT_A if self.boot.slot == "a" else records.RUNS_SLOT_B
            if self.board.password is not None:
                found |= records.CAN_UPDATE
        return found

    def run(self):
        """Turn after turn. Ctrl-C is a byte like any other meanwhile; QUIT leads to the REPL."""
        micropython.kbd_intr(-1)
        in_a_row = 0
        try:
            while self._running:
                try:
                    self.turn()
                    in_a_row = 0
                except Exception as error:
                    # Shown to the person, counted, and the bus goes on; if nothing works any more, to the REPL.
                    self.errors += 1
                    in_a_row += 1
                    if in_a_row > _MAX_ERRORS:
                        raise
                    sys.print_exception(error)
            self._say_goodbye()
        finally:
            self._stop_bus()
            micropython.kbd_intr(3)

    def turn(self):
        """One turn of the loop: the bus first, then the PC."""
        if self.obd is not None:
            self._turn_obd()
            return
        if self.transport.tx_idle():
            for _ in self._poll.ipoll(_POLL_MS):
                pass
        else:
            sleep_us(_PENDING_US)
        begun_us = ticks_us()
        pc = self.pc
        pc.look()
        if self.updater is not None and self.updater.leaves() and self.transport.tx_idle():
            pc.part()
        elif self.ibus.access.turn(pc.behind, pc.full):
            pc.all()
        else:
            pc.one()
        took_us = ticks_diff(ticks_us(), begun_us)
        if took_us > self.loop_max_us:
            self.loop_max_us = took_us

    def _turn_obd(self):
        wait_ms = self.obd.wait_ms()
        if wait_ms:
            for _ in self._poll.ipoll(wait_ms):
                pass
        else:
            sleep_us(self.obd.rest_us())
        self.pc.read()
        if self.updater is not None and self._quiet():
            self.updater.step()
        self.usb.pump()
        if self.obd is not None:
            self.obd.run()
            if self.obd.idle():
                self.usb.pump()  # how a call ended does not wait for the next poll
        self.look_at_the_clock()

    def look_at_the_clock(self):
        """What comes with time alone."""
        now_ms = ticks_ms()
        if self.link.state == OPEN:
            self._heard_ms = now_ms
            if self.boot is not None and self.boot.on_trial:
                self.boot.confirm()
            # They take 15 ms: not while a message waits for its moment, unless many do, one after another.
            limit_ms = _COUNTERS_MS if self.transport.tx_idle() else 2 * _COUNTERS_MS
            if not 0 <= ticks_diff(now_ms, self._counted_ms) < limit_ms:
                self._count()
        elif ticks_diff(now_ms, self._heard_ms) >= _REPL_AFTER_MS:
            self._running = False
        while ticks_diff(now_ms, self._started_ms) >= 1000:
            self._started_ms = ticks_add(self._started_ms, 1000)
            self.uptime_s += 1
        self.ibus.look()
        if not 0 <= ticks_diff(now_ms, self._collected_ms) < _COLLECT_MS and self._quiet():
            self._collected_ms = now_ms
            gc.collect()

    def _quiet(self):
        if self.obd is not None:
            return self.obd.idle()
        transport = self.transport
        return transport.clear_to_send and transport.tx_idle() and not transport.rx_available()

    def _say_goodbye(self):
        text = b"bye: back to the REPL"
        self.link.send_now(records.LOG, 0, self._out, records.pack_log(self._out, records.LOG_INFO, text))
        until_ms = ticks_add(ticks_ms(), _FAREWELL_MS)
        while ticks_diff(until_ms, ticks_ms()) > 0:
            self.usb.pump()
            sleep_us(1000)

    # -- records of the PC -------------------------------------------------------------------------------------------

    def _on_record(self, kind, channel, buf, start, end):
        if kind == records.HELLO:
            self._new_session(kind, buf, start, end)
        elif kind == records.QUIT:
            self._running = False
        elif kind == records.COUNTERS_REQUEST:
            self._count()
        elif kind == records.CONFIGURE:
            self._configure(buf[start], records.get_u32(buf, start + 1))
        else:
            for first, last, find in _SERVICES:
                if first <= kind <= last:
                    find(self).record(kind, buf, start, end)

    def _new_session(self, kind, buf, start, end):
        """Calls of the old session have no receiver any more, and the mode is the board's own again."""
        if self.updater is not None:
            self.updater.record(kind, buf, start, end)
        if self.obd is not None or self.mode != self.board.mode:
            self.restart_bus(self.board.mode)

    def probe_service(self):
        """What openkline doctor asks."""
        if self._probe is None:
            from kline.device.wire_probe import WireProbe

            self._probe = WireProbe(self)
        return self._probe

    def update_service(self):
        if self.updater is None:
            from kline.device.updater import Updater

            self.updater = Updater(self.board, self.boot, self.link, lambda: self.uptime_s)
        return self.updater

    def _configure(self, key, value):
        quiet_car = self.transport.transmitter.quiet_car
        tx_idle = self.transport.tx_idle()
        ok = True
        if key == records.CONFIG_SLEEP_AFTER_S and value <= 86_400:
            quiet_car.sleep_after_s = value
        elif key == records.CONFIG_WAKE_ALLOWED:
            quiet_car.wake_allowed = bool(value)
        elif key == records.CONFIG_WAKINGS_PER_HOUR and value <= 100:
            quiet_car.wakings_per_hour = value
        elif key == records.CONFIG_RATE_PER_MINUTE and value <= 60_000:
            quiet_car.per_minute = value
        elif key == records.CONFIG_MODE and value in (records.MODE_IBUS, records.MODE_OBD) and tx_idle:
            if value != self.mode:
                self.restart_bus(value)
        elif key == records.CONFIG_MAX_FRAME and MIN_FRAME <= value <= MAX_FRAME and self.obd is None and tx_idle:
            self.restart_bus(self.mode, max_frame=value)
        elif key == records.CONFIG_RESET:
            machine.reset()
        else:
            ok = False
        out = self._out
        self.link.queue(records.CONFIGURED, 0, out, records.pack_configured(out, key, ok, value))

    def _count(self):
        """Report all counters, in the order of host_records.COUNTER_NAMES."""
        self._counted_ms = ticks_ms()
        out = self._out
        self.link.queue(records.COUNTERS, 0, out, records.pack_counters(out, ticks_us(), counters.values_of(self)))


# Who answers the PC's records: first type, last type, what finds the service, or loads it with the first such record.
# A service has record(kind, buf, start, end).
_SERVICES = (
    (records.TRANSMIT, records.TRANSMIT, lambda app: app.ibus),
    # In the other mode the I-Bus service says that this is the wrong one.
    (records.OBD_FIRST, records.OBD_LAST, lambda app: app.obd or app.ibus),
    (records.PROBE_FIRST, records.PROBE_LAST, Application.probe_service),
    (records.UPDATE_FIRST, records.UPDATE_LAST, Application.update_service),
)


def _version_tuple(text):
    return tuple(int(part) for part in text.split("."))[:3]
