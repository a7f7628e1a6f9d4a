"""`openkline send`"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import rich_click as click

from kline.protocol.ibus import names
from kline.protocol.ibus.frames import MIN_FRAME, encode
from openkline.bus import DEFAULT_PRIORITY, frame_fault, hex_bytes
from openkline.cli.common import HexBytes, ask, json_option, set_up_logging
from openkline.cli.joining import Target, opened_device, target_options
from openkline.errors import NotSent
from openkline.lazy import LazyModule
from openkline.terminal import echo
from openkline.words import plural

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")

_SEEN_TIMEOUT_S = 5.0
_ASK_AFTER_S = 0.5  # a bridge gives the same status for 0.1 s


@click.command(
    epilog='Examples: openkline send "68 18 01"; openkline send 68 18 38 00 00; openkline send --name cd_stop'
)
@click.argument("message", nargs=-1)
@click.option("--name", metavar="NAME", help="Send a named message; `openkline commands` lists them.")
@click.option(
    "--priority",
    type=click.IntRange(-32768, 32767),
    default=DEFAULT_PRIORITY,
    show_default=True,
    help="Order in the queue; higher goes first.",
)
@click.option("--yes", is_flag=True, help="Don't ask before sending a message that moves, locks or unlocks something.")
@target_options
@json_option
def send(
    message: tuple[str, ...],
    name: str | None,
    priority: int,
    yes: bool,
    target: Target,
    as_json: bool,
) -> None:
    """Send one message to the bus.

    MESSAGE is source, destination and data in hex; length and checksum are added. Joins the bridge given by -i and -p,
    by default the one on this computer, and waits until the message appears on the bus. If no bridge is running, or
    with -d, opens the board directly. Exit status 5: the message did not get onto the bus.
    """
    set_up_logging(2)
    source, destination, data = _what(message, name, yes)
    result = asyncio.run(_send(source, destination, data, priority, target))
    frame = hex_bytes(encode(source, destination, data))
    if as_json:
        echo(json.dumps({"frame": frame, **result}), wrap=False)
    elif result["outcome"] == "sent":
        tries = result.get("tries")
        more = f" ({plural(tries, 'try', 'tries')})" if isinstance(tries, int) and tries > 1 else ""
        echo(f"{frame}  sent{more}")
    if result["outcome"] != "sent":
        raise NotSent(f"{frame} not sent: {result.get('detail') or explain(str(result['outcome']))}")


def _what(message: tuple[str, ...], name: str | None, yes: bool) -> tuple[int, int, bytes]:
    if name is not None:
        if message:
            raise click.UsageError("give a message in hex or --name, not both")
        from openkline.cli.commands import resolve_command

        command = resolve_command(name)
        frame = command.frame()
        if command.caution and not yes:
            ask(f"{command.description} ({hex_bytes(frame)}). Send it?", "sent")
        return frame[0], frame[2], bytes(frame[3:-1])
    body = HexBytes()(" ".join(message)) or b""
    if not 3 <= len(body) <= 255:
        got = plural(len(body), "byte")
        raise click.UsageError(f"a message is source, destination and 1 to 253 data bytes, such as 68 18 01; got {got}")
    _refuse_frame(body)
    return body[0], body[1], body[2:]


def _refuse_frame(body: bytes) -> None:
    """Logs show whole frames, so people type them: the second byte is then the length, not a destination.

    With a wrong checksum it counts as a frame only if no module is known at the address that the length would be.
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


async def _send(source: int, destination: int, data: bytes, priority: int, target: Target) -> dict[str, object]:
    if await target.is_bridge():
        return await _send_by_bridge(source, destination, data, priority, target)
    async with opened_device(target.device) as board:
        body = encode(source, destination, data)[:-1]
        result = await board.transmit(body, priority=priority)
        return {
            "outcome": result.outcome.value,
            "tries": result.tries,
            "waited_us": result.waited_us,
            "detail": result.detail,
        }


async def _send_by_bridge(
    source: int, destination: int, data: bytes, priority: int, target: Target
) -> dict[str, object]:
    """The gateway protocol has no results, but each client gets a copy of what was really on the bus.

    A bridge on this computer knows more: it is asked when the copy doesn't come at once, and again at the end.
    """
    from openkline.bridge.status import fetch_beside
    from openkline.cli.refusals import reason
    from openkline.gateway.client import GatewayClient

    before = await fetch_beside(target.address, target.port)
    async with GatewayClient(target.address, target.port) as client:
        await client.send(source, destination, data, priority=priority)

        async def copy() -> bool:
            async for message in client:
                if (message.source, message.destination, bytes(message.data)) == (source, destination, data):
                    return True
            return False

        seen = asyncio.ensure_future(copy())
        try:
            for wait_s in (_ASK_AFTER_S, _SEEN_TIMEOUT_S - _ASK_AFTER_S):
                await asyncio.wait((seen,), timeout=wait_s)
                if seen.done():
                    return {"outcome": "sent" if seen.result() else "disconnected"}
                outcome, why = await reason(target.address, target.port, client.session_port, before)
                if outcome:
                    return {"outcome": outcome, "detail": why}
        finally:
            seen.cancel()
    return {"outcome": "not_seen"}


_REASONS = {
    "collision_limit": "every attempt collided with another message",
    "no_echo": "no echo from the bus: is the interface powered and wired correctly?",
    "bus_stuck_low": "the bus is held low: a short circuit, or a module without power",
    "bus_busy": "the bus did not become free in time",
    "dropped": "the board or its queue refused it",
    "asleep": "the car is asleep, and waking it is not allowed (bridge --wake)",
    "rate_limited": "too many messages sent within a minute (bridge --max-rate)",
    "unknown_after_reset": "the board was reset in the meantime; the message may or may not have been sent",
    "not_seen": f"the bridge accepted it, but it did not appear on the bus within {_SEEN_TIMEOUT_S:.0f} s",
    "disconnected": "the bridge closed the connection",
}


def explain(outcome: str) -> str:
    return _REASONS.get(outcome, outcome)
