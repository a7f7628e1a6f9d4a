"""The wire as the board sees it: first by listening only, then, if the person agrees, by short pulses of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from kline.protocol.link import probe
from openkline.device.device import Device
from openkline.doctor.board import count
from openkline.doctor.calls import ProbeCalls, ProbeFailed
from openkline.doctor.facts import ActiveFacts, Echo, Pulls, Pulse, WireFacts
from openkline.doctor.rates import bit_of

RATES = (2400, 4800, 9600, 19200)
_PULSE_US = 1000
_ENOUGH = 60  # pulses of each level: then there is no need to listen longer
_LOOKS = 4  # of twice 48 ms, at least, however slow this computer is
_MORE_LOOKS = 16  # at least, where another module sends, but too seldom so far for its rate to be known
# A car that begins to send at that moment spoils a measurement, so each must come out the same several times.
_AGREED = 3
_TRIES = 12

# Asked before the first pulse, with what was heard so far. The answer: go on?
Consent = Callable[[WireFacts], Awaitable[bool]]


async def examine(
    device: Device, calls: ProbeCalls, board: dict[str, Any], listen_s: float, consent: Consent
) -> WireFacts:
    """board: OP_BOARD's fields. ProbeFailed: the board no longer answers."""
    heard = await _listen(device, calls, board, listen_s)
    if not await consent(heard):
        return replace(heard, skipped="not agreed to")
    return replace(heard, active=await _pull(calls, heard))


async def _listen(device: Device, calls: ProbeCalls, board: dict[str, Any], listen_s: float) -> WireFacts:
    before = await count(device)
    widths, seen = await watch(calls, listen_s)
    after = await count(device)

    def grown(*names: str) -> int:
        return sum(after.get(name, 0) - before.get(name, 0) for name in names)

    return WireFacts(
        mode=int(board["mode"]),
        baud=int(board["baud"]),
        rx_pin=int(board["rx"]),
        tx_pin=int(board["tx"]),
        tx_invert=bool(board["tx_invert"]),
        rx_invert=bool(board["rx_invert"]),
        rx=await _rx_pulls(calls, bool(board["rx_invert"])),
        dominant_seen=bool(seen & probe.SEEN_DOMINANT),
        recessive_seen=bool(seen & probe.SEEN_RECESSIVE),
        lows=tuple(widths[True]),
        highs=tuple(widths[False]),
        frames=grown("frames"),
        bad=grown("bad_checksum", "bad_length", "too_long", "stalled"),
        received=grown("rx_bytes"),
    )


async def watch(calls: ProbeCalls, listen_s: float) -> tuple[dict[bool, list[int]], int]:
    """-> the widths of dominant (True) and recessive pulses, and which levels were seen at all (SEEN_..)."""
    widths: dict[bool, list[int]] = {True: [], False: []}
    seen = 0
    loop = asyncio.get_running_loop()
    until_s = loop.time() + listen_s
    looks = 0
    while True:
        looks += 1
        for dominant in (True, False):
            data = await calls.ask(probe.OP_WATCH, bytes((dominant, probe.MAX_PIECES)))
            seen |= data[1]
            widths[dominant] += probe.unpack_widths(data, 2)
        if min(map(len, widths.values())) >= _ENOUGH:
            return widths, seen
        talk = seen == probe.SEEN_RECESSIVE | probe.SEEN_DOMINANT
        rate_unknown = talk and bit_of(widths[True], widths[False]) is None
        if loop.time() >= until_s and looks >= (_MORE_LOOKS if rate_unknown else _LOOKS):
            return widths, seen


async def _rx_pulls(calls: ProbeCalls, rx_invert: bool) -> Pulls:
    """A recessive level against the pull says that RX is held; a dominant one may be another module that sends."""
    found: list[Pulls] = []
    held = 0
    while held < _AGREED and len(found) < _TRIES:
        pulls = Pulls.of((await calls.ask(probe.OP_RX_PULLS))[0])
        found.append(pulls)
        held += not pulls.up if rx_invert else pulls.down
    loose = [pulls for pulls in found if pulls.loose]
    return loose[0] if held < _AGREED <= len(loose) else found[-1]


async def _pull(calls: ProbeCalls, heard: WireFacts) -> ActiveFacts:
    bits = (await _agreed(lambda: calls.ask(probe.OP_TX_PULLS)))[0]
    pulse = await _pulse(calls, heard, 0)
    pulled = swapped = None
    if not pulse.seen and not pulse.upside_down:
        if heard.rx.loose:
            pulled = await _pulse(calls, heard, probe.PULSE_PULLED)
        try:
            swapped = await _pulse(calls, heard, probe.PULSE_SWAPPED)
        except ProbeFailed as error:
            if error.code < 0:
                raise
            # RX is a pin that can only be an input.
    echoes = []
    if pulse.seen:
        echoes = [await _echo(calls, baud, heard) for baud in sorted({heard.baud, *RATES})]
    return ActiveFacts(
        tx=Pulls.of(bits),
        rx_alone=bool(bits >> 4 & 1) == heard.rx_invert,
        pulse=pulse,
        pulled=pulled,
        swapped=swapped,
        echoes=tuple(echoes),
    )


async def _pulse(calls: ProbeCalls, heard: WireFacts, flags: int) -> Pulse:
    arguments = bytes((flags, _PULSE_US & 0xFF, _PULSE_US >> 8))
    data = await _agreed(lambda: calls.ask(probe.OP_PULSE, arguments), _rise_us)
    levels, fall, rise = probe.unpack_pulse(data)
    before, during, after = (bool(levels >> bit & 1) == heard.rx_invert for bit in range(3))
    return Pulse(before, during, after, fall, rise)


def _rise_us(data: bytes) -> int:
    rise = probe.unpack_pulse(data)[2]
    return probe.LIMIT_US if rise == probe.NEVER else rise


async def _agreed(ask: Callable[[], Awaitable[bytes]], badness: Callable[[bytes], int] = len) -> bytes:
    """The answer whose levels (its first byte) came _AGREED times, or most often; of those the least bad one."""
    found: dict[int, list[bytes]] = {}
    for _ in range(_TRIES):
        data = await ask()
        same = found.setdefault(data[0], [])
        same.append(data)
        if len(same) == _AGREED:
            break
    return min(sorted(found.values(), key=len)[-1], key=badness)


async def _echo(calls: ProbeCalls, baud: int, heard: WireFacts) -> Echo:
    for _ in range(_TRIES if heard.talking else 1):
        data = await calls.ask(probe.OP_ECHO, baud.to_bytes(4, "little") + b"\x01")
        n = data[0]
        echo = Echo(baud, data[1 : 1 + n], tuple(probe.unpack_widths(data, 1 + n)))
        if echo.right:
            break
    return echo
