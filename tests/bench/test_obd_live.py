"""`openkline obd live` through everything in real time: PC, pty, the firmware, an ECU on the virtual wire.

Beside the limit that P2, P3, P4 and the bytes set for one request; the processor is shared with the virtual board.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from openkline.cli import obd_live
from openkline.device.sim import SimOptions
from openkline.obd.live import Cell, LiveValues
from openkline.obd.session import SETTINGS, ObdSession

sys.path.insert(0, str(Path(__file__).parents[2]))  # pytest's importlib mode knows no package above this one
from tests.e2e.rig import sim_device

BYTE_S = 10 / 10_400
LIMIT_S = 6 * BYTE_S + 5 * 0.005 + 0.025 + 8 * BYTE_S + 0.055
ROUNDS = 60


@pytest.mark.parametrize(("kind", "protocol"), [("fast", "kwp"), ("slow", "iso9141")])
async def test_rounds_of_one_pid(tmp_path: Path, kind: str, protocol: str) -> None:
    script = {"protocol": protocol, "timing_ms": {"P2": 25, "P1": 0}, "pids": {"0C": "0D 20"}}
    path = tmp_path / "car.json"
    path.write_text(json.dumps(script))
    times: list[float] = []
    async with sim_device(SimOptions(car=str(path)), SETTINGS) as (device, _), ObdSession(device) as session:
        await session.connect(((kind, 0x33),))

        class Times:
            def show(self, at_s: float, cells: list[Cell]) -> None:
                assert [(cell.name, cell.value.value) for cell in cells] == [("RPM", 840)]
                times.append(time.monotonic())

            def gone(self) -> None:
                raise AssertionError("the car is there")

        values = LiveValues(session, [0x0C])
        await values.begin()
        await obd_live.rounds(values, Times(), ROUNDS, 0)
    each_s = (times[-1] - times[5]) / (len(times) - 6)
    print(f"{protocol}: {1 / each_s:.2f} requests a second, limit {1 / LIMIT_S:.2f}, {100 * LIMIT_S / each_s:.1f} %")
    assert each_s <= LIMIT_S / 0.95
