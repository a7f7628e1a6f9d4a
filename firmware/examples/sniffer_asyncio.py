"""Frames on the terminal beside another task, until Ctrl-C.

openkline repl      (the application quits; Ctrl-] leaves the prompt)
mpremote resume run --no-follow firmware/examples/sniffer_asyncio.py repl
"""

import asyncio

from kline import IbusEsp32
from kline.protocol.ibus.names import address_name, describe


class Sniffer:
    """Prints the frames of `sources` (all, when none is named) and, every few seconds, how many it has seen of whom."""

    def __init__(self, ibus, *sources):
        self.counts = {}
        ibus.set_filter(*sources)
        ibus.on_packet(self.on_packet)

    def on_packet(self, buffer, length):
        # The buffer is used again for the next frame: what is to be kept must be copied, as [:length] does here.
        print(buffer[:length].hex(" "), "", describe(buffer))
        self.counts[buffer[0]] = self.counts.get(buffer[0], 0) + 1

    async def report(self, every_s=5):
        while True:
            await asyncio.sleep(every_s)
            print("seen:", ", ".join("%s %d" % (address_name(source), n) for source, n in self.counts.items()))


async def main():
    ibus = IbusEsp32().begin()  # the pins are those of board.json
    sniffer = Sniffer(ibus)
    try:
        await asyncio.gather(ibus.serve(), sniffer.report())
    finally:
        ibus.close()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
