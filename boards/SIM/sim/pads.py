"""Pads of the chip: who drives them, what level they have."""

from .wire import Net

FLOATING, GPIO_OUT, GPIO_OD, UART_TX = range(4)


class Pad:
    """One GPIO pad. `net` is the level seen at it; `source` is who drives it."""

    def __init__(self, board, number):
        self.board = board
        self.number = number
        self.input_only = number >= board.chip[3]
        self.net = Net(board.world)
        self.source = FLOATING
        self.latch = 0
        self.uart = None  # the UART whose TX signal is routed here
        self.outside = None  # level that the circuit outside gives a floating pad; None: the internal pull, or drift
        self.pull = 0  # 1 down, 2 up
        self.drift = 0  # where a pad goes that nothing holds, not even a pull of the chip
        self.configured = False
        self.rx_of = None  # the UART that receives here

    def update(self):
        if self.source == UART_TX:
            level = self.uart.tx_level
        elif self.source == GPIO_OUT or (self.source == GPIO_OD and not self.latch):
            level = self.latch
        elif self.outside is not None:
            level = self.outside
        else:
            level = (self.drift, 0, 1)[self.pull]
        self.net.set(level)

    def drive(self, source, uart=None):
        self.source = source
        self.uart = uart
        self.update()

    def external(self, level):
        """The circuit outside puts this level on the pad (buttons, the stage's RX side); None: it lets go."""
        self.outside = level
        self.update()
