"""`openkline send`"""

from __future__ import annotations

import asyncio
import json

import rich_click as click

from kline.protocol.ibus import names
from kline.protocol.ibus.frames import MIN_FRAME, encode
from openkline.bus import DEFAULT_PRIORITY, frame_fault
from openkline.cli.commands import resolve_command
from openkline.cli.common import (
    HexBytes,
    address_option,
    ask,
    device_option,
    json_option,
    port_option,
    set_up_logging,
)
from openkline.cli.joining import goes_through_bridge, opened_device
from openkline.errors import NotSent
from openkline.gateway.client import GatewayClient
from openkline.log.formats import hex_bytes

_SEEN_TIMEOUT_S = 5.0


@click.command(
    epilog='Examples: openkline send "68 18 01"; openkline send 68 18 38 00 00; openkline send --name cd_stop'
)
@click.argument("message", nargs=-1)
@click.option("--name", help="A named message instead (openkline commands lists them).")
@click.option("--priority", type=click.IntRange(-32768, 32767), default=DEFAULT_PRIORITY, show_default=True)
@click.option("--yes", is_flag=True, help="Don't ask before what moves, locks or unlocks something.")
@device_option
@address_option
@port_option
@json_option
def send(
    message: tuple[str, ...],
    name: str | None,
    priority: int,
    yes: bool,
    device: str | None,
    address: str,
    port: int,
    as_json: bool,
) -> None:
    """Send one message: source, destination, data, in hex. Length and checksum are added.

    Joins the bridge that -i or -p names, or the one that runs on this computer, and waits to see the message on the
    bus; without one, or with -d, opens the board itself. Exit status 5 when it did not get onto the bus.
    """
    set_up_logging(2)
    source, destination, data = _what(message, name, yes)
    result = asyncio.run(_send(source, destination, data, priority, device, address, port))
    frame = hex_bytes(encode(source, destination, data))
    if as_json:
        click.echo(json.dumps({"frame": frame, **result}))
    elif result["outcome"] == "sent":
        tries = result.get("tries")
        click.echo(f"{frame}  sent" + (f" ({tries} tries)" if isinstance(tries, int) and tries > 1 else ""))
    if result["outcome"] != "sent":
        raise NotSent(f"{frame} not sent: {explain(str(result['outcome']))}")


def _what(message: tuple[str, ...], name: str | None, yes: bool) -> tuple[int, int, bytes]:
    if name is not None:
        if message:
            raise click.UsageError("either a message in hex or --name, not both")
        command = resolve_command(name)
        frame = command.frame()
        if command.caution and not yes:
            ask(f"{command.description} ({hex_bytes(frame)}). Send it", "sent")
        return frame[0], frame[2], bytes(frame[3:-1])
    body = HexBytes()(" ".join(message)) or b""
    if not 3 <= len(body) <= 255:
        raise click.UsageError(
            f"a message is source, destination and 1 to 253 data bytes, such as 68 18 01; got {len(body)} bytes"
        )
    _refuse_frame(body)
    return body[0], body[1], body[2:]


def _refuse_frame(body: bytes) -> None:
    """Whole frames are what logs show, so they get typed: their second byte is their length, and not a destination.

    With a wrong checksum it is taken for one only where no module is known to have that address.
    """
    if len(body) < MIN_FRAME:
        return
    message = body[:1] + body[2:-1]
    frame = encode(message[0], message[1], message[2:])
    is_module = names.address_name(body[1]) != hex_bytes(body[1:2])
    if body[:-1] != frame[:-1] or (body != frame and is_module):
        return
    fault = frame_fault(body)
    but = f", but {fault}" if fault else ""
    raise click.UsageError(
        f"{hex_bytes(body)} is a whole frame{but}. Length and checksum are added here: "
        f'openkline send "{hex_bytes(message)}"'
    )


async def _send(
    source: int, destination: int, data: bytes, priority: int, device: str | None, address: str, port: int
) -> dict[str, object]:
    if await goes_through_bridge(device, address, port):
        return await _send_by_bridge(source, destination, data, priority, address, port)
    async with opened_device(device) as board:
        body = encode(source, destination, data)[:-1]
        result = await board.transmit(body, priority=priority)
        return {
            "outcome": result.outcome.value,
            "tries": result.tries,
            "waited_us": result.waited_us,
            "detail": result.detail,
        }


async def _send_by_bridge(
    source: int, destination: int, data: bytes, priority: int, address: str, port: int
) -> dict[str, object]:
    """The gateway protocol has no results; but each client gets a copy of what has really been on the bus."""
    async with GatewayClient(address, port) as client:
        await client.send(source, destination, data, priority=priority)
        try:
            async with asyncio.timeout(_SEEN_TIMEOUT_S):
                async for message in client:
                    if (message.source, message.destination, bytes(message.data)) == (source, destination, data):
                        return {"outcome": "sent"}
        except TimeoutError:
            return {"outcome": "not_seen"}
    return {"outcome": "disconnected"}


_REASONS = {
    "collision_limit": "every try collided with somebody else's message",
    "no_echo": "it did not come back from the bus: is the interface powered, and are its wires right?",
    "bus_stuck_low": "something holds the bus down: a short circuit, or a module without power",
    "bus_busy": "the bus did not become free in time",
    "dropped": "the board or its queue refused it",
    "asleep": "the car sleeps, and waking it is not allowed (bridge --wake)",
    "rate_limited": "too many messages of ours in this minute",
    "unknown_after_reset": "the board was reset meanwhile; nobody can say whether it was sent",
    "not_seen": f"the bridge took it, but it was not seen on the bus within {_SEEN_TIMEOUT_S:.0f} s",
    "disconnected": "the bridge ended the connection",
}


def explain(outcome: str) -> str:
    return _REASONS.get(outcome, outcome)
