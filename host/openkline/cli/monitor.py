"""`openkline monitor`"""

from __future__ import annotations

import asyncio
import contextlib
import time

import rich_click as click

from kline.protocol.ibus.frames import encode
from openkline.bus import BusFrame, FrameCallback
from openkline.cli.common import (
    address_option,
    device_option,
    json_option,
    port_option,
    set_up_logging,
    stop_on_signals,
    terminal_renderer,
)
from openkline.cli.joining import goes_through_bridge, opened_device
from openkline.gateway.client import GatewayClient
from openkline.log.files import FdSink, FrameLog
from openkline.net.access import host_port


@click.command(epilog="Examples: openkline monitor; openkline monitor --json | jq .data; openkline monitor -d sim")
@device_option
@address_option
@port_option
@json_option
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many frames.")
def monitor(device: str | None, address: str, port: int, as_json: bool, count: int | None) -> None:
    """Show the frames on the bus.

    Joins the bridge that -i or -p names, or the one that runs on this computer (times are then those of arrival);
    without one, or with -d, opens the board itself.
    """
    set_up_logging(0)
    asyncio.run(_monitor(device, address, port, as_json, count))


async def _monitor(device: str | None, address: str, port: int, as_json: bool, count: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    stop_on_signals(stop)

    def on_broken_pipe() -> None:
        loop.call_soon_threadsafe(stop.set)

    out = FrameLog(FdSink(1), terminal_renderer(as_json), "stdout", on_broken_pipe)
    left = count

    def show(frame: BusFrame) -> None:
        nonlocal left
        if left is not None:
            if not left:
                return
            left -= 1
        out(frame)
        if left == 0:
            stop.set()

    try:
        if await goes_through_bridge(device, address, port):
            await _join(address, port, show, stop)
        else:
            async with opened_device(device) as board:
                board.subscribe(show)
                await stop.wait()
    finally:
        await loop.run_in_executor(None, out.close)


async def _join(address: str, port: int, show: FrameCallback, stop: asyncio.Event) -> None:
    async with GatewayClient(address, port) as client:
        click.echo(f"joined the bridge at {host_port(address, port)}", err=True)

        async def listen() -> None:
            async for message in client:
                show(BusFrame(time.time(), encode(message.source, message.destination, message.data)))

        listening = asyncio.create_task(listen())
        stopping = asyncio.create_task(stop.wait())
        done, pending = await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if listening in done:
            listening.result()
            click.echo("the bridge has ended the connection", err=True)
