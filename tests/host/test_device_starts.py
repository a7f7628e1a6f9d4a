"""How long a board that starts may be silent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from openkline.device.device import Device
from openkline.device.patience import RESTART_S
from openkline.device.state import State

from .fake_device import FAST, FakePort


async def greeting(monkeypatch: pytest.MonkeyPatch) -> tuple[Device, list[float]]:
    """A device whose board never answers, and the clock that its patience goes by."""
    clock = [0.0]
    monkeypatch.setattr("openkline.device.patience.time", SimpleNamespace(monotonic=lambda: clock[0]))
    port = FakePort()
    port.board.mute = True
    device = Device(port, replace(FAST, silence_s=8.0))
    await device.start()
    await device.wait_for(State.GREETING, timeout_s=10)
    return device, clock


async def test_a_board_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    device, clock = await greeting(monkeypatch)
    for at_s, text in ((7.0, b"rst:0x1 (POWERON_RESET)\r\n"), (14.0, b"openkline starts in 1000 ms")):
        clock[0] = at_s
        device.on_received(text)
    clock[0] = 21.9
    device.on_tick()
    assert device.away == ""
    device.on_received(b"\r\n>>> ")  # a prompt is no start
    clock[0] = 22.0
    device.on_tick()
    assert "no openkline firmware answers" in device.away
    await device.stop()


async def test_a_board_that_starts_again_and_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    device, clock = await greeting(monkeypatch)
    for n in range(5):
        assert device.away == ""
        clock[0] = 7.0 * n
        device.on_received(b"rst:0xc (SW_CPU_RESET)\r\n")
    assert "starts again and again" in device.away
    await device.stop()


async def test_a_board_that_restarts_into_an_update_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    device, clock = await greeting(monkeypatch)
    device.patience.restart_is_due()
    clock[0] = RESTART_S - 0.1
    device.on_tick()
    assert device.away == ""
    clock[0] = RESTART_S
    device.on_tick()
    assert "no openkline firmware answers" in device.away
    await device.stop()
