"""BMW I/K-Bus on a KLineTransport: frames in, frames out. The state machine itself is protocol/ibus/frames.py."""

import sys
from time import ticks_add, ticks_us

from kline.protocol.ibus.frames import MIN_FRAME, IbusScanner

MAX_FILTER = 16


class IbusHandler:
    """Finds frames in the transport's RX ring and hands each to a callback.

    transport        where the bytes come from
    frame_us         ticks of the end of the newest frame's last byte (as late as the turn that fetched it, less the
                     bytes that must have come after it)
    scanner          the state machine with its counters
    filtered         frames that the source filter kept back
    callback_errors  exceptions that a callback let out
    """

    def __init__(self, transport, led=None):
        config = transport.config
        self.transport = transport
        self.scanner = IbusScanner(transport.rx_ring, config.max_frame)
        self._ring = transport.rx_ring
        self._frame = bytearray(config.max_frame)
        self._byte_us = config.byte_us
        self._led = led
        self._callback = None
        self._filter = bytearray(MAX_FILTER)
        self._filter_n = 0
        self.frame_us = 0
        self.filtered = 0
        self.callback_errors = 0

    def on_packet(self, callback):
        """callback(buffer, length): the whole raw frame, checksum included, in a buffer that the next one reuses.

        It runs inside process(): keep it short, and copy what you keep.
        """
        self._callback = callback

    def set_filter(self, *sources):
        """Only frames of these sources (up to 16 addresses) reach the callback; none = all do."""
        if len(sources) > MAX_FILTER:
            raise ValueError("filter: %d addresses, at most %d fit" % (len(sources), MAX_FILTER))
        for i in range(len(sources)):
            self._filter[i] = sources[i]
        self._filter_n = len(sources)

    def process(self):
        """Deliver every whole frame that the ring holds. Allocates nothing."""
        while self.process_one():
            pass

    def process_one(self):
        """Deliver the oldest whole frame; False when there is none."""
        scanner = self.scanner
        # What has come belongs into the ring first: while it is still in the UART, input seems to have stalled.
        self.transport.drain_uart()
        n = scanner.scan(ticks_us())
        if not n:
            return False
        self._ring.copy_to(self._frame, n)
        scanner.take()
        self.frame_us = scanner.end_us
        if self.frame_us < 0:
            self.frame_us = ticks_add(self.transport.last_byte_us, -self._ring.available() * self._byte_us)
        if self._wanted(self._frame[0]):
            self._deliver(n)
        else:
            self.filtered += 1
        return True

    def _wanted(self, source):
        if not self._filter_n:
            return True
        for i in range(self._filter_n):
            if self._filter[i] == source:
                return True
        return False

    def _deliver(self, n):
        callback = self._callback
        if callback is None:
            return
        led = self._led
        if led is not None:
            led.on()
        try:
            callback(self._frame, n)
        except Exception as error:
            # A mistake in somebody's callback must not stop the reception of what follows.
            self.callback_errors += 1
            sys.print_exception(error)
        if led is not None:
            led.off()

    def write(self, body, **options):
        """Queue source, length, destination and data; the checksum is added. False when it does not fit. Options: see
        KLineTransport.write.
        """
        if len(body) < MIN_FRAME - 1 or body[1] != len(body) - 1:
            raise ValueError("expected source, length, destination, data; no checksum")
        return self.transport.write(body, **options)

    def send(self, source, destination, data, **options):
        """Queue a message, at least one byte of data; length and checksum are added. Else as write()."""
        return self.write(bytes((source, len(data) + 2, destination)) + bytes(data), **options)
