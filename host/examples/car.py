"""Ask a car over its K-line: identification, stored trouble codes, and engine speed once."""

import asyncio

from openkline import Diagnostics, ObdSession, open_device

BOARD, CAR = "auto", "obd"  # CAR: which virtual car, where BOARD is "sim"
RPM = b"\x01\x0c"


async def main() -> None:
    async with open_device(BOARD, "obd", car=CAR) as device, ObdSession(device) as session:
        await session.connect(progress=print)
        car = Diagnostics(session)
        print("VIN:", await car.vins())
        codes, certain = await car.codes()
        print("stored codes:", codes, "" if certain else "(uncertain)")
        for answer in (await session.request(RPM)).positive():
            high, low = answer.frames[0][1:3]
            print(f"ECU {answer.ecu:02X}: {(256 * high + low) / 4:.0f} 1/min")


asyncio.run(main())
