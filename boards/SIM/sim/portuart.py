"""machine.UART of the ESP32 port: arguments checked as there, the driver underneath is hwuart.py."""

from .costs import TX_FIFO
from .hwuart import ATTACH_US, GLITCH_US, INV_RX, INV_TX

_w = None
_KEEP = -2
_FOREVER = 1 << 60


def _pad(pin):
    """A pad from a pin number or Pin; flash pins are refused by the board."""
    return _w.board.pad(pin if isinstance(pin, int) else pin._pad.number)


def _size(name, n):
    if 0 <= n <= TX_FIFO and not (name == "txbuf" and n == 0):
        raise OSError(-1, "ESP_FAIL")  # the driver wants more than the hardware FIFO
    if n > 3900:
        raise ValueError("virtual board: %s is at most 3900" % name)


class UART:
    INV_TX = INV_TX
    INV_RX = INV_RX
    INV_RTS = 64
    INV_CTS = 8
    RTS = 1
    CTS = 2
    IRQ_RX = 1
    IRQ_RXIDLE = 4096
    IRQ_BREAK = 2

    def __init__(self, id, *args, **kw):
        if id == 0:
            raise ValueError("virtual board: UART(0) carries the USB link")
        if id not in (1, 2):
            raise ValueError("UART(%s) does not exist" % id)
        self._w = _w
        self._u = u = _w.board.uart(id)
        self._id = id
        fresh = not u.installed
        if fresh:
            if kw.get("tx") is None or kw.get("rx") is None:
                # the defaults: UART1 10/9 are flash pins, refused here; UART2 17/16
                kw.setdefault("tx", (10, 17)[id - 1])
                kw.setdefault("rx", (9, 16)[id - 1])
            u.installed = True
        if fresh or args or kw:
            self._init(fresh, *args, **kw)

    def init(self, *args, **kw):
        self._init(False, *args, **kw)

    def _init(
        self,
        fresh,
        baudrate=0,
        bits=0,
        parity=-1,
        stop=0,
        *,
        tx=None,
        rx=None,
        rts=None,
        cts=None,
        txbuf=-1,
        rxbuf=-1,
        timeout=0,
        timeout_char=0,
        invert=_KEEP,
        flow=0,
    ):
        w = self._w
        u = self._u
        w.enter("uart_install" if fresh else "uart_init")
        if bits not in (0, 5, 6, 7, 8):
            raise ValueError("invalid data bits")
        if stop not in (0, 1, 2):
            raise ValueError("invalid stop bits")
        if invert != _KEEP and invert & ~108:
            raise ValueError("invalid inversion mask")
        tx_pad = u.tx if tx is None else _pad(tx)
        rx_pad = u.rx if rx is None else _pad(rx)
        u.wait_tx(1_000_000)
        self._buffers(fresh, txbuf, rxbuf)
        u.baud = baudrate or u.baud
        u.bits = bits or u.bits
        u.stop = stop or u.stop
        if parity is None:
            u.parity = None
        elif parity != -1:
            u.parity = parity & 1
        u.timeout = timeout
        u.timeout_char = timeout_char
        self._attach(fresh, tx_pad, rx_pad, invert)
        w.leave()

    def _buffers(self, fresh, txbuf, rxbuf):
        u = self._u
        if txbuf == -1 and rxbuf == -1:
            return
        if txbuf != -1:
            _size("txbuf", txbuf)
            u.txbuf = txbuf
        if rxbuf != -1:
            _size("rxbuf", rxbuf)
            u.rxbuf = rxbuf
        if not fresh:
            self._w.burn(self._w.cost["uart_install"])

    def _attach(self, fresh, tx_pad, rx_pad, invert):
        """TX floats for a moment, is driven again, and only then inverted as asked: a first construction glitches."""
        w = self._w
        u = self._u
        u.release_tx()
        w.burn(ATTACH_US)
        if rx_pad is not u.rx or u.receiver is None:
            if rx_pad is not None:
                u.route_rx(rx_pad)
        if tx_pad is not None:
            u.route_tx(tx_pad)
        if invert != _KEEP and invert != u.invert:
            w.burn(GLITCH_US)
            u.invert = invert
        if u.rx is not None:
            u.rx.pull = 2  # uart_set_pin() leaves its weak pull-up on, whatever the inversion
            u.rx.update()
        u.apply()
        u.discard_rx()

    def deinit(self):
        w = self._w
        w.enter("uart_init")
        self._u.uninstall()
        w.leave()

    def _check(self):
        if not self._u.installed:
            raise OSError(-1, "ESP_FAIL")

    def any(self):
        w = self._w
        w.enter("any")
        n = self._u.rx_count
        w.leave()
        return n

    def _wait_rx(self):
        u = self._u
        if u.rx_count == 0 and u.timeout:
            end = self._w.now + u.timeout * 1000
            while u.rx_count == 0 and self._w.step(end):
                pass

    def readinto(self, buf, n=-1):
        w = self._w
        w.enter("readinto")
        u = self._u
        self._wait_rx()
        if n < 0:
            n = len(buf)
        elif n > len(buf):
            n = len(buf)
        if n > u.rx_count:
            n = u.rx_count
        data = u.rx_data
        head = u.rx_head
        i = 0
        while i < n:
            buf[i] = data[(head + i) & 4095]
            i += 1
        u.rx_head = (head + n) & 4095
        u.rx_count -= n
        w.leave()
        return n or None

    def read(self, n=-1):
        buf = bytearray(n if n >= 0 else self._u.rx_count)
        got = self.readinto(buf)
        return bytes(buf[:got]) if got else None

    def readline(self):
        line = b""
        while self._u.rx_count and not line.endswith(b"\n"):
            line += self.read(1)
        return line or None

    def write(self, buf, off=None, n=None):
        """write(buf), write(buf, n), write(buf, off, n). Blocks while the driver's buffer is full."""
        w = self._w
        w.enter("write_start")
        self._check()
        if off is not None:
            buf = memoryview(buf)[:off] if n is None else memoryview(buf)[off : off + n]
        u = self._u
        n = len(buf)
        if n <= u.tx_free():
            u.transmitter.send(buf)
        else:
            for i in range(n):
                while u.tx_free() <= 0:
                    w.step(_FOREVER)
                u.transmitter.send(bytes((buf[i],)))
        w.run_until(w.now + w.cost["write_end"])
        w.leave()
        return n

    def txdone(self):
        w = self._w
        w.enter("txdone")
        done = not self._u.transmitter.busy
        w.leave()
        return done

    def flush(self):
        """Blocks the VM: no callback runs until the last stop bit is over."""
        w = self._w
        w.enter("txdone")
        self._u.wait_tx(_FOREVER)
        w.leave()

    def sendbreak(self):
        """Drives the pad low whatever `invert` says: on an inverted stage that is bus idle."""
        w = self._w
        w.enter("uart_init")
        u = self._u
        u.wait_tx(_FOREVER)
        if u.tx is not None and u.tx.uart is u:
            u.tx_level = 0
            u.tx.update()
            w.burn(u.transmitter.fmt.frame_us + 2 * u.transmitter.fmt.half_us)
            u.apply()
        w.leave()

    def irq(self, handler=None, trigger=0, hard=False):
        w = self._w
        w.enter("uart_irq")
        self._check()
        if hard:
            raise ValueError("virtual board: the ESP32 port has no hard UART interrupts")
        if trigger & ~(UART.IRQ_RX | UART.IRQ_BREAK | UART.IRQ_RXIDLE):
            raise ValueError("trigger 0x%04x unsupported" % trigger)
        if trigger & ~UART.IRQ_RX:
            raise NotImplementedError("virtual board: only IRQ_RX")
        u = self._u
        u.handler = handler
        u.trigger = trigger
        u.owner = self
        w.leave()

    def _ready(self, flags):
        ready = 1 if self._u.rx_count else 0
        if self._u.tx_free() > 0:
            ready |= 4
        return ready & flags

    def __repr__(self):
        u = self._u
        return "UART(%d, baudrate=%d, bits=%d, parity=%s, stop=%d)" % (self._id, u.baud, u.bits, u.parity, u.stop)
