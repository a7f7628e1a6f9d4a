"""One UART of the chip with its driver: what lives on across machine.UART() calls."""

from .costs import RX_FIFO, TX_FIFO
from .pads import FLOATING, UART_TX
from .uart import Format, Receiver, Transmitter

INV_TX = 32
INV_RX = 4
ATTACH_US = 3  # TX floats this long while uart_set_pin() routes it again
GLITCH_US = 4  # the first construction drives TX this long before it inverts it


class HwUart:
    def __init__(self, board, number):
        self.world = board.world
        self.board = board
        self.number = number
        self.installed = False
        self.baud, self.bits, self.parity, self.stop = 115200, 8, None, 1
        self.tx = self.rx = None
        self.rxbuf = self.txbuf = 256
        self.invert = 0
        self.timeout = self.timeout_char = 0
        self.handler = None
        self.trigger = 0
        self.owner = None  # the machine.UART that is the handler's argument
        self._mark = 1
        self.tx_level = 1  # what TX puts on its pad: _mark, inverted if INV_TX is set
        self.rx_data = bytearray(4096)  # a ring; only rxbuf + RX_FIFO of it are used
        self.rx_head = 0
        self.rx_count = 0
        self.rx_lost = 0  # bytes that found the driver's buffer and the FIFO full
        self.rx_parity_errors = 0  # invisible to the firmware
        self.rx_framing_errors = 0
        self.rx_and = 0xFF  # a stage fault as the UART sees it: bits stuck at 0, at 1
        self.rx_or = 0
        self.transmitter = Transmitter(self.world, self._out, Format.of())
        self.receiver = None

    # transmission

    def _out(self, mark):
        self._mark = mark
        self.tx_level = mark ^ (1 if self.invert & INV_TX else 0)
        if self.tx is not None and self.tx.uart is self:
            self.tx.update()
        self._update_others()

    def _update_others(self):
        for pad in self.board.pads.values():
            if pad.uart is self and pad is not self.tx:
                pad.update()

    def tx_free(self):
        return (self.txbuf or 0) + TX_FIFO - len(self.transmitter.fifo)

    def wait_tx(self, limit_us):
        """Blocks the VM until TX is empty, at most limit_us. True if it is."""
        end = self.world.now + limit_us
        while self.transmitter.busy and self.world.step(end):
            pass
        return not self.transmitter.busy

    # reception

    def _received(self, value, flags):
        if flags:
            if flags & 1:
                self.rx_parity_errors += 1
            if flags & 2:
                self.rx_framing_errors += 1
        n = self.rx_count
        if n >= self.rxbuf + RX_FIFO:
            self.rx_lost += 1
        else:
            self.rx_data[(self.rx_head + n) & 4095] = value & self.rx_and | self.rx_or
            self.rx_count = n + 1
        if self.trigger & 1 and self.handler is not None:
            self.world.post(self.handler, self.owner)

    def take(self):
        """The oldest byte; rx_count must be above 0."""
        v = self.rx_data[self.rx_head]
        self.rx_head = (self.rx_head + 1) & 4095
        self.rx_count -= 1
        return v

    def discard_rx(self):
        self.rx_count = 0
        if self.receiver is not None:
            self.receiver.restart()

    # configuration

    def route_tx(self, pad):
        if pad.input_only:
            raise OSError(-258, "ESP_ERR_INVALID_ARG")
        self.tx = pad
        pad.drive(UART_TX, self)

    def release_tx(self):
        if self.tx is not None and self.tx.uart is self:
            self.tx.drive(FLOATING)

    def route_rx(self, pad):
        if self.rx is not None:
            self.rx.rx_of = None
            self._cut_rx()
        self.rx = pad
        pad.rx_of = self
        self.receiver = Receiver(self.world, pad.net, self._format(), self._received)
        self.receiver.inverted = 1 if self.invert & INV_RX else 0

    def cut_rx(self):
        """The pad was configured as plain GPIO: the UART's input is gone until the next init(rx=)."""
        self._cut_rx()
        self.rx.rx_of = None
        self.rx = None

    def _cut_rx(self):
        self.receiver.restart()
        self.rx.net.listeners.remove(self.receiver._edge)
        self.receiver = None

    def _format(self):
        return Format.of(self.baud, self.bits, self.parity, self.stop)

    def apply(self):
        """Baud rate, frame and inversion take effect."""
        fmt = self._format()
        self.transmitter.fmt = fmt
        if self.receiver is not None:
            self.receiver.restart(fmt, 1 if self.invert & INV_RX else 0)
        self._out(self._mark)

    def uninstall(self):
        """deinit(): the pads float, nothing is remembered."""
        self.transmitter.abort()
        self._mark = 1
        for pad in self.board.pads.values():
            if pad.uart is self:
                pad.drive(FLOATING)
        if self.rx is not None:
            self.cut_rx()
        self.__init__(self.board, self.number)
