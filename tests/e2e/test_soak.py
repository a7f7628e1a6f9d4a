"""64 clients, half of them bad, on a bus without a pause: the good ones get every frame in order, every drop is
counted, and nothing is left behind. And kill -9 at any moment: at most one torn line, and it serves again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kline.protocol.ibus.frames import BYTE_US
from openkline.device.sim import SimBoard, SimOptions
from openkline.log.formats import LogFrame

from . import fullbus
from .badclients import Bad
from .daemon import Bridge, bridge, command, free_ports, read_log
from .rig import PlainClient, until

CLIENTS, GOOD = 64, 32
# Tight limits, so that all of them are reached within seconds.
SETTINGS = """
[gateway]
timeout = 10
rate_per_s = 5
burst = 10
queue = 2
write_buffer = 2048
input_bytes_per_s = 262144
drain_s = 0.5
"""
MORE_MEMORY = 4 << 20  # bytes: allocators have their ups and downs; a leak goes on rising
REFUSED = ("read_only", "too_long", "denied", "rate_limited", "queue_full", "late")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts open files and memory by /proc")


class Good:
    """A client that counts: the next frame must be the next number."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self.others = 0
        self.trouble = "its connection ended"
        self.client = PlainClient(port, self._on_frame)

    def _on_frame(self, data: bytes) -> None:
        number = fullbus.number(data)
        if number is None:
            self.others += 1
        elif number == self.count:
            self.count += 1
        else:
            self.trouble = f"frame {number} came, {self.count} was next"
            self.client.ended = True


async def status_when(running: Bridge, condition: Callable[[dict[str, Any]], object], timeout_s: float = 30) -> Any:
    end_s = time.monotonic() + timeout_s
    while not condition(status := await running.status()):
        assert time.monotonic() < end_s, status
        await asyncio.sleep(0.02)
    return status


def every_drop_is_counted(status: dict[str, Any], bad: list[Bad]) -> None:
    """What was sent is what became of it, from the socket to the wire; at rest."""
    gateway, transmit = status["gateway"], status["transmit"]
    clients = Counter(gateway["past_clients"])
    for client in gateway["clients"]:
        clients.update({name: client[name] for name in gateway["past_clients"]})
    refused = sum(clients[name] for name in REFUSED)
    results = sum(gateway["results"].values())
    assert clients["messages"] == refused + gateway["counters"]["outboxes_dropped"] + results
    assert clients["messages"] >= sum(one.delivered for one in bad) > 0
    assert results == transmit["submitted"] == sum(transmit["outcomes"].values())
    assert transmit["outcomes"]["unknown_after_reset"] == transmit["stray_results"] == 0
    assert status["bus"]["own_frames"] == transmit["outcomes"]["sent"]
    assert gateway["counters"]["frames"] == status["bus"]["frames"] == status["device"]["frames"]
    for name in ("rx_bad", "rx_gaps", "misread", "losses", "queue_full"):
        assert not status["link"][name], name
    for name in ("rx_full", "rx_uart_full", "link_queue_full", "link_abandoned", "bad_checksum"):
        assert not status["board"][name], name
    for name in ("slow", "hello_wrong", "eof", "lost", "disconnects"):
        assert gateway["counters"][name], f"nobody was {name}: the bad ones were not bad enough"


async def soak(folder: Path, count: int) -> None:
    go, log, settings = folder / "go", folder / "ibus.log", folder / "settings.toml"
    settings.write_text(SETTINGS)
    program = fullbus.script(folder, go, count)
    words = ("--car", "none", "--sim", f"--script {program}", "--config", str(settings), "-c", str(CLIENTS))
    async with bridge(*words, "-l", "4", "-f", str(log), port=free_ports(CLIENTS)) as running:
        before = await status_when(running, lambda status: status["device"]["state"] == "ready")
        good = [Good(running.port) for _ in range(GOOD)]
        for one in good:
            await one.client.connect()
        bad = [Bad(running.port, seed) for seed in range(CLIENTS - GOOD)]
        tasks = [asyncio.create_task(one.run()) for one in bad]
        go.touch()
        await play(good, count // 3)
        early = await running.status()
        await play(good, count)
        late = await running.status()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        at_rest = await status_when(running, is_at_rest)
        every_drop_is_counted(at_rest, bad)
        assert late["process"]["memory_bytes"] - early["process"]["memory_bytes"] < MORE_MEMORY
        assert all(one.count == count for one in good)
        for one in good:
            await one.client.close()
        after = await status_when(running, lambda status: not status["gateway"]["clients"])
        for name in ("open_files", "tasks"):
            await status_when(running, lambda status, name=name: status["process"][name] <= before["process"][name])  # type: ignore[misc]
        await nobody_listens(running.port + 1, CLIENTS)
        assert await running.end() == 0
        assert b"Traceback" not in running.err
    logged, problems = read_log(log)
    assert not problems
    assert len(logged) == after["bus"]["frames"]
    numbers = [number for frame in logged if (number := fullbus.number(frame.data)) is not None]
    assert numbers == list(range(count))
    assert load(logged[:count]) > 0.97


async def play(good: list[Good], count: int) -> None:
    """Until every good client has so many frames."""

    def have_them() -> bool:
        ended = [one.trouble for one in good if one.client.ended]
        assert not ended, f"{len(ended)} good clients: {ended[0]}"
        return min(one.count for one in good) >= count

    await until(have_them, timeout_s=30 + count * 0.02)


def load(frames: list[LogFrame]) -> float:
    """Share of the time, by the board's clock, in which the wire was in use."""
    used_s = sum(len(frame.data) for frame in frames[1:]) * BYTE_US / 1e6
    return used_s / ((frames[-1].time or 0) - (frames[0].time or 0))


def is_at_rest(status: dict[str, Any]) -> bool:
    gateway, transmit = status["gateway"], status["transmit"]
    return not (len(gateway["clients"]) > GOOD or gateway["at_bus"] or transmit["waiting"] or transmit["in_flight"])


async def nobody_listens(first: int, count: int) -> None:
    for port in range(first, first + count):
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            raise AssertionError(f"port {port} is still open")


async def test_soak_short(tmp_path: Path) -> None:
    await soak(tmp_path, 300)


@pytest.mark.soak
async def test_soak_long(tmp_path: Path) -> None:
    await soak(tmp_path, 20_000)


async def kill_often(folder: Path, kills: int, rng: random.Random) -> None:
    """The board goes on; bridge after bridge is killed, at once or after some log lines."""
    log, go, port = folder / "ibus.log", folder / "go", free_ports()
    program = fullbus.script(folder, go, 1 << 30)
    board = SimBoard(SimOptions(car="none", extra=("--script", str(program))))
    try:
        path = await board.start()
        for n in range(kills):
            async with bridge("-l", "4", "-f", str(log), port=port, device=path) as running:
                if n == 1:  # the board listens: no frame of which it hears the end only, which may pass for another
                    await until(lambda: b"firmware" in running.err, "the board has answered")
                    go.touch()
                if n:
                    await serves(running)
                    size = log.stat().st_size + rng.randrange(3000)
                    await until(lambda size=size: log.stat().st_size >= size)  # type: ignore[misc]
                running.process.kill()
        assert len(read_log(log)[1]) < kills
        whole = log.read_bytes()
        log.write_bytes(whole[: -rng.randrange(3, 30)])  # the worst that can be: in the middle of a line
        async with bridge("-l", "4", "-f", str(log), port=port, device=path) as running:
            await serves(running)
            assert await running.end() == 0
    finally:
        await board.stop()
    frames, problems = read_log(log)
    assert 1 <= len(problems) <= kills + 1
    numbers = [fullbus.number(frame.data) for frame in frames]
    assert None not in numbers, frames[numbers.index(None)]
    assert numbers == sorted(set(numbers)), "no frame twice, none in the wrong order"  # type: ignore[type-var]
    status, out, err = await command("log", "--stats", "--json", str(log))
    assert (status, json.loads(out)["unreadable"]) == (0, len(problems))
    assert all(f"{log}:{problem.line}: ".encode() in err for problem in problems)


async def serves(running: Bridge) -> None:
    """Frames come to a client within two seconds of the board's answer."""
    client = await PlainClient(running.port).connect()
    await until(lambda: b"firmware" in running.err, "the board has answered")
    await until(lambda: client.frames, "frames come", timeout_s=2)
    await client.close()


async def test_killed_at_any_moment_it_serves_again(tmp_path: Path) -> None:
    await kill_often(tmp_path, 4, random.Random(1))


@pytest.mark.soak
async def test_killed_a_hundred_times(tmp_path: Path) -> None:
    await kill_often(tmp_path, 100, random.Random())
