"""openkline doctor: facts are gathered on the way from the PC to the wire, judged (pure), and reported.

    pc.py -> board.py -> wire.py      facts.py      judge*.py      report.py, pictures.py

What comes behind a part that doesn't work is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kline.protocol.link import records
from openkline.device.device import Device
from openkline.device.port import Port
from openkline.device.state import DeviceSettings
from openkline.doctor import board, pc, wire
from openkline.doctor.calls import ProbeCalls, ProbeFailed
from openkline.doctor.facts import BoardFacts, Facts
from openkline.doctor.wire import Consent

READY_TIMEOUT_S = 15.0  # a board that restarts needs some seconds


async def examine(
    name: str,
    port: Port,
    consent: Consent,
    *,
    obd: bool = False,
    listen_s: float = 3.0,
    timeout_s: float = READY_TIMEOUT_S,
    tell: Callable[[str], None] = lambda text: None,
) -> Facts:
    """All that can be found out about the board behind `port`, which is called `name` on the command line.

    consent: asked once, before the first pulse on the wire; obd: the wire is a K-line; listen_s: for others' traffic;
    timeout_s: for the board's first answer; tell: what is being done, for a person who waits
    """
    tell(f"opening {name}")
    facts = Facts(await pc.examine(name, port))
    if facts.pc.kind:
        await port.close()
        return facts
    configure = ((records.CONFIG_MODE, records.MODE_OBD),) if obd else ()
    device = Device(port, DeviceSettings(configure=configure))
    calls = ProbeCalls(device)
    with board.Lines() as heard:
        tell("waiting for the board")
        await device.start()
        try:
            found = await board.wait_for(device, heard, timeout_s)
            facts = replace(facts, board=found)
            if found.can_probe:
                facts = await _ask(facts, found, device, calls, listen_s, consent, tell)
                facts = replace(facts, said=tuple(heard.lines[len(found.lines) :]))
        finally:
            await device.stop()
    return facts


async def _ask(
    facts: Facts,
    found: BoardFacts,
    device: Device,
    calls: ProbeCalls,
    listen_s: float,
    consent: Consent,
    tell: Callable[[str], None],
) -> Facts:
    """What only the running firmware can tell, as far as it gets."""
    try:
        tell("asking the board about itself and its files")
        found = await board.examine(found, calls)
        facts = replace(facts, board=found, link=await board.try_link(device, calls))
        if facts.link is not None and not facts.link.lost:
            tell(f"listening on the wire for {listen_s:g} s")
            facts = replace(facts, wire=await wire.examine(device, calls, found.described, listen_s, consent))
    except ProbeFailed as error:
        facts = replace(facts, gone=str(error))
    return facts
