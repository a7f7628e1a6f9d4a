"""A board of one's own, without a bridge: hear frames with the board's times, send, and get the result."""

import asyncio

from openkline import BusFrame, encode, open_device

BOARD = "auto"  # or "/dev/ttyUSB0", or "sim"


def show(frame: BusFrame) -> None:
    print(f"{frame.time:.6f}  {frame.data.hex(' ').upper()}{'  (ours)' if frame.own else ''}", flush=True)


async def main() -> None:
    async with open_device(BOARD) as device:
        device.subscribe(show)
        body = encode(0x68, 0x18, b"\x01")[:-1]  # the board adds the checksum
        result = await device.transmit(body)
        print(f"{result.outcome.value} at the {result.tries}. try", flush=True)
        await asyncio.sleep(1)


asyncio.run(main())
