"""What `openkline doctor` asks a running board: what the two pins see of the wire (and of the board: self_probe.py).

Loaded with the first such question. Widths are taken with time_pulse_us, at C speed, with interrupts masked: a soft
callback would cut a pulse short. What comes between two calls of it (some ten microseconds of byte code) must be
shorter than a bit, so one run takes pulses of one level only. After each touch of TX the pin is the UART's again, at
its own rate, and what it received meanwhile is forgotten: echoes of ours are nobody's message.

Nothing here has been seen on a board yet; the virtual board has the levels, but not the volts between them.
"""

import sys
from time import sleep_us, ticks_add, ticks_diff, ticks_us

from machine import Pin, disable_irq, enable_irq, time_pulse_us

from kline.device.self_probe import SelfProbe
from kline.protocol.link import probe
from kline.protocol.link.records import get_u16, get_u32

# From a pull, or an edge of ours, until the level is there: an optocoupler's slowest edge, with room.
_SETTLE_US = 800
# Longer than the pause within anybody's message.
_QUIET_US = 1_500
_ECHO_LATE_US = 3_000
_NO_PULL: int = None  # type: ignore[assignment]  # as documented; the stubs don't know it


class Busy(Exception):
    """Somebody talks just now: ask again."""


class WireProbe:
    """app: the Application whose transport is looked at."""

    def __init__(self, app):
        self._app = app
        self._out = bytearray(192)
        self._widths = [0] * probe.MAX_WIDTHS
        self._self = SelfProbe()
        self._rebuild = False

    def record(self, kind, buf, start, end):
        """A PROBE_CALL: does it, answers, ends it."""
        if end - start < 3:
            return
        ident, operation = get_u16(buf, start), buf[start + 2]
        self._bind()
        try:
            code, data = self._run(operation, bytes(memoryview(buf)[start + 3 : end]))
        except Busy:
            code, data = probe.PROBE_BUSY, None
        except (ValueError, IndexError):
            code, data = probe.PROBE_BAD_CALL, None
        except Exception as error:
            sys.print_exception(error)
            code, data = probe.PROBE_FAILED, None
        link, out = self._app.link, self._out
        if data is not None and not link.queue(
            probe.PROBE_ANSWER, 0, out, probe.pack_call(out, ident, operation, data)
        ):
            code = probe.PROBE_BUSY  # no room for it now
        link.queue(probe.PROBE_END, 0, out, probe.pack_end(out, ident, code))
        if self._rebuild:
            self._rebuild = False
            self._app.restart_bus(self._app.mode)

    def _bind(self):
        """The pins and the UART as they are now: the application may have changed the bus."""
        self._transport = transport = self._app.transport
        config = transport.config
        self._uart = transport.serial()
        self._rx = transport.rx_pin()
        self._tx_number = transport.tx_pin()
        self._rx_dominant = 1 if config.rx_invert else 0
        self._recessive_out = 0 if config.tx_invert else 1

    def _run(self, operation, arguments):
        done = probe.PROBE_DONE
        if operation == probe.OP_LINK_ECHO:
            return done, arguments[: len(self._out) - 3]
        if operation == probe.OP_BOARD:
            return self._self.board(self._app, arguments[0])
        if operation == probe.OP_FILE:
            return self._self.file(get_u16(arguments, 0))
        if operation == probe.OP_WATCH:
            return done, self._watch(arguments[0], min(arguments[1], probe.MAX_PIECES))
        if operation == probe.OP_RX_PULLS:
            return done, self._rx_pulls()
        if operation == probe.OP_TX_PULLS:
            return done, self._tx_pulls()
        if operation == probe.OP_PULSE:
            return done, self._pulse(arguments[0], get_u16(arguments, 1))
        if operation == probe.OP_ECHO:
            return done, self._echo(get_u32(arguments, 0), arguments[4])
        raise ValueError

    # -- listening ---------------------------------------------------------------------------------------------------

    def _watch(self, dominant, pieces):
        before = self._rx()
        level = self._rx_dominant ^ (0 if dominant else 1)
        n, seen = self._measure(level, pieces * probe.PIECE_US)
        if level != self._rx_dominant:
            seen = seen >> 1 | (seen & 1) << 1
        return bytes((before, seen)) + probe.pack_widths(self._widths[:n])

    def _measure(self, level, us):
        """(how many whole pulses of this level are in _widths, 1: the other level was seen | 2: this one was)."""
        end_us = ticks_add(ticks_us(), us)
        n = seen = 0
        left_us = us
        while left_us > 0 and n < probe.MAX_WIDTHS:
            masked = disable_irq()
            n, seen = self._measure_piece(level, min(left_us, probe.PIECE_US), n, seen)
            enable_irq(masked)
            left_us = ticks_diff(end_us, ticks_us())
        return n, seen

    def _measure_piece(self, level, us, n, seen):
        rx, pulse, widths, most = self._rx, time_pulse_us, self._widths, probe.MAX_WIDTHS
        end_us = ticks_add(ticks_us(), us)
        left_us = us
        while left_us > 0 and n < most:
            cut = rx() == level  # it has begun before we look
            width = pulse(rx, level, left_us)
            if width >= 0:
                seen = 3
                if not cut:
                    widths[n] = width
                    n += 1
            else:
                seen |= 2 if width == -1 else 1
                if width == -1 and not cut:
                    seen = 3
            left_us = ticks_diff(end_us, ticks_us())
        return n, seen

    def _rx_pulls(self):
        """The chip's pulls (45 kOhm) against whatever holds RX: a pin that follows them hangs in the air."""
        rx = self._rx
        levels = rx()
        rx.init(pull=Pin.PULL_DOWN)
        sleep_us(_SETTLE_US)
        levels |= rx() << 2
        # As the UART's driver leaves it; done last, so that RX is as it was.
        rx.init(pull=Pin.PULL_UP)
        sleep_us(_SETTLE_US)
        return bytes((levels | rx() << 1,))

    # -- with TX -----------------------------------------------------------------------------------------------------

    def _may_touch(self):
        """Raises Busy when somebody talks, or we do; a line that is dominant for ever is nobody's message."""
        app = self._app
        if not (app.obd.idle() if app.obd is not None else self._transport.tx_idle()):
            raise Busy
        if self._talking(self._rx) or self._uart.any():
            raise Busy

    def _talking(self, pin):
        return time_pulse_us(pin, self._rx_dominant, _QUIET_US) >= 0

    def _give_back(self, rx=None):
        """TX is the UART's again, recessive, at the bus' own rate."""
        Pin(self._tx_number, Pin.OUT, value=self._recessive_out)
        baud = self._transport.config.baud
        if rx is None:
            self._uart.init(baudrate=baud, tx=self._tx_number)
        else:
            self._uart.init(baudrate=baud, tx=self._tx_number, rx=rx)
        self._transport.flush_rx()

    def _tx_pulls(self):
        """TX as an input, let alone and against both pulls; and what RX says then, as the wire follows the stage."""
        self._may_touch()
        levels = 0
        try:
            for bit, pull in ((0, _NO_PULL), (1, Pin.PULL_UP), (2, Pin.PULL_DOWN)):
                tx = Pin(self._tx_number, Pin.IN, pull)
                sleep_us(_SETTLE_US)
                levels |= (tx() | self._rx() << 4) << bit
        finally:
            Pin(self._tx_number, Pin.IN, _NO_PULL)
            self._give_back()
        return bytes((levels,))

    def _pulse(self, flags, us):
        """One short dominant pulse, and how long RX takes to follow its edges."""
        if not 1 <= us <= probe.MAX_PULSE_US:
            raise ValueError
        self._may_touch()
        swapped = flags & probe.PULSE_SWAPPED
        number, listener, driven = self._tx_number, self._rx, False
        try:
            if swapped:
                listener = Pin(number, Pin.IN, _NO_PULL)
                number = self._app.board.rx
                if self._talking(listener):
                    raise Busy
                # The weakest driver (5 mA): the other end may be an output as well. ValueError: RX is input only.
                pin = Pin(number, Pin.OUT, value=self._recessive_out, drive=Pin.DRIVE_0)
                driven = True
            else:
                pin = Pin(number, Pin.OUT, value=self._recessive_out)
            if flags & probe.PULSE_PULLED:
                listener.init(pull=Pin.PULL_DOWN if self._rx_dominant else Pin.PULL_UP)
            sleep_us(_SETTLE_US)
            return self._one_pulse(pin, listener, us)
        finally:
            if driven:
                Pin(number, Pin.OUT, value=self._recessive_out, drive=Pin.DRIVE_2)
                Pin(number, Pin.IN, Pin.PULL_UP)
                self._give_back(number)
                self._rebuild = True  # as an output RX may have lost its interrupt
            else:
                self._give_back()

    def _one_pulse(self, pin, listener, us):
        dominant, recessive = self._rx_dominant, 1 ^ self._rx_dominant
        pulse = time_pulse_us
        levels = listener()
        masked = disable_irq()
        begun_us = ticks_us()
        # No jump between an edge and the C call that times its effect.
        pin(1 ^ self._recessive_out)
        fall = pulse(listener, recessive, us)
        while ticks_diff(ticks_us(), begun_us) < us:
            pass
        levels |= listener() << 1
        pin(self._recessive_out)
        rise = pulse(listener, dominant, probe.LIMIT_US)
        enable_irq(masked)
        return probe.pack_pulse(levels | listener() << 2, fall, rise)

    def _echo(self, baud, dominant):
        """The pattern at another rate, by the UART itself: its bits are exact. What came back, and how wide."""
        if not probe.MIN_BAUD <= baud <= probe.MAX_BAUD:
            raise ValueError
        self._may_touch()
        uart, transport = self._uart, self._transport
        pattern = probe.pattern(baud)
        level = self._rx_dominant ^ (0 if dominant else 1)
        try:
            uart.init(baudrate=baud, tx=self._tx_number)
            transport.flush_rx()
            limit_us = len(pattern) * 11_000_000 // baud + _ECHO_LATE_US
            begun_us = ticks_us()
            uart.write(pattern)
            n, _ = self._measure(level, limit_us)
            while ticks_diff(ticks_us(), begun_us) < limit_us:
                sleep_us(500)
            got = uart.read(min(uart.any(), 16)) or b"" if uart.any() else b""
        finally:
            self._give_back()
        return bytes((len(got),)) + got + probe.pack_widths(self._widths[:n])
