"""The K-line as a tester handles it: edges at exact times, bytes with the right pauses, echoes compared.

Everything that takes time is a generator: it yields the microseconds that the caller may spend elsewhere before it has
to call next() again. drain() is the blocking form. Edges are made on the Pin with absolute deadlines: the generator
stops yielding _GUARD_US before one; for the last _MASKED_US interrupts are masked, so that no new soft callback can
strike; the last _C_WAIT_US are one C call, after which the pin changes without a jump of the byte code in between.
"""

import gc
from time import sleep_us, ticks_add, ticks_diff, ticks_us

from machine import Pin, disable_irq, enable_irq

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.protocol.obd import timing

# The application's turn takes up to a tick of FreeRTOS (10 ms) and a bit.
_GUARD_US = 16_000
# Longer than any soft callback of ours; a mask of 20 ms would be too long for the UART's FIFO at 115200 baud.
_MASKED_US = 6_000
_C_WAIT_US = 140
# What a caller may spend while bytes are waited for: they wait in the UART's buffer.
POLL_US = 10_000
_DRAIN_STEP_US = 500
# 5 baud: 1 % of a bit. Fast initialisation: half of the +-1 ms that ISO 14230-2 allows.
_LATE_5_BAUD_US = 2_000
_LATE_FAST_US = 500
# Time from a level on TX to the same level on RX: an optocoupler needs some 20 us.
_SETTLE_US = 5_000
_STUCK_US = 500_000
_ECHO_LATE_US = 2_000


def drain(steps):
    """Run such a generator to its end, blocking; returns what it returns."""
    while True:
        try:
            budget_us = next(steps)
        except StopIteration as end:
            return end.value
        sleep_us(budget_us if budget_us < _DRAIN_STEP_US else _DRAIN_STEP_US)


def wait_until(due_us):
    """Steps that end at due_us, or at once when it is over."""
    left_us = ticks_diff(due_us, ticks_us())
    while left_us > _GUARD_US + 500:
        yield left_us - _GUARD_US
        left_us = ticks_diff(due_us, ticks_us())
    if left_us > 0:
        sleep_us(left_us)


class ObdLine:
    """One K-line behind a KLineTransport.

    baud           the rate of the UART
    last_end_us    ticks at the end of the newest byte on the line, ours or theirs: when it was noticed; or of our edge
    unseen_us      how much earlier that byte may have ended, unnoticed
    looked_us      when bytes were last looked for
    rx, rx_dominant  the Pin, and its level while the line is low
    late_most_us   the latest edge ever made
    edge_us        ticks of the newest edge that was made at an exact time
    gap_most_us    the longest pause that there may have been between bytes of the newest frame of ours
    """

    def __init__(self, transport):
        config = transport.config
        self._transport = transport
        self._uart = transport.serial()
        self.rx = transport.rx_pin()
        self._tx_number = transport.tx_pin()
        self._tx = None
        self.rx_dominant = 1 if config.rx_invert else 0
        self._recessive_out = 0 if config.tx_invert else 1
        self._one = bytearray(1)
        self.baud = config.baud
        self.byte_us = config.byte_us
        self.last_end_us = self.edge_us = ticks_us()
        self.unseen_us = 0
        self.looked_us = self.last_end_us
        self._begun_us = self.last_end_us
        self.late_most_us = self.gap_most_us = 0

    # -- pin and UART ------------------------------------------------------------------------------------------------

    def take_tx(self):
        """TX becomes a Pin, recessive. The UART keeps RX."""
        self._tx = Pin(self._tx_number, Pin.OUT, value=self._recessive_out)
        return self._tx

    def give_back(self, baud=0):
        """TX is the UART's again, at this rate (0: the same). What was received so far is discarded."""
        if baud:
            self.baud = baud
            self.byte_us = -(-10_000_000 // baud)
        self._tx = None
        self._uart.init(baudrate=self.baud, tx=self._tx_number)
        self.flush()

    def flush(self):
        """Forget received bytes."""
        self._transport.flush_rx()

    def ignore(self):
        """Nobody was asked: forget what has come, but not that the line was busy. Whether anything has come."""
        came = self._transport.drain_uart()
        if came:
            self.last_end_us = self._transport.last_byte_us
        self.flush()
        return came

    def dominant(self):
        """RX says that the line is low."""
        return self.rx() == self.rx_dominant

    def edge_steps(self, due_us, dominant, late_us):
        """Change the pin at due_us. ObdError LATE, and the line is released, when it came over late_us too late."""
        level = self._recessive_out ^ (1 if dominant else 0)
        pin = self._tx or self.take_tx()
        left_us = ticks_diff(due_us, ticks_us())
        while left_us > _GUARD_US + 500:
            yield left_us - _GUARD_US
            left_us = ticks_diff(due_us, ticks_us())
        self._at(due_us, pin, level, late_us)

    def _at(self, due_us, fn, arg, late_us):
        """fn(arg) at due_us, which is near. ObdError LATE as of edge_steps()."""
        left_us = ticks_diff(due_us, ticks_us())
        while left_us > _MASKED_US:
            left_us = ticks_diff(due_us, ticks_us())
        masked = disable_irq()
        while left_us > _C_WAIT_US:
            left_us = ticks_diff(due_us, ticks_us())
        if left_us < 0:
            left_us = 0
        # No jump from here to the call: soft callbacks can't come between, and the UART's driver needs its interrupt.
        sleep_us(left_us)
        enable_irq(masked)
        fn(arg)
        self.last_end_us = self.edge_us = ticks_us()
        late = ticks_diff(self.last_end_us, due_us)
        if late > self.late_most_us:
            self.late_most_us = late
        if late > late_us:
            if self._tx is not None:
                self._tx(self._recessive_out)
            raise ObdError(errors.LATE, late)

    # -- initialisation ----------------------------------------------------------------------------------------------

    def quiet_steps(self, idle_us, limit_us=5_000_000):
        """Wait until the line has been silent for idle_us. Raises ObdError STUCK_LOW, or BUSY after limit_us."""
        begun_us = low_since_us = ticks_us()
        if ticks_diff(begun_us, self.last_end_us) < 0:  # so long ago that ticks have wrapped
            self.last_end_us = ticks_add(begun_us, -idle_us)
        low = False
        while True:
            now_us = ticks_us()
            if self._transport.drain_uart() or self.dominant():
                if self.dominant():
                    if not low:
                        low_since_us = now_us
                    low = True
                    if ticks_diff(now_us, low_since_us) > _STUCK_US:
                        raise ObdError(errors.STUCK_LOW)
                self.last_end_us = now_us
                self._transport.rx_remove(256)
            else:
                low = False
            left_us = idle_us - ticks_diff(now_us, self.last_end_us)
            if left_us <= 0 and not low:
                return
            if ticks_diff(now_us, begun_us) > limit_us + idle_us:
                raise ObdError(errors.BUSY)
            yield POLL_US if left_us > POLL_US or low else max(left_us, 0)

    def pause_steps(self, pause_us):
        """Wait until so long after the newest byte; not where that is so long ago that ticks have wrapped.

        What comes meanwhile is forgotten, and waited out: True. ObdError as of quiet_steps().
        """
        came = self.ignore()
        due_us = ticks_add(self.last_end_us, pause_us)
        if 0 < ticks_diff(due_us, ticks_us()) <= pause_us:
            yield from wait_until(due_us)
            if self.ignore():
                came = True
                yield from self.quiet_steps(pause_us)
        return came

    def _check_level(self, dominant):
        """Does the line follow? RX is read some ms after an edge of ours."""
        if self.dominant() != dominant:
            raise ObdError(errors.NO_ECHO if dominant else errors.STUCK_LOW)

    def address_steps(self, address):
        """Send an address at 5 baud, LSB first; returns ticks of the end of its stop bit. TX is the UART's by then."""
        word = address << 1 | 0x200
        begin_us = ticks_add(ticks_us(), 2 * _MASKED_US)
        bit_us = timing.FIVE_BAUD_BIT_US
        level = 1
        gc_was_on = gc.isenabled()
        gc.disable()
        self.take_tx()
        try:
            for i in range(10):
                bit = word >> i & 1
                if bit != level:
                    level = bit
                    due_us = ticks_add(begin_us, i * bit_us)
                    yield from self.edge_steps(due_us, not bit, _LATE_5_BAUD_US)
                    yield from wait_until(ticks_add(due_us, _SETTLE_US))
                    self._check_level(not bit)
                    gc.collect()  # the next edge is far away
            yield from wait_until(ticks_add(begin_us, 9 * bit_us + _SETTLE_US))
        finally:
            self.give_back()
            if gc_was_on:
                gc.enable()
        end_us = ticks_add(begin_us, 10 * bit_us)
        yield from wait_until(ticks_add(end_us, -_SETTLE_US))
        return end_us

    def pulse_steps(self):
        """The wake-up pattern of fast initialisation; returns ticks at which the first start bit is due."""
        gc_was_on = gc.isenabled()
        gc.disable()
        self.take_tx()
        begin_us = ticks_add(ticks_us(), 2 * _MASKED_US)
        try:
            yield from self.edge_steps(begin_us, True, _LATE_FAST_US)
            sleep_us(_SETTLE_US)
            self._check_level(True)
            yield from self.edge_steps(ticks_add(begin_us, timing.TINIL_US), False, _LATE_FAST_US)
            sleep_us(_SETTLE_US)
            self._check_level(False)
        finally:
            self.give_back()
            if gc_was_on:
                gc.enable()
        return ticks_add(begin_us, timing.TWUP_US)

    # -- bytes -------------------------------------------------------------------------------------------------------

    def byte_steps(self, until_us):
        """The next received byte, or -1 when none has come by until_us."""
        transport = self._transport
        while True:
            # Before the look: what has come by then is found, however long we are kept from it.
            now_us = ticks_us()
            if transport.drain_uart():
                self.last_end_us = transport.last_byte_us
                self.unseen_us = ticks_diff(self.last_end_us, self.looked_us)
            self.looked_us = now_us
            byte = transport.rx_read()
            if byte >= 0:
                return byte
            left_us = ticks_diff(until_us, now_us)
            if left_us <= 0:
                return -1
            yield left_us if left_us < POLL_US else POLL_US

    def send_byte(self, byte):
        """Send one byte now and compare its echo. Raises ObdError NO_ECHO, STUCK_LOW or ECHO_WRONG."""
        self._one[0] = byte
        self._begun_us = ticks_us()
        self._uart.write(self._one)
        self._echo(byte)

    def _echo(self, byte):
        transport = self._transport
        sent_us = ticks_us()
        sleep_us(self.byte_us - 60)
        while not transport.drain_uart():
            if ticks_diff(ticks_us(), sent_us) > self.byte_us + _ECHO_LATE_US:
                if transport.drain_uart():  # it was not the byte that was late
                    break
                raise ObdError(errors.STUCK_LOW if self.dominant() else errors.NO_ECHO)
        self.last_end_us = transport.last_byte_us
        echo = transport.rx_read()
        if echo != byte:
            raise ObdError(errors.ECHO_WRONG, "%02X instead of %02X" % (echo, byte))

    def send_steps(self, frame, p4_us, begin_us=-1):
        """Send a frame, now or exactly at begin_us, p4_us between its bytes; last_end_us is its end.

        ObdError LATE: there was a pause of over P4max, so no ECU listens any more, and the rest was not sent.
        """
        gap_most_us = 0
        for i in range(len(frame)):
            if i:
                yield from wait_until(ticks_add(self.last_end_us, p4_us))
                late_us = ticks_diff(ticks_us(), self.last_end_us) - timing.LIMITS["P4"][1]
                if late_us > 0:
                    raise ObdError(errors.LATE, late_us)
                ended_us = ticks_add(self._begun_us, self.byte_us)
                self.send_byte(frame[i])
                # The byte began before it ended; whatever kept us meanwhile may have come before it.
                gap_us = ticks_diff(self.last_end_us, ended_us) - self.byte_us
                if gap_us > gap_most_us:
                    gap_most_us = gap_us
            elif begin_us >= 0:
                yield from wait_until(ticks_add(begin_us, -_MASKED_US - _SETTLE_US))
                self._one[0] = frame[0]
                self._at(begin_us, self._uart.write, self._one, _LATE_FAST_US)
                self._begun_us = begin_us
                self._echo(frame[0])
            else:
                self.send_byte(frame[0])
        self.gap_most_us = gap_most_us
