"""What only a board can tell about the UART's edges: runs on the board, with one wire from TX to RX and nothing else.

    probe(rx=16, tx=17, spare=4)

prints one line a measurement:  stage <tab> what <tab> value <tab> expected.  "stage" is the inversion it was made with:
`plain`, or `inverted` (TX and RX both, so that the wire still closes the loop). Times in microseconds, as
minimum/median/maximum. Uses machine and time only, so that it needs no openkline on the board.

How the start bit is timed without a scope: the byte 00 with even parity holds the line for 10 bits, and time_pulse_us
returns, at C speed, when it lets go; so the start bit began 10 bits before that.
"""

from time import sleep_ms, ticks_diff, ticks_us

from machine import UART, Pin, time_pulse_us

BAUD = 9600
BYTE_US = 1146  # 11 bits
HOLD_US = 1042  # 10 bits: start, eight zeros, parity
IDLE_US = 1500  # the window that must be silent before a transmission

PLAIN = ("plain", False, False)
INVERTED = ("inverted", True, True)


def probe(rx=16, tx=17, spare=4, uart_id=1, stages=(PLAIN, INVERTED), tries=50):
    """Measure each stage (name, TX inverted, RX inverted). spare: a free GPIO to park TX on while the UART begins."""
    for name, tx_inverted, rx_inverted in stages:
        Probe(name, uart_id, rx, tx, spare, tx_inverted, rx_inverted, tries).run()
    print("done\t\t\t")


def spread(values):
    values = sorted(values)
    return "%d/%d/%d" % (values[0], values[len(values) // 2], values[-1])


def nothing(data):
    return 0


class EdgeCount:
    """Counts interrupts of a pin. They are soft and their queue holds 8, so the count is a lower bound."""

    def __init__(self, pin):
        self.count = 0
        self.at_us = 0
        self._pin = pin
        self._note_ = self._note  # a bound method made once: none is made in the interrupt

    def _note(self, pin):
        if not self.count:
            self.at_us = ticks_us()
        self.count += 1

    def __enter__(self):
        self.count = 0
        self._pin.irq(self._note_, Pin.IRQ_FALLING | Pin.IRQ_RISING)
        return self

    def __exit__(self, *_):
        sleep_ms(1)  # let the last ones be served
        self._pin.irq(None)


class Probe:
    def __init__(self, name, uart_id, rx, tx, spare, tx_inverted, rx_inverted, tries):
        self.name = name
        self.uart_id = uart_id
        self.rx, self.tx, self.spare = rx, tx, spare
        self.invert = (UART.INV_TX if tx_inverted else 0) | (UART.INV_RX if rx_inverted else 0)
        self.recessive_out = 0 if tx_inverted else 1
        self.dominant_in = 1 if rx_inverted else 0
        self.tries = tries
        self.start_us = 0  # from before write() to the start bit, median

    def row(self, what, value, expected):
        print("%s\t%s\t%s\t%s" % (self.name, what, value, expected))

    def run(self):
        self.attach()
        if self.loop_back():
            self.window()
            self.write_to_start()
            self.gate_to_start()
            self.byte_to_any()
            self.edge_to_callback()
            self.release()
        self.uart.deinit()
        Pin(self.tx, Pin.OUT, value=self.recessive_out)

    def open(self, tx):
        """The UART on this TX pin, while RX counts edges."""
        return UART(
            self.uart_id,
            baudrate=BAUD,
            bits=8,
            parity=0,
            stop=1,
            tx=tx,
            rx=self.rx,
            rxbuf=512,
            txbuf=512,
            timeout=0,
            timeout_char=0,
            invert=self.invert,
        )

    def attach(self):
        """Construct the UART twice, from a parked TX: with TX at once, and by way of the spare pin."""
        Pin(self.tx, Pin.OUT, value=self.recessive_out)
        self.rx_pin = Pin(self.rx, Pin.IN)
        sleep_ms(2)
        with EdgeCount(self.rx_pin) as edges:
            self.uart = self.open(self.tx)
        self.row("edges when constructed with TX", edges.count, "0 plain; a glitch (2) inverted")
        self.uart.deinit()
        Pin(self.tx, Pin.OUT, value=self.recessive_out)
        sleep_ms(2)
        with EdgeCount(self.rx_pin) as edges:
            self.uart = self.open(self.spare)
            self.uart.init(tx=self.tx)
            Pin(self.spare, Pin.IN)
        self.row("edges when constructed on spare", edges.count, "0")
        self.rx_pin = Pin(self.rx)

    def flush(self):
        sleep_ms(5)
        while self.uart.any():
            self.uart.read()

    def echo(self, data):
        """What comes back for data, after as long as it may take."""
        self.flush()
        self.uart.write(data)
        sleep_ms(len(data) * BYTE_US // 1000 + 20)
        return self.uart.read() or b""

    def loop_back(self):
        wrong = 0
        for first in range(0, 256, 32):
            data = bytes(range(first, first + 32))
            if self.echo(data) != data:
                wrong += 32
        self.row("byte values that came back wrong", wrong, "0; else: is the wire from TX to RX there?")
        return not wrong

    def window(self):
        """How long time_pulse_us really looks, when the line is silent."""
        self.flush()
        took = []
        for _ in range(self.tries):
            begun = ticks_us()
            time_pulse_us(self.rx_pin, self.dominant_in, IDLE_US)
            took.append(ticks_diff(ticks_us(), begun))
        self.row("time_pulse_us over %d silent us" % IDLE_US, spread(took), "little over %d" % IDLE_US)

    def write_to_start(self):
        write, pulse, pin, level = self.uart.write, time_pulse_us, self.rx_pin, self.dominant_in
        took = []
        for _ in range(self.tries):
            self.flush()
            begun = ticks_us()
            write(b"\x00")
            pulse(pin, level, 5000)
            took.append(ticks_diff(ticks_us(), begun) - HOLD_US)
        self.start_us = sorted(took)[len(took) // 2]
        self.row("write() to start bit", spread(took), "about 30")

    def gate_to_start(self):
        """The expression that the firmware sends with: from the end of the silent window to the start bit."""
        gates = (nothing, self.uart.write)
        any_, pulse, pin, level = self.uart.any, time_pulse_us, self.rx_pin, self.dominant_in
        took = []
        busy = 0
        for _ in range(self.tries):
            self.flush()
            begun = ticks_us()
            sent = gates[(pulse(pin, level, IDLE_US) == -2) & (any_() == 0)](b"\x00")
            pulse(pin, level, 5000)
            ended = ticks_us()
            if sent:
                took.append(ticks_diff(ended, begun) - HOLD_US - IDLE_US)
            else:
                busy += 1
        self.row("end of silent window to start bit", spread(took) if took else "-", "34-40, and steady")
        self.row("windows that were not silent", busy, "0")

    def byte_to_any(self):
        any_, write = self.uart.any, self.uart.write
        took = []
        for _ in range(self.tries):
            self.flush()
            begun = ticks_us()
            write(b"\x55")
            while not any_():
                pass
            took.append(ticks_diff(ticks_us(), begun) - self.start_us)
        self.row("start bit to any() > 0", spread(took), "%d and a little" % BYTE_US)

    def edge_to_callback(self):
        took = []
        missed = 0
        for _ in range(self.tries):
            self.flush()
            with EdgeCount(self.rx_pin) as edges:
                begun = ticks_us()
                self.uart.write(b"\x00")
                while not edges.count and ticks_diff(ticks_us(), begun) < 3000:
                    pass
            if edges.count:
                took.append(ticks_diff(edges.at_us, begun) - self.start_us)
            else:
                missed += 1
        self.row("start bit to pin callback", spread(took) if took else "-", "25-100")
        self.row("pin callbacks that never came", missed, "0")

    def release(self):
        """Take TX away in mid-frame, let the FIFO run dry, give TX back: as after a collision."""
        dry, given, noisy, edges_seen, wrong = [], [], 0, 0, 0
        for _ in range(10):
            self.flush()
            self.uart.write(b"\x00" * 20)
            sleep_ms(4)
            begun = ticks_us()
            Pin(self.tx, Pin.OUT, value=self.recessive_out)
            if time_pulse_us(self.rx_pin, self.dominant_in, 18 * BYTE_US) != -2:
                noisy += 1
            while not self.uart.txdone():
                sleep_ms(1)
            dry.append(ticks_diff(ticks_us(), begun))
            with EdgeCount(self.rx_pin) as edges:
                before = ticks_us()
                self.uart.init(tx=self.tx)
                given.append(ticks_diff(ticks_us(), before))
            edges_seen += edges.count
            if self.echo(b"\x3f\x00\xff\xa5") != b"\x3f\x00\xff\xa5":
                wrong += 1
        self.row("pad not quiet after the release, of 10", noisy, "0")
        self.row("release to txdone()", spread(dry), "18 byte times, or what was left")
        self.row("init(tx=) that gives the pin back", spread(given), "45-80")
        self.row("edges on RX during it, of 10", edges_seen, "0 with a pull to recessive")
        self.row("wrong echoes after it, of 10", wrong, "0")
