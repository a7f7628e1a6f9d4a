"""`openkline obd raw`"""

from __future__ import annotations

import asyncio
from typing import Any

import rich_click as click

from kline.protocol.checksum import sum8
from kline.protocol.link import records
from kline.protocol.obd import kwp, timing
from openkline.bus import hex_bytes
from openkline.cli.common import HexBytes, json_option
from openkline.cli.obd_common import car_options, opened_car, print_json, reach_of, tell_progress
from openkline.errors import ObdError
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.session import sender
from openkline.terminal import echo

_WAIT_MS = 100


@click.command(epilog='Examples: openkline obd raw "C1 33 F1 81" "C2 33 F1 01 0C"; openkline obd raw 68 6A F1 01 00')
@click.argument("frame", metavar="FRAME...", nargs=-1, required=True)
@click.option(
    "--wake",
    type=click.Choice(["auto", "session", "pulse", "none"]),
    default="auto",
    show_default=True,
    help="Before the first frame: initialise; the pulse of fast initialisation; nothing. auto: the pulse where it is a "
    "StartCommunication (.. 81), else initialise.",
)
@click.option("--no-checksum", is_flag=True, help="Send the bytes as they are, without adding the checksum.")
@car_options
@json_option
def raw(frame: tuple[str, ...], wake: str, no_checksum: bool, as_json: bool, **words: Any) -> None:
    """Send frames, header and all, and show every frame that comes back.

    Frames in quotes are sent one after the other in one session; bytes without quotes are one frame. Bytes that are no
    valid frame are in brackets. The answer ends with a silence of 100 ms (--wait).
    """
    frames = [_with_checksum(one, not no_checksum) for one in _frames(frame)]
    reach = reach_of(words)
    wait_ms = reach.wait or _WAIT_MS
    if wake == "auto":
        wake = "pulse" if _starts_communication(frames[0]) else "session"
    silent: list[bytes] = []

    async def run() -> None:
        async with opened_car(reach, connect=False) as car:
            if wake == "session":
                await car.session.initialise(reach.ways(), reach.baud or 0, tell_progress)
            else:
                await car.session.tell_limits()
            for number, one in enumerate(frames):
                pulse = _starts_communication(one) if number else wake == "pulse"
                if not await _send(car, one, pulse and wake != "none", wait_ms, as_json):
                    silent.append(one)

    asyncio.run(run())
    if silent:
        raise ObdError(_no_answer(silent[0], wake, wait_ms), "silent")


def _frames(words: tuple[str, ...]) -> list[bytes]:
    """One frame of single bytes, or several that are whole words of the command line."""
    parts = [HexBytes()(word) or b"" for word in words]
    if all(len(part) == 1 for part in parts):
        parts = [b"".join(parts)]
    elif len(parts) > 1 and any(len(part) < 3 for part in parts):
        raise click.UsageError('frames and single bytes can\'t be mixed: put each frame in quotes ("C2 33 F1 01 0C")')
    if not all(1 <= len(part) <= 254 for part in parts):
        raise click.UsageError("a frame has 1 to 254 bytes, such as C1 33 F1 81")
    return parts


def _with_checksum(frame: bytes, wanted: bool) -> bytes:
    """The frame with its checksum; as it is where it has one already (a KWP frame says its own length)."""
    whole = kwp.frame_size(frame, len(frame)) == len(frame) and sum8(frame, 0, len(frame) - 1) == frame[-1]
    return frame if whole or not wanted else frame + bytes((sum8(frame, 0, len(frame)),))


def _starts_communication(frame: bytes) -> bool:
    """StartCommunication in any form of header, with its checksum or (--no-checksum) without."""
    at = kwp.data_start(frame, len(frame))
    return at > 0 and kwp.START_COMMUNICATION in (frame[at:], frame[at:-1])


async def _send(car: Diagnostics, frame: bytes, pulse: bool, wait_ms: int, as_json: bool) -> bool:
    """Whether anything came."""
    answers = await car.session.raw(frame, pulse=pulse, silence_ms=wait_ms)
    for one in answers:
        ecu, valid = sender(one), one.mode != records.ANSWER_NO_FRAME
        if as_json:
            print_json({"data": hex_bytes(one.data), "ecu": f"{ecu:02X}" if ecu >= 0 else None, "valid": valid})
        else:
            echo(hex_bytes(one.data) if valid else f"[{hex_bytes(one.data)}]")
    return bool(answers)


def _no_answer(frame: bytes, wake: str, wait_ms: int) -> str:
    who = f"no ECU answered {hex_bytes(frame)}"
    if wait_ms * 1000 <= timing.LIMITS["P2"][1]:
        return f"{who} within {wait_ms} ms; it may take 50 ms, sometimes longer. Try a longer --wait"
    if wake == "session":
        return f"{who}, though the session is open: are header, length and checksum right? Does the car have this?"
    return f"{who}. Is the ignition on? Try --wake session, or another header"
