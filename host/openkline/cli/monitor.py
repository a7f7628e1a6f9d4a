"""`openkline monitor`"""

from __future__ import annotations

import asyncio
import contextlib
import time

import rich_click as click

from kline.protocol.ibus.frames import encode
from openkline.bridge.status import fetch_beside
from openkline.bus import BusFrame, FrameCallback
from openkline.cli.common import json_option, set_up_logging, stop_on_signals, tell, terminal_renderer
from openkline.cli.joining import Target, opened_device, target_options
from openkline.cli.refusals import OBD_MODE
from openkline.gateway.client import GatewayClient
from openkline.log.files import FdSink, FrameLog
from openkline.net.access import host_port
from openkline.terminal import echo

_SILENT_S = 5.0


@click.command(epilog="Examples: openkline monitor; openkline monitor --json | jq .data; openkline monitor -d sim")
@target_options
@json_option
@click.option("-n", "--count", type=click.IntRange(1), help="Stop after this many frames.")
def monitor(target: Target, as_json: bool, count: int | None) -> None:
    """Show the frames on the bus.

    Joins the bridge given by -i and -p, by default the one on this computer; frames then carry their time of arrival.
    If no bridge is running, or with -d, opens the board directly.
    """
    set_up_logging(0)
    asyncio.run(_monitor(target, as_json, count))


async def _monitor(target: Target, as_json: bool, count: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    stop_on_signals(stop)

    def on_broken_pipe() -> None:
        loop.call_soon_threadsafe(stop.set)

    out = FrameLog(FdSink(1), terminal_renderer(as_json), "stdout", on_broken_pipe)
    left = count
    silence = _Silence()

    def show(frame: BusFrame) -> None:
        nonlocal left
        silence.over()
        if left is not None:
            if not left:
                return
            left -= 1
        out(frame)
        if left == 0:
            stop.set()

    try:
        if await target.is_bridge():
            await _join(target.address, target.port, show, stop)
        else:
            async with opened_device(target.device) as board:
                board.subscribe(show)
                await stop.wait()
    finally:
        silence.over()
        await loop.run_in_executor(None, out.close)


class _Silence:
    """Says once that nothing is heard: a monitor that shows nothing looks like one that waits for something."""

    def __init__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SILENT_S, self._tell)

    def _tell(self) -> None:
        tell(f"nothing on the bus for {_SILENT_S:.0f} s: is the car awake? `openkline doctor` checks the wiring")

    def over(self) -> None:
        self._timer.cancel()


async def _join(address: str, port: int, show: FrameCallback, stop: asyncio.Event) -> None:
    async with GatewayClient(address, port) as client:
        echo(f"joined the bridge at {host_port(address, port)}", err=True)
        known = await fetch_beside(address, port)
        if known is not None and known["elm327"] is not None:
            tell(OBD_MODE)

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
            echo("the bridge closed the connection", err=True)
