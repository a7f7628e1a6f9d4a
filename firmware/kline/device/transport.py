"""The shared hardware layer: owns the UART, the pins, the timer and the ring buffers of one single-wire bus.

wire -> stage -> UART -> drain_uart() -> RX ring -> a handler reads it
write() -> TX ring -> bus_access.py -> transmitter.py -> sender.py -> UART -> stage -> wire
"""

from time import ticks_us

from machine import UART, Pin, unique_id

from kline.device.config import KLineConfig
from kline.device.idle import IdleDetector
from kline.device.sender import Sender
from kline.device.transmitter import Transmitter
from kline.protocol.ring import RingBuffer

# The port's driver buffers: RX holds 0.5 s of a full bus (plus 128 bytes of FIFO), TX the longest frame.
_RXBUF = 512
_TXBUF = 512
_SCRATCH = 128


class KLineTransport:
    """One bus's hardware on a Board with a KLineConfig; nothing is touched before begin().

    rx_ring, transmitter    its parts, for handlers and counters; after begin() also sender and idle
    last_byte_us            ticks when the newest byte was fetched from the UART
    rx_bytes                bytes received, modulo 2**30
    rx_full, rx_uart_full   moments when the ring, or the UART's own buffer behind it, was full
    """

    def __init__(self, board, config=None, seed=None):
        self.board = board
        self.config = config or KLineConfig.ibus(tx_invert=board.tx_invert, rx_invert=board.rx_invert)
        self.rx_ring = RingBuffer(self.config.rx_ring)
        self.transmitter = Transmitter(self.config, _default_seed() if seed is None else seed)
        self.last_byte_us = 0
        self.rx_bytes = 0
        self.rx_full = 0
        self.rx_uart_full = 0
        self._uart = None
        self._scratch = bytearray(_SCRATCH)

    def begin(self):
        """Set up UART, pins and timer; TX is recessive from the first moment to the last. Returns self."""
        board = self.board
        config = self.config
        self._park_tx()
        self._uart = _open_uart(board, config)
        self._any = self._uart.any
        self._readinto = self._uart.readinto
        # Without a mode: setting one could cut RX off from the UART.
        self._rx_pin = Pin(board.rx)
        self.sender = Sender(self._uart, self._rx_pin, board.tx, config, self.rx_ring)
        self.idle = IdleDetector(self._uart, self._rx_pin, config)
        self.transmitter.begin(self.sender, self.idle, self._rx_pin)
        return self

    def close(self):
        """Give the hardware back; TX stays recessive."""
        if self._uart is not None:
            self.idle.close()
            self._uart.deinit()
            self._uart = None
            self._park_tx()

    def _park_tx(self):
        Pin(self.board.tx, Pin.OUT, value=0 if self.config.tx_invert else 1)

    # -- reception ---------------------------------------------------------------------------------------------------

    def rx_available(self):
        """Bytes waiting in the RX ring."""
        return self.rx_ring.available()

    def rx_peek(self, n):
        """The n-th waiting byte without consuming it; -1 when there is none."""
        return self.rx_ring.peek(n)

    def rx_remove(self, n):
        """Discard n bytes (at most what is there). Returns their number."""
        return self.rx_ring.remove(n)

    def rx_read(self):
        """Consume one byte; -1 when there is none."""
        return self.rx_ring.read()

    def flush_rx(self):
        """Throw away what has been received: the UART's buffer and the ring."""
        k = self._any()
        while k:
            self._readinto(self._scratch, min(k, _SCRATCH))
            k = self._any()
        self.rx_ring.clear()

    def drain_uart(self):
        """Move bytes from the UART to the RX ring. Returns their number; allocates nothing.

        What does not fit stays in the UART's buffer (`rx_full` counts such moments); when that was full too, bytes may
        have been lost unseen, and `rx_uart_full` counts it.
        """
        k = self._any()
        if not k:
            return 0
        moved = 0
        ring = self.rx_ring
        scratch = self._scratch
        if k >= _RXBUF:
            self.rx_uart_full += 1
        while k:
            k = min(k, _SCRATCH, ring.free())
            if not k:
                self.rx_full += 1
                break
            k = self._readinto(scratch, k)
            ring.write(scratch, k)
            moved += k
            k = self._any()
        if moved:
            self.rx_bytes = (self.rx_bytes + moved) & 0x3FFFFFFF
            self.last_byte_us = ticks_us()
            self.idle.byte_came(self.last_byte_us)
        return moved

    # -- transmission ------------------------------------------------------------------------------------------------

    def write(self, body, id=0, max_tries=0, flags=0, deadline_ms=0, start=0, end=-1):
        """Queue the message body[start:end]; the checksum is added. False when it does not fit: nothing is queued.

        id           handed back with the result, see Transmitter.on_result
        max_tries    attempts after collisions; 0 = the configuration's
        flags        transmit_queue.WAKE
        deadline_ms  0 = the configuration's
        """
        return self.transmitter.put(body, start, len(body) if end < 0 else end, id, max_tries, flags, deadline_ms)

    def send_raw(self, buf, n):
        """Write buf[0:n] to the UART at once: no queue, no checksum, no look at the line. For KLineObd2."""
        return self._uart.write(buf, n)

    def tx_idle(self):
        """True when no message waits or is under way."""
        return self.transmitter.idle()

    def echo_lost(self):
        """Bytes of collisions that did not fit in the RX ring."""
        return self.sender.lost_bytes

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def clear_to_send(self):
        """The bus has been silent for idle_timeout_us; always true when that is 0."""
        return self.idle.clear_to_send

    @property
    def is_transmitting(self):
        """An attempt to send is under way."""
        return self.idle.is_transmitting

    @property
    def last_rx_transition_us(self):
        """Ticks of the last sign of life on RX: an edge that opened a burst, or a byte."""
        return self.idle.last_rx_transition_us

    # -- direct access, for init sequences ---------------------------------------------------------------------------

    def serial(self):
        """The machine.UART."""
        return self._uart

    def tx_pin(self):
        """GPIO number of TX."""
        return self.board.tx

    def rx_pin(self):
        """The machine.Pin of RX."""
        return self._rx_pin

    def uart_num(self):
        """Number of the UART."""
        return self.board.uart


def _open_uart(board, config):
    """Construct the UART without a glitch: the port attaches TX before it inverts it, so it starts on a spare pin."""
    invert = (UART.INV_TX if config.tx_invert else 0) | (UART.INV_RX if config.rx_invert else 0)
    uart = UART(
        board.uart,
        baudrate=config.baud,
        bits=config.bits,
        parity=config.parity,
        stop=config.stop,
        tx=board.tx if board.spare is None else board.spare,
        rx=board.rx,
        rxbuf=_RXBUF,
        txbuf=_TXBUF,
        timeout=0,
        timeout_char=0,
        invert=invert,
    )
    if board.spare is not None:
        uart.init(tx=board.tx)
        Pin(board.spare, Pin.IN)
    # The handler does nothing; that there is one lets a poll end with the byte instead of the next tick.
    uart.irq(_wake, UART.IRQ_RX)
    return uart


def _wake(uart):
    pass


def _default_seed():
    """Differs between boards and between starts, so that two of us on one bus don't back off in step."""
    seed = ticks_us()
    for byte in unique_id():
        seed = (seed * 31 + byte) & 0x3FFFFFF
    return seed
