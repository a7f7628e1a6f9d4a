"""The facade: one transport and one I-Bus handler under one name, for the REPL and for small programs."""

from time import sleep_ms, ticks_diff, ticks_ms

from kline.device import board as boards
from kline.device.bus_access import BusAccess
from kline.device.config import KLineConfig
from kline.device.ibus_handler import IbusHandler
from kline.device.transport import KLineTransport


class IbusEsp32:
    """An I/K-Bus on this board. Every method delegates to `transport` or `handler`.

    >>> from kline import IbusEsp32
    >>> ibus = IbusEsp32().begin()
    >>> ibus.on_packet(lambda buffer, n: print(buffer[:n].hex(" ")))
    >>> ibus.listen(5)
    >>> ibus.send(0x68, 0x18, b"\\x01")
    """

    def __getattr__(self, name):
        if name in ("transport", "handler", "access"):
            raise RuntimeError("call begin() first")
        raise AttributeError(name)

    def begin(self, board=None, config=None, seed=None):
        """Start on `board` (default: board.json) with `config` (default: the I-Bus preset, inverted like the board)."""
        board = board or boards.load()
        config = config or KLineConfig.ibus(tx_invert=board.tx_invert, rx_invert=board.rx_invert)
        self.transport = KLineTransport(board, config, seed).begin()
        self.handler = IbusHandler(self.transport, boards.ActivityLed(board))
        self.access = BusAccess(self.handler)
        return self

    def close(self):
        """Give the hardware back."""
        self.transport.close()

    def on_packet(self, callback):
        """callback(buffer, length) for each frame: see IbusHandler.on_packet."""
        self.handler.on_packet(callback)

    def on_result(self, callback):
        """callback(id, code, detail, tries, waited_us, time_us) for each message of ours: see Transmitter."""
        self.transport.transmitter.on_result = callback

    def set_filter(self, *sources):
        """Only frames of these sources reach the callback."""
        self.handler.set_filter(*sources)

    def write(self, body, **options):
        """Queue a message of source, length, destination and data: see IbusHandler.write."""
        return self.handler.write(body, **options)

    def send(self, source, destination, data, **options):
        """Queue a message; length and checksum are added."""
        return self.handler.send(source, destination, data, **options)

    def run(self):
        """One turn; call it every few milliseconds."""
        self.access.turn()
        self.handler.process_one()

    def listen(self, seconds=None):
        """Run for so many seconds, or until Ctrl-C."""
        begun_ms = ticks_ms()
        try:
            while seconds is None or ticks_diff(ticks_ms(), begun_ms) < seconds * 1000:
                self.run()
                sleep_ms(1)
        except KeyboardInterrupt:
            pass

    async def serve(self):
        """Run for ever beside other asyncio tasks."""
        from asyncio import sleep_ms as pause_ms

        while True:
            self.run()
            await pause_ms(1)
