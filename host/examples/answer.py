"""With asyncio: be a CD changer that answers when the radio asks whether it is there."""

import asyncio

from openkline import GatewayClient

HOST, PORT = "127.0.0.1", 4287
RADIO, CHANGER = 0x68, 0x18
ARE_YOU_THERE, HERE_I_AM = b"\x01", b"\x02\x00"


async def main() -> None:
    async with GatewayClient(HOST, PORT, reconnect=True) as client:
        async for message in client:
            if (message.source, message.destination, message.data) == (RADIO, CHANGER, ARE_YOU_THERE):
                await client.send(CHANGER, 0xFF, HERE_I_AM)
                print("answered", flush=True)


asyncio.run(main())
