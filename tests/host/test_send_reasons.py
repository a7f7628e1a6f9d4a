"""What `send` and `monitor` say when nothing comes of them, and the bridge on this computer knows why."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from click.testing import CliRunner, Result
from tests.ports import free_port

from openkline.bridge.bridge import Bridge, BridgeSettings
from openkline.bus import BusFrame
from openkline.cli import main, refusals
from openkline.cli import monitor as monitor_command
from openkline.cli import send as send_command
from openkline.device.state import State
from openkline.elm.options import ElmOptions
from openkline.gateway.options import GatewayOptions
from openkline.gateway.session import SessionState

from .fake_device import FAST, FakePort, frames
from .fake_obd import ObdBoard


async def run(bridge: Bridge, *words: str) -> Result:
    command, *rest = words
    return await asyncio.to_thread(CliRunner().invoke, main, [command, "-p", str(bridge.server.port), *rest])


async def started(elm: ElmOptions | None = None, **options: object) -> Bridge:
    """With the status port where commands look for it: one below the gateway's."""
    port = free_port(10) + 1
    gateway = GatewayOptions(port=port, **options)  # type: ignore[arg-type]
    bridge = Bridge(FakePort(ObdBoard() if elm else None), BridgeSettings(FAST, gateway, status_port=port - 1, elm=elm))
    await bridge.start()
    await bridge.device.wait_for(State.READY, timeout_s=10)
    return bridge


@pytest.mark.parametrize(
    ("options", "outcome", "says"),
    [
        ({"read_only": True}, "read_only", "--read-only"),
        ({"deny": ("68 18",)}, "denied", "--deny"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_reason_reaches_the_sender(options: dict[str, object], outcome: str, says: str) -> None:
    bridge = await started(**options)  # type: ignore[arg-type]
    try:
        done = await run(bridge, "send", "--json", "68 18 01")
    finally:
        await bridge.close()
    assert done.exit_code == 5 and says in " ".join(done.stderr.split()), done.output
    assert json.loads(done.stdout)["outcome"] == outcome


async def test_a_board_that_is_away() -> None:
    bridge = await started()
    assert isinstance(bridge.device.port, FakePort)
    try:
        bridge.device.port.unplug()
        await bridge.device.wait_for(State.WAITING, timeout_s=10)
        done = await run(bridge, "send", "68 18 01")
    finally:
        await bridge.close()
    assert done.exit_code == 5 and "not sent: " in done.stderr and "5 s" not in done.stderr, done.stderr


async def test_from_another_computer_only_what_was_seen_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openkline.bridge.status._LOCAL", ())
    monkeypatch.setattr(send_command, "_SEEN_TIMEOUT_S", 0.6)
    bridge = await started(read_only=True)
    try:
        done = await run(bridge, "send", "68 18 01")
    finally:
        await bridge.close()
    assert done.exit_code == 5 and "did not appear on the bus" in " ".join(done.stderr.split())


def test_what_the_board_says_of_the_only_message() -> None:
    def of(before: dict[str, int], now: dict[str, int]) -> str:
        return refusals._of_board({"transmit": {"outcomes": before}}, {"transmit": {"outcomes": now}})

    assert of({}, {"asleep": 1}) == of({"asleep": 2, "sent": 1}, {"asleep": 3, "sent": 1}) == "asleep"
    assert of({}, {}) == of({}, {"sent": 1}) == of({}, {"asleep": 2}) == of({}, {"asleep": 1, "no_echo": 1}) == ""
    assert refusals._of_board(None, {"transmit": {"outcomes": {"asleep": 1}}}) == ""


async def test_monitor_says_that_nothing_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_command, "_SILENT_S", 0.0)
    for elm, says in ((None, False), (ElmOptions(port=0), True)):
        bridge = await started(elm=elm)
        try:
            running = asyncio.create_task(run(bridge, "monitor", "-n", "1"))
            async with asyncio.timeout(10):
                while not any(one.state is SessionState.CONNECTED for one in bridge.server.sessions.values()):
                    await asyncio.sleep(0.01)
            bridge.server._on_frame(BusFrame(time.time(), frames(1)[0]))
            done = await asyncio.wait_for(running, 10)
        finally:
            await bridge.close()
        assert "nothing on the bus for 0 s" in done.stderr
        assert ("ELM327" in done.stderr) == says
