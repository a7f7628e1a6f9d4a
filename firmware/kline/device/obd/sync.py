"""The rate of an ECU, measured from the edges of its sync byte 55 (ISO 9141-2; ISO 14230-2:2016, 8.2)."""

from time import ticks_diff, ticks_us

from machine import disable_irq, enable_irq, time_pulse_us

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.protocol.obd.keybytes import baud_of_sync

# A bit of the sync byte, from 14400 baud to 1200.
_BIT_MIN_US = 60
_BIT_MAX_US = 900
# The sync byte is waited for in pieces of this length, with interrupts masked; a low may last as long again. Twice it
# is below the 20 ms that a mask may take, once below the 11 ms in which the FIFO of the USB line's UART is full.
_PIECE_US = 9_000


def measure_sync(line, until_us):
    """Blocks until the sync byte 55 passes, at most until until_us: its rate; 0: it is none, -1: silence.

    The first low is waited for at C speed; then the falling edges two, four, six and eight bits after it are timed.
    Only falling edges: an optocoupler delays the rising ones more. Interrupts are masked in pieces: soft callbacks
    would spoil the measurement. ObdError LATE: we were kept from looking, and it may have passed meanwhile.
    """
    dominant = line.rx_dominant
    baud = -1
    low_us = -2
    while low_us < _BIT_MIN_US:
        left_us = ticks_diff(until_us, ticks_us())
        if left_us <= 0:
            break
        masked = disable_irq()
        line.looked_us = ticks_us()
        low_us = time_pulse_us(line.rx, dominant, left_us if left_us < _PIECE_US else _PIECE_US)
        found = 0
        if _BIT_MIN_US <= low_us <= _BIT_MAX_US:
            found = _time_falling_edges(line, low_us)
        enable_irq(masked)
        late_us = ticks_diff(ticks_us(), line.looked_us) - _PIECE_US - 8 * _BIT_MAX_US
        if found < 0 or late_us > 0:
            raise ObdError(errors.LATE, max(late_us, -found))
        if low_us >= _BIT_MIN_US:
            baud = found
    return baud


def _time_falling_edges(line, bit_us):
    rx = line.rx
    dominant = line.rx_dominant
    was = rx()
    edges = 0
    first_us = last_us = ticks_us()
    while edges < 4:
        now_us = ticks_us()
        level = rx()
        if level != was:
            was = level
            if level == dominant:
                if not edges:
                    first_us = now_us
                elif abs(ticks_diff(now_us, last_us) - 2 * bit_us) > bit_us:
                    return 0
                last_us = now_us
                edges += 1
        elif ticks_diff(now_us, last_us) > 3 * bit_us + 100:
            # Much more: it was not the edge that was missing, but we.
            late_us = ticks_diff(now_us, last_us) - 3 * bit_us - 400
            return -late_us if late_us > 0 else 0
    return baud_of_sync(ticks_diff(last_us, first_us), 6)
