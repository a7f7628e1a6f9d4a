"""OBD through everything: command line, pty, the real firmware in real time, ECUs on the virtual wire."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from openkline.device.sim import SimOptions
from openkline.device.state import DeviceSettings
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.live import LiveValues
from openkline.obd.session import SETTINGS, ObdSession, sender

from .rig import sim_device
from .terminal import Terminal

VIN = "1M8GDM9AXKP042788"


def openkline(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openkline", "obd", *words],
        env={**os.environ, "XDG_CONFIG_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_a_car_with_two_ecus_is_asked_everything() -> None:
    settings: DeviceSettings = SETTINGS
    said: list[str] = []
    async with sim_device(SimOptions(car="obd"), settings) as (device, port), ObdSession(device) as session:
        found = await session.connect((("fast", 0x33),), progress=said.append)
        assert set(found.ecus) == {0x10, 0x18} and any("fast init" in text for text in said)
        car = Diagnostics(session)
        assert await car.vins() == {0x10: VIN}
        assert await car.codes() == ({0x10: ["P0133"], 0x18: ["P0720"]}, True)
        assert (await car.calibration_ids())[0x18] == ["KWP-FAST-GEARBOX"]
        assert [(ecu, code) for ecu, (code, _) in (await car.freeze_frames()).items()] == [(0x10, "P0133")]
        live = LiveValues(session, [0x0D, 0x0C, 0x2F])
        await live.begin()
        cells = await live.round()
        assert [cell.name for cell in cells] == ["SPEED@10", "SPEED@18", "RPM", "FUEL_LEVEL@10", "FUEL_LEVEL@18"]
        assert [bool(cell.value.value) for cell in cells] == [True] * 3 + [False] * 2
        assert all("refused (12" in cell.why for cell in cells[3:])
        assert await car.clear() == {0x10: 0, 0x18: 0}
        assert await car.codes() == ({0x10: [], 0x18: []}, True)
        frames = await session.raw(bytes.fromhex("C2 33 F1 01 0D"), checksum=True)
        assert {sender(one) for one in frames} == {0x10, 0x18}
        port.board.reset()  # the board's reset button, in the middle
        asking = asyncio.create_task(session.request(b"\x01\x0c"))
        assert (await asking).positive()
        assert device.counters.reboots == 1 and session.renewed == 1


def test_the_command_line_remembers_a_slow_car(tmp_path: Path) -> None:
    done = openkline(tmp_path, "live", "-d", "sim", "--car", "iso9141", "--profile", "old", "-n", "2", "--json", "RPM")
    assert done.returncode == 0, done.stderr
    assert all(json.loads(line)["RPM"] >= 800 for line in done.stdout.splitlines())
    assert "sync byte at 10400 baud" in done.stderr and "08 08: ISO 9141-2" in done.stderr
    saved = json.loads((tmp_path / "openkline" / "cars" / "old.json").read_text())
    assert (saved["kind"], saved["key_bytes"], saved["ecus"]) == ("slow", "08 08", ["10"])


def test_a_car_that_is_not_there_says_what_to_try(tmp_path: Path) -> None:
    done = openkline(tmp_path, "vin", "-d", "sim", "--car", "none", "--init", "fast")
    assert done.returncode == 7 and done.stdout == ""
    assert "no ECU answered the fast initialisation" in done.stderr


def test_clear_interrupted_at_its_question() -> None:
    with Terminal("obd", "clear", "-d", "sim") as terminal:
        terminal.read_until(r"Erase them \[y/N\]: ")
        assert terminal.interrupt() == 130
        assert "Nothing was erased." in terminal.text and "opening" not in terminal.text
