"""One attempt to put a frame on a bus that has many talkers and no referee.

The gate: the last look at the line and the first start bit are one expression at C speed. `time_pulse_us` returns -2
when RX stayed recessive for the whole idle window; together with an empty receive buffer it indexes a pair of
functions, so that no jump of the byte code lies between the look and `write`: at a jump the VM runs scheduled
callbacks, and the start bit would come up to half a millisecond late. Nothing is allocated there either.

The echo: everything that we send comes back on RX. Each byte is compared while the next one is on its way; with the
first wrong one the pin is taken away from the UART at the recessive level (nothing can empty the port's TX FIFO), and
it is given back in a quiet moment after the FIFO has run dry.
"""

from time import sleep_us, ticks_diff, ticks_us

from machine import Pin, time_pulse_us

SENT = 0
BUSY = 1
COLLISION = 2
NO_ECHO = 3

# How long the wait for the next echo byte sleeps. Two byte times (2.3 ms) are allowed from a wrong byte to the release.
_STEP_US = 150
# A byte that is late by more than its own time plus this does not come any more.
_LATE_US = 300


def _keep_quiet(buf, n):
    return 0


class Sender:
    """Gate, echo comparison and release of the TX pin for the UART and pins of one transport.

    detached     the pin is away from the UART after a collision
    echoed       bytes of the last attempt that came back right
    wrong_value  the byte that came back instead of the next one; -1 when none came
    ended_us     ticks at the end of the last attempt
    """

    def __init__(self, uart, rx_pin, tx, config, ring):
        self._uart = uart
        self._any = uart.any
        self._readinto = uart.readinto
        self._write = uart.write
        self._gates = (_keep_quiet, uart.write)
        self._rx_pin = rx_pin
        self._tx = tx
        self._dominant = 1 if config.rx_invert else 0
        self._recessive_out = 0 if config.tx_invert else 1
        self._idle_us = config.idle_timeout_us
        self._byte_us = config.byte_us
        self._ring = ring
        self._scratch = bytearray(64)
        self.detached = False
        self.echoed = 0
        self.wrong_value = -1
        self.ended_us = 0
        self.lost_bytes = 0

    def attempt(self, buf, n):
        """Send buf[0:n] if the line is silent: SENT, BUSY (nothing was sent), COLLISION or NO_ECHO (released)."""
        pulse = time_pulse_us
        rx = self._rx_pin
        dominant = self._dominant
        idle_us = self._idle_us
        any_ = self._any
        gates = self._gates
        if idle_us:
            sent = gates[(pulse(rx, dominant, idle_us) == -2) & (any_() == 0)](buf, n)
        else:
            sent = self._write(buf, n)
        started_us = ticks_us()
        if not sent:
            return BUSY
        return self._compare_echo(buf, n, started_us)

    def _compare_echo(self, buf, n, started_us):
        any_ = self._any
        readinto = self._readinto
        scratch = self._scratch
        byte_us = self._byte_us
        size = len(scratch)
        got = 0
        while got < n:
            # The time before the look: a pause between the two must not make a byte look late.
            now_us = ticks_us()
            k = any_()
            if k:
                k = readinto(scratch, min(k, size))
                i = 0
                while i < k and got < n:
                    if scratch[i] != buf[got]:
                        self._release(now_us)
                        self._note(buf, got, scratch[i], i, k)
                        return COLLISION
                    i += 1
                    got += 1
                if i < k:
                    self._keep(scratch, k - i, i)
            elif ticks_diff(now_us, started_us) > (got + 2) * byte_us + _LATE_US:
                self._release(now_us)
                self._note(buf, got, -1, 0, 0)
                return COLLISION if got else NO_ECHO
            else:
                sleep_us(_STEP_US)
        self.echoed = n
        self.ended_us = ticks_us()
        return SENT

    def _release(self, now_us):
        Pin(self._tx, Pin.OUT, value=self._recessive_out)
        self.detached = True
        self.ended_us = now_us

    def _note(self, buf, got, wrong_value, i, k):
        """What the wire carried goes to the receiver: if a foreign frame won, it is there as a whole."""
        self.echoed = got
        self.wrong_value = wrong_value
        if got:
            self._keep(buf, got, 0)
        if k > i:
            self._keep(self._scratch, k - i, i)

    def _keep(self, buf, n, start):
        if not self._ring.write(buf, n, start):
            self.lost_bytes += n

    def reattach(self):
        """Give the pin back once the FIFO has run dry and the line is silent; True when TX belongs to the UART.

        Silence matters: `init` throws away what the UART is receiving.
        """
        if not self.detached:
            return True
        if not self._uart.txdone():
            return False
        if self._idle_us and time_pulse_us(self._rx_pin, self._dominant, self._idle_us) != -2:
            return False
        if self._any():
            return False
        self._uart.init(tx=self._tx)
        self.detached = False
        return True
