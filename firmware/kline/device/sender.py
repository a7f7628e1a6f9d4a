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
_LAST_STEP_US = 15  # the same for the last byte of a foreign frame: what is late here comes on top of the silence
# A byte that is late by more than its own time plus this does not come any more.
_LATE_US = 300


def _keep_quiet(buf, n):
    return 0


class Sender:
    """Gate, echo comparison and release of the TX pin for the UART and pins of one transport.

    detached     the pin is away from the UART after a collision
    echoed       bytes of the last attempt that came back right, or of the present one so far
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
        self._byte_us = config.byte_us
        self._ring = ring
        self._byte = bytearray(1)
        self.detached = False
        self.echoed = 0
        self.wrong_value = -1
        self.ended_us = 0
        self.lost_bytes = 0

    def attempt(self, buf, n, idle_us, last=0):
        """Send buf[0:n] if the line stays silent for idle_us (0: at once): SENT, BUSY (nothing was sent), COLLISION or
        NO_ECHO (released).

        last: 1 = the last byte of a foreign frame is still to come: wait for it, and leave it in the UART until we are
        on the wire, so that the silence is watched from its end on.
        """
        if last and not self._last_comes():
            return BUSY
        if not idle_us:
            self._write(buf, n)
        elif not self._gates[(time_pulse_us(self._rx_pin, self._dominant, idle_us) == -2) & (self._any() == last)](
            buf, n
        ):
            return BUSY
        return self._compare_echo(buf, n, ticks_us(), last)

    def _last_comes(self):
        """Wait for a byte that is due."""
        any_ = self._any
        begun_us = ticks_us()
        while not any_():
            if ticks_diff(ticks_us(), begun_us) > 2 * self._byte_us:
                return False
            sleep_us(_LAST_STEP_US)
        return True

    def _compare_echo(self, buf, n, started_us, last):
        """Byte after byte: what comes behind our last one, or behind a wrong one, stays in the UART."""
        if last:
            self._readinto(self._byte, 1)
            self._keep(self._byte, 1)
        self.echoed = 0
        while self.echoed < n:
            # The time before the look: a pause between the two must not make a byte look late.
            now_us = ticks_us()
            if self._any():
                self._readinto(self._byte, 1)
                if self._byte[0] != buf[self.echoed]:
                    self._release(now_us, self._byte[0])
                    self._keep(buf, self.echoed)
                    self._keep(self._byte, 1)
                    return COLLISION
                self.echoed += 1
            elif ticks_diff(now_us, started_us) > (self.echoed + 2) * self._byte_us + _LATE_US:
                self._release(now_us, -1)
                self._keep(buf, self.echoed)
                return COLLISION if self.echoed else NO_ECHO
            else:
                sleep_us(_STEP_US)
        self.ended_us = ticks_us()
        return SENT

    def _release(self, now_us, wrong_value):
        Pin(self._tx, Pin.OUT, value=self._recessive_out)
        self.detached = True
        self.ended_us = now_us
        self.wrong_value = wrong_value

    def _keep(self, buf, n):
        """What the wire carried goes to the receiver: if a foreign frame won, it is there as a whole."""
        if not self._ring.write(buf, n):
            self.lost_bytes += n

    def reattach(self, idle_us):
        """Give the pin back once the FIFO has run dry and the line is silent for idle_us; True when TX is the UART's.

        Silence matters: `init` throws away what the UART is receiving. Right behind a whole frame 0 will do: the next
        one does not begin within the 0.1 ms that `init` takes.
        """
        if not self.detached:
            return True
        if not self._uart.txdone() or self._rx_pin() == self._dominant:
            return False
        if idle_us and time_pulse_us(self._rx_pin, self._dominant, idle_us) != -2:
            return False
        if self._any():
            return False
        self._uart.init(tx=self._tx)
        self.detached = False
        return True
