"""UARTs at level resolution: a byte's edges out, edges to bytes in. Used by the board and by every peer.

Parity as in machine.UART: None, 0 even, 1 odd.
"""

PARITY_ERROR = 1
FRAMING_ERROR = 2

_ones = [0]
for _i in range(1, 256):
    _ones.append(_ones[_i >> 1] + (_i & 1))


class Format:
    """Bit times of one setting. A frame is a start bit, data bits LSB first, a parity bit or none, stop bits."""

    _cache = {}

    @staticmethod
    def of(baud=9600, bits=8, parity=0, stop=1):
        key = (baud, bits, parity, stop)
        f = Format._cache.get(key)
        if f is None:
            f = Format._cache[key] = Format(key)
        return f

    def __init__(self, key):
        self.key = key
        self.baud, self.bits, self.parity, self.stop = key
        self.payload = self.bits + (self.parity is not None)
        self.frame_us = self.at(1 + self.payload + self.stop)
        self.half_us = self.at(1) // 2
        self.stop_us = (self.at(1 + self.payload) + self.at(2 + self.payload)) // 2
        self.baud2 = 2 * self.baud
        self._edges = {}

    def at(self, bit):
        """us from the start edge to the beginning of this bit."""
        return (bit * 1_000_000 + self.baud // 2) // self.baud

    def parity_bit(self, byte):
        return (_ones[byte] & 1) ^ self.parity

    def edges(self, byte):
        """us from the start edge of each level change of this byte: down, up, down, .., up."""
        e = self._edges.get(byte)
        if e is None:
            v = byte & ((1 << self.bits) - 1)
            if self.parity is not None:
                v |= self.parity_bit(v) << self.bits
            v |= 1 << self.payload
            out = [0]
            level = 0
            for i in range(self.payload + 1):
                bit = v >> i & 1
                if bit != level:
                    out.append(self.at(i + 1))
                    level = bit
            e = self._edges[byte] = tuple(out)
        return e


class Transmitter:
    """A UART's sending half. out(level) gets 1 for idle/mark; on_empty() is called when the last stop bit is over."""

    def __init__(self, world, out, fmt, on_empty=None):
        self.world = world
        self.out = out
        self.fmt = fmt
        self.on_empty = on_empty
        self.fifo = []
        self.busy = False
        self.sent = 0
        self._event = [0, self._edge, None]

    def send(self, data):
        """Queues bytes; the first start bit is now if nothing is being sent."""
        self.fifo.extend(data)
        if not self.busy and self.fifo:
            self._begin(self.world.now)

    def pending(self):
        """Bytes not yet begun."""
        return len(self.fifo)

    def abort(self):
        """Lets go of the line at once and forgets what was queued (peers can; the ESP32's UART can't)."""
        self.fifo.clear()
        if self.busy:
            self.world.drop(self._event)
            self.busy = False
            self.out(1)

    def _begin(self, t):
        self.busy = True
        self._start = t
        self._edges = self.fmt.edges(self.fifo.pop(0))
        self._i = 0
        self._edge(None)

    def _edge(self, _):
        i = self._i
        edges = self._edges
        if i < len(edges):
            self.out(i & 1)
            self._i = i = i + 1
            if i < len(edges):
                self.world.put(self._event, self._start + edges[i])
            else:
                self.world.put(self._event, self._start + self.fmt.frame_us)
            return
        self.sent += 1
        if self.fifo:
            self._begin(self._start + self.fmt.frame_us)
            return
        self.busy = False
        if self.on_empty is not None:
            self.on_empty()


class Receiver:
    """A UART's receiving half on a net. on_byte(value, flags) is called when the stop bit is over.

    A low shorter than half a bit is no start bit. Each bit is sampled in its middle; a byte with a wrong parity or
    stop bit is delivered all the same, with PARITY_ERROR or FRAMING_ERROR set. A line that stays low is one byte 00.
    """

    def __init__(self, world, net, fmt, on_byte):
        self.world = world
        self.net = net
        self.fmt = fmt
        self.on_byte = on_byte
        self.inverted = 0
        self.active = False
        self.start_us = 0
        self._e = [0] * 64
        self._n = 0
        self._event = [0, self._decide, None]
        net.listeners.append(self._edge)

    def restart(self, fmt=None, inverted=None):
        """Forgets a byte in progress; the next falling edge begins one."""
        if self.active:
            self.world.drop(self._event)
            self.active = False
        if fmt is not None:
            self.fmt = fmt
        if inverted is not None:
            self.inverted = inverted

    def _edge(self, level):
        now = self.world.now
        if self.active:
            t = now - self.start_us
            n = self._n
            if n == 1 and t < self.fmt.half_us:
                self.world.drop(self._event)
                self.active = False
            elif n < 64:
                self._e[n] = t
                self._n = n + 1
        elif level == self.inverted:
            self.active = True
            self.start_us = now
            self._n = 1
            self.world.put(self._event, now + self.fmt.frame_us)

    def _samples(self):
        """The levels in the middle of each bit after the start bit, the first one in bit 0."""
        e = self._e
        n = self._n
        v = (n & 1 ^ 1) << 32
        baud2 = self.fmt.baud2
        i = 1
        while i < n:
            # how many bit middles (at 1.5, 2.5 .. bit times) lie before this edge
            p = (e[i] * baud2 // 1_000_000 - 1) >> 1
            if p > 0:
                v += -(1 << p) if i & 1 else 1 << p
            else:
                v += -1 if i & 1 else 1
            i += 1
        return v

    def _decide(self, _):
        fmt = self.fmt
        v = self._samples()
        flags = 0 if v >> fmt.payload & 1 else FRAMING_ERROR
        byte = v & ((1 << fmt.bits) - 1)
        if fmt.parity is not None and v >> fmt.bits & 1 != fmt.parity_bit(byte):
            flags |= PARITY_ERROR
        self._end_frame(fmt)
        self.on_byte(byte, flags)

    def _end_frame(self, fmt):
        last = self._e[self._n - 1]
        if self._n & 1 and last > fmt.stop_us and self._n > 1:
            # a faster sender's next start bit fell before our stop bit was over
            self.start_us += last
            self._n = 1
            self.world.put(self._event, self.start_us + fmt.frame_us)
        else:
            self.active = False


class Fanout(Receiver):
    """One receiver with many takers: fn(value, flags)."""

    def __init__(self, world, net, fmt):
        super().__init__(world, net, fmt, self._deliver)
        self.takers = []

    def _deliver(self, value, flags):
        for fn in self.takers:
            fn(value, flags)
