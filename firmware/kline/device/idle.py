"""Is the bus silent? Judged by a Pin interrupt and a Timer; the last word before a start bit has sender.py.

The Pin interrupt is armed while the bus is believed silent and masks itself with its first callback: 9600 baud has an
edge every 104 us, and a soft interrupt for each would eat the CPU and still lose most. From then on a slow Timer looks
whether bytes still come; when none came for the idle time, it arms the interrupt again and stops itself.
"""

from time import ticks_diff, ticks_us

from machine import Pin, Timer

# Timer(0) belongs to UART.IRQ_RXIDLE on ports up to 1.28; the smallest chips have two.
_TIMER = 1


class IdleDetector:
    """Watches RX of one bus; with idle_timeout_us = 0 it uses no hardware and the bus is always clear.

    clear_to_send          silence for idle_timeout_us
    is_transmitting        set by the transmitter around an attempt: its own echo is nobody's burst
    last_rx_transition_us  ticks of the last sign of life: an edge that opened a burst, or a byte
    """

    def __init__(self, uart, rx_pin, config):
        self.is_transmitting = False
        self.last_rx_transition_us = ticks_us()
        self.enabled = config.idle_timeout_us > 0
        self.clear_to_send = not self.enabled
        if not self.enabled:
            return
        self._any = uart.any
        self._rx_pin = rx_pin
        self._dominant = 1 if config.rx_invert else 0
        self._timeout_us = config.idle_timeout_us
        self._period_ms = max(1, config.idle_check_us // 1000)
        self._timer = Timer(_TIMER)
        # Bound once: making a bound method allocates.
        self._on_timer_bound = self._on_timer
        self._opening_edge = Pin.IRQ_RISING if config.rx_invert else Pin.IRQ_FALLING
        self._edge = rx_pin.irq(handler=self._on_edge, trigger=self._opening_edge)
        self.burst_began()

    def close(self):
        """Stop the timer and the interrupt."""
        if self.enabled:
            self._timer.deinit()
            self._rx_pin.irq(handler=None)

    def burst_began(self):
        """The bus is in use: mask the interrupt, and let the timer find out when it is over."""
        if self.enabled:
            self.clear_to_send = False
            self._edge.trigger(0)
            self._timer.init(mode=Timer.PERIODIC, period=self._period_ms, callback=self._on_timer_bound)

    def byte_came(self, now_us):
        """Bytes were fetched from the UART."""
        self.last_rx_transition_us = now_us
        if self.clear_to_send:
            self.burst_began()

    def transmission_begins(self):
        """Our own echo must not look like somebody's burst."""
        if self.enabled:
            self._edge.trigger(0)
        self.is_transmitting = True

    def transmission_ended(self):
        """Silence is counted from here again."""
        self.is_transmitting = False
        self.last_rx_transition_us = ticks_us()
        self.burst_began()

    def _on_edge(self, pin):
        """Soft interrupt of the edge that opens a burst: exactly one callback a burst."""
        self._edge.trigger(0)
        if not self.is_transmitting:
            self.last_rx_transition_us = ticks_us()
            self.burst_began()

    def _on_timer(self, timer):
        """Soft, every idle_check_us while the bus is in use: is it silent by now?"""
        now_us = ticks_us()
        if self.is_transmitting or self._any() or self._rx_pin() == self._dominant:
            self.last_rx_transition_us = now_us
        elif ticks_diff(now_us, self.last_rx_transition_us) >= self._timeout_us:
            timer.deinit()
            self._edge.trigger(self._opening_edge)
            self.clear_to_send = True
