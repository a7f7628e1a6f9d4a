"""The PC's side against the unmodified firmware: a real MicroPython, a real pseudo terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kline.protocol.link import records
from openkline.bus import BusFrame, Outcome
from openkline.device.replay import ReplayOptions
from openkline.device.sim import SimBoard, SimOptions, find_micropython
from openkline.device.state import State
from openkline.errors import SimulatorError
from openkline.log.reader import read_frames

from .rig import E39, E83, READY_S, needs_captures, sim_device, until

BODY = bytes.fromhex("68 05 18 38 00 00")
FRAME = bytes.fromhex("68 05 18 38 00 00 4D")


async def test_a_message_of_ours_is_sent_and_seen_once() -> None:
    async with sim_device() as (device, _):
        got: list[BusFrame] = []
        device.subscribe(got.append)
        result = await asyncio.wait_for(device.transmit(BODY), 20)
        assert result.outcome is Outcome.SENT
        assert result.tries == 1
        await until(lambda: got)
        assert [(frame.data, frame.own) for frame in got] == [(FRAME, True)]
        assert abs(got[0].time - time.time()) < 5
        device.link.ask_for_counters()
        await until(lambda: device.board_counters.get("tx_frames") == 1)
    assert device.info is not None
    assert device.info.board == "SIM"


@needs_captures
async def test_a_replayed_capture_arrives_whole_with_its_gaps() -> None:
    with E39.open("rb") as file:
        expected = list(read_frames(file, lambda problem: None))
    got: list[BusFrame] = []
    async with sim_device(SimOptions(car="none", replay=ReplayOptions(E39))) as (device, _):
        device.subscribe(got.append)
        await until(lambda: len(got) >= len(expected), timeout_s=60)
    assert [frame.data for frame in got] == [frame.data for frame in expected]
    for n in range(1, len(got)):
        gap_s = got[n].time - got[n - 1].time
        wanted_s = (expected[n].time or 0) - (expected[n - 1].time or 0)
        assert abs(gap_s - wanted_s) <= 0.005, n


@needs_captures
async def test_raw_bytes_replayed_lose_nothing() -> None:
    got: list[BusFrame] = []
    async with sim_device(SimOptions(car="none", replay=ReplayOptions(E83))) as (device, _):
        device.subscribe(got.append)
        await until(lambda: len(got) >= 229, timeout_s=90)
        device.link.ask_for_counters()
        await until(lambda: device.board_counters.get("frames", 0) >= 229)
        assert device.board_counters["dropped_bytes"] == 0
    assert b"".join(frame.data for frame in got) == E83.read_bytes()


async def test_the_reset_button_in_the_middle_of_everything() -> None:
    async with sim_device() as (device, port):
        futures = [device.transmit(bytes((0x68, 4, 0x18, 1, n))) for n in range(10)]
        await futures[0]
        port.board.reset()
        await until(lambda: device.counters.reboots == 1)
        results = [await asyncio.wait_for(future, READY_S) for future in futures]
        assert {result.outcome for result in results} <= {Outcome.SENT, Outcome.UNKNOWN_AFTER_RESET}
        assert sum(result.outcome is Outcome.UNKNOWN_AFTER_RESET for result in results) <= 2
        assert device.counters.opened == 1


async def test_a_reset_that_the_board_makes_itself() -> None:
    async with sim_device() as (device, port):
        device.link.configure(((records.CONFIG_RESET, 1),))
        await until(lambda: device.counters.reboots == 1)
        assert port.board.resets == 1
        assert (await asyncio.wait_for(device.transmit(BODY), 20)).sent


async def test_a_pulled_cable_is_a_pause() -> None:
    async with sim_device() as (device, _):
        assert (await asyncio.wait_for(device.transmit(BODY), 20)).sent
        got: list[BusFrame] = []
        device.subscribe(got.append)
        device._connection.drop()
        await until(lambda: device.counters.opened == 2)
        await device.wait_for(State.READY, timeout_s=READY_S)
        assert (device.counters.resumed, device.counters.reboots) == (1, 0)
        assert (await asyncio.wait_for(device.transmit(BODY), 20)).sent
        await until(lambda: got)


async def test_quit_leads_to_the_prompt_and_a_greeting_away_from_it() -> None:
    async with sim_device() as (device, _):
        device.link.link.send_now(records.QUIT, 0, bytearray(), 0)
        await device.wait_for(State.GREETING, timeout_s=READY_S)
        await device.wait_for(State.READY, timeout_s=READY_S)
        assert device.counters.reboots == 1
        assert (await asyncio.wait_for(device.transmit(BODY), 20)).sent


async def test_the_board_dies_with_us_however_we_go() -> None:
    program = (
        "import asyncio\n"
        "from openkline.device.sim import SimBoard, SimOptions\n"
        "async def main():\n"
        "    board = SimBoard(SimOptions(car='none'))\n"
        "    await board.start()\n"
        "    print(board.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except (OSError, IndexError):
            return True

    await until(is_gone)


async def test_stop_leaves_nothing_behind() -> None:
    board = SimBoard(SimOptions(car="none"))
    path = await board.start()
    pid = board.pid
    assert pid is not None
    await board.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not Path(path).exists()


async def test_a_wrong_argument_of_the_virtual_board_is_told_at_once() -> None:
    board = SimBoard(SimOptions(car="no such car"))
    await board.start()
    await until(lambda: board.failure is not None)
    with pytest.raises(SimulatorError, match="--car no such car: none, demo, obd, a file, or one of difficult"):
        await board.start()
    assert board.resets == 1
    await board.stop()


async def test_a_board_that_cannot_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openkline.device.sim._CRASH_PAUSE_S", 0.01)
    monkeypatch.setattr("openkline.device.sim._EXIT_USAGE", -1)  # as if it crashed
    board = SimBoard(SimOptions(car="no such car"))
    await board.start()
    await until(lambda: board.failure is not None)
    with pytest.raises(SimulatorError, match="ended 5 times with status 2"):
        await board.start()
    await board.stop()


def test_a_wrong_micropython_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROPYTHON", "/no/such/micropython")
    with pytest.raises(SimulatorError, match="MICROPYTHON=/no/such/micropython"):
        find_micropython()
