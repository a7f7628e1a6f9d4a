"""The USB serial link as the port has it: a UART at 115200 baud behind a bridge chip, both directions.

To the device: an interrupt puts bytes into a ring of 259; what doesn't fit is lost without a word. The interrupt
character (3 after power-on, micropython.kbd_intr(-1): none) raises KeyboardInterrupt and is not put in.
From the device: a FIFO of 128 bytes; a longer write waits for FreeRTOS ticks while it drains. If nobody reads at the
other end, the write waits for ever.
"""

from .costs import LINK_BAUD, STDIN_RING, TICK_US, TX_FIFO
from .rng import Rng

_CHUNK = 8  # bytes to the device arrive in groups: 0.7 ms


def _time_of(n):
    return n * 10_000_000 // LINK_BAUD


class UsbLink:
    def __init__(self, world):
        self.world = world
        self.interrupt_char = 3
        self.ring = bytearray(512)
        self.head = 0
        self.count = 0
        self.limit = STDIN_RING  # less while the interrupt can't be served (see flash.py)
        self.lost = 0  # bytes that found the ring full
        self.read_by_host = True  # False: nobody reads, stdout stalls
        self.on_output = None  # fn(bytes): what left the device, when its last byte has
        self._rx_free_at = 0
        self._tx_free_at = 0
        self.stdin = Stdin(self)
        self.stdout = Stdout(self)

    # host -> device

    def arrive(self, data):
        """The host's bytes, on the line from now or as soon as those before are through."""
        t = max(self.world.now, self._rx_free_at)
        for i in range(0, len(data), _CHUNK):
            part = bytes(data[i : i + _CHUNK])
            t += _time_of(len(part))
            self.world.at(t, self._in, part)
        self._rx_free_at = t

    def _in(self, part):
        for b in part:
            if b == self.interrupt_char:
                self.world.interrupt(KeyboardInterrupt())
            elif self.count >= self.limit:
                self.lost += 1
            else:
                self.ring[(self.head + self.count) & 511] = b
                self.count += 1

    def take(self):
        b = self.ring[self.head]
        self.head = (self.head + 1) & 511
        self.count -= 1
        return b

    # device -> host

    def fifo_free(self):
        waiting = self._tx_free_at - self.world.now
        if waiting <= 0:
            return TX_FIFO
        return TX_FIFO - (waiting * LINK_BAUD + 9_999_999) // 10_000_000

    def put(self, data):
        """A C call: blocks without serving callbacks until all is in the FIFO."""
        w = self.world
        i = 0
        while i < len(data):
            free = self.fifo_free() if self.read_by_host else 0
            if free <= 0:
                tick = (w.now // TICK_US + 1) * TICK_US
                while w.step(tick):
                    pass
                if not self.read_by_host and w.idle_for_ever():
                    w.stuck("stdout stalls: nobody reads, and nothing will happen any more")
                continue
            part = bytes(data[i : i + free])
            i += len(part)
            self._tx_free_at = max(w.now, self._tx_free_at) + _time_of(len(part))
            w.at(self._tx_free_at, self._out, part)

    def _out(self, part):
        if self.on_output is not None:
            self.on_output(part)

    def drain(self):
        """Lets what was written leave (before the process ends)."""
        self.world.run_until(max(self.world.now, self._tx_free_at))


class _Stream:
    def __init__(self, usb):
        self.usb = usb
        self.world = usb.world

    def close(self):
        pass


class StdinBuffer(_Stream):
    """sys.stdin.buffer. As on the port, a read blocks until all its bytes are there: ask poll() and read one."""

    def _ready(self, flags):
        return (1 if self.usb.count else 0) & flags

    def readinto(self, buf, n=-1):
        w = self.world
        w.enter("stdin")
        if n < 0:
            n = len(buf)
        usb = self.usb
        i = 0
        while i < n:
            while usb.count == 0:
                w.sleep_until((w.now // TICK_US + 1) * TICK_US, True)
                if usb.count == 0 and w.idle_for_ever():
                    w.stuck("stdin: waits for input that never comes")
            buf[i] = usb.take()
            i += 1
        w.leave()
        return n

    def read(self, n=-1):
        if n < 0:
            raise NotImplementedError("virtual board: read() without a size never ends")
        buf = bytearray(n)
        self.readinto(buf, n)
        return bytes(buf)


class Stdin(StdinBuffer):
    """sys.stdin: text, CR becomes LF."""

    def __init__(self, usb):
        super().__init__(usb)
        self.buffer = StdinBuffer(usb)

    def read(self, n=-1):
        return super().read(n).replace(b"\r", b"\n").decode()

    def readline(self, n=-1):
        line = ""
        while len(line) != n and not line.endswith("\n"):
            line += self.read(1)
        return line


class StdoutBuffer(_Stream):
    def _ready(self, flags):
        return 4 & flags

    def write(self, buf, off=None, n=None):
        """write(buf), write(buf, n), write(buf, off, n)"""
        w = self.world
        w.enter("stdout")
        if off is not None:
            buf = memoryview(buf)[:off] if n is None else memoryview(buf)[off : off + n]
        self.usb.put(buf)
        n = len(buf)
        w.leave()
        return n


class Stdout(StdoutBuffer):
    """sys.stdout: text, LF becomes CR LF."""

    def __init__(self, usb):
        super().__init__(usb)
        self.buffer = StdoutBuffer(usb)

    def write(self, text):
        if isinstance(text, str):
            text = text.encode()
        super().write(bytes(text).replace(b"\n", b"\r\n"))
        return len(text)

    def flush(self):
        pass


class UsbHost:
    """The other end of the link in a test: what the host's operating system sees.

    latency_us   USB frames and the bridge chip, each way
    on_data      fn(bytes), else everything is collected in `received`
    faults       per direction: a Faults (to_device, from_device), or None
    """

    def __init__(self, world, latency_us=1000, on_data=None):
        self.world = world
        self.latency_us = latency_us
        self.on_data = on_data
        self.received = bytearray()
        self.to_device = None
        self.from_device = None
        self.link = None
        world.usb.on_output = self._output

    def write(self, buf, n=-1):
        """Sends bytes to the device, like a serial port. Returns their number."""
        data = bytes(buf if n < 0 else memoryview(buf)[:n])
        delay = self.latency_us
        size = len(data)
        if self.to_device is not None:
            data, extra = self.to_device.apply(data)
            delay += extra
        self.world.at(self.world.now + delay, self.world.usb.arrive, data)
        return size

    def _output(self, data):
        delay = self.latency_us
        if self.from_device is not None:
            data, extra = self.from_device.apply(data)
            delay += extra
        self.world.at(self.world.now + delay, self._take, data)

    def _take(self, data):
        if self.link is not None:
            self.link.feed(data, len(data), self.ticks())
        elif self.on_data is not None:
            self.on_data(data)
        else:
            self.received.extend(data)

    def ticks(self):
        """The host's own clock, in the link's ticks."""
        return self.world.now & ((1 << 30) - 1)

    def attach(self, link, period_us=2000):
        """Feeds this HostLink (kline.protocol.link.host_end) and pumps it regularly."""
        self.link = link
        self._period_us = period_us
        self._pump(None)

    def _pump(self, _):
        if self.link is None:
            return
        self.link.pump(self.ticks(), self.write, 4096)
        self.world.at(self.world.now + self._period_us, self._pump)

    def unplug(self):
        """Nobody reads any more; nothing more is sent."""
        self.link = None
        self.world.usb.read_by_host = False


class Faults:
    """What a bad cable does: chances per byte in 1/10,000. delay_us: the most that a chunk may come late."""

    def __init__(self, seed, drop=0, flip=0, double=0, delay_us=0):
        self.rng = Rng(seed)
        self.drop, self.flip, self.double, self.delay_us = drop, flip, double, delay_us
        self.done = 0

    def apply(self, data):
        """-> (bytes, extra delay)"""
        out = bytearray()
        rng = self.rng
        for b in data:
            r = rng.below(10_000)
            if r < self.drop:
                self.done += 1
                continue
            r -= self.drop
            if 0 <= r < self.flip:
                self.done += 1
                b ^= 1 << rng.below(8)
            out.append(b)
            if 0 <= r - self.flip < self.double:
                self.done += 1
                out.append(b)
        return bytes(out), rng.below(self.delay_us + 1)
