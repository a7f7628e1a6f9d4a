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


def late_car(tmp_path: Path) -> str:
    """All times are beyond the standard's: W1, P1, P2, and P3 before a request."""
    path = tmp_path / "late.json"
    car = {
        "protocol": "iso9141", "timing_ms": {"W1": 450, "P1": 26, "P2": 300}, "limits_ms": {"P3": [700, 5000]},
        "ecus": [{"address": "10", "pids": {"0C": "0D 20"}}],
    }  # fmt: skip
    path.write_text(json.dumps(car))
    return str(path)


def test_limits_from_the_command_line_to_the_wire(tmp_path: Path) -> None:
    car = ("-d", "sim", "--car", late_car(tmp_path), "--init", "slow", "--json")
    limits = ("--timing", "P1=35,P2=400", "--timing", "W1=600", "--timing", "P3=800")
    done = openkline(tmp_path, "live", *car, *limits, "-n", "1", "RPM")
    assert done.returncode == 0 and json.loads(done.stdout)["RPM"] == 840, done.stderr
    done = openkline(tmp_path, "raw", *car, *limits, "--timing", "P2=50", "68 6A F1 01 0C", "--wait", "400")
    assert done.returncode == 2, "two words for one limit"
    done = openkline(tmp_path, "raw", *car, "--timing", "P1=35,W1=600,P3=800", "--wait", "400", "68 6A F1 01 0C")
    assert json.loads(done.stdout)["data"] == "48 6B 10 41 0C 0D 20 3D", done.stderr
    done = openkline(tmp_path, "live", *car, "-n", "1", "RPM")
    assert done.returncode == 7 and "within 300 ms" in done.stderr, "each of them is needed"


def test_a_late_car_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "car.json"
    path.write_text(
        '{"protocol": "iso9141", "timing_ms": {"P2": 52}, "ecus": [{"address": "10", "pids": {"0C": "0D 20"}}]}'
    )
    car = ("-d", "sim", "--car", str(path), "--profile", "late", "-n", "1", "RPM")
    first, second = openkline(tmp_path, "live", *car), openkline(tmp_path, "live", *car)
    assert "RPM 840 rpm" in first.stdout and "answers late" in first.stderr, first.stderr
    assert "RPM 840 rpm" in second.stdout and "answers late" not in second.stderr, second.stderr
    assert json.loads((tmp_path / "openkline" / "cars" / "late.json").read_text())["p2_ms"] == 200


def test_several_raw_frames_in_a_session_of_unknown_key_bytes(tmp_path: Path) -> None:
    path = tmp_path / "car.json"
    path.write_text(
        '{"protocol": "kwp_slow", "key_bytes": "12 39", "ecus": [{"address": "10", "pids": {"0C": "0D 20"}}]}'
    )
    done = openkline(
        tmp_path, "raw", "-d", "sim", "--car", str(path), "--init", "slow", "C2 33 F1 01 0C", "C1 33 F1 03"
    )
    assert done.stdout.splitlines() == ["84 F1 10 41 0C 0D 20 FF", "87 F1 10 43 00 00 00 00 00 00 CB"], done.stderr
    assert done.stderr.count("calling 33") == 1
