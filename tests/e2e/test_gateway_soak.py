"""64 clients on the virtual board at full bus load: healthy ones miss nothing, whatever the others do.

The clients that misbehave may not send to the bus here (--read-only): what they would send collides with the replay,
which knows no manners. tests/host/test_gateway_fuzz.py has them send.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

from kline.protocol.ibus import BYTE_US, encode
from openkline.log.formats import GatewayFormat, LogFrame

from .daemon import Bridge, bridge
from .rig import HELLO, PING, PlainClient, until

CLIENTS, HEALTHY = 64, 40
MEMORY_KIB = 4096  # the interpreter's own ups and downs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def full_bus(seconds: float) -> list[LogFrame]:
    """Frames back to back, each another."""
    frames, at_s = [], 1_279_884_055.5
    rng = random.Random(4)
    while at_s < 1_279_884_055.5 + seconds:
        data = len(frames).to_bytes(4, "big") + rng.randbytes(rng.randrange(30))
        frame = encode(rng.choice((0x80, 0xD0, 0x68, 0x50)), rng.choice((0xBF, 0xE7, 0x18)), data)
        at_s += len(frame) * BYTE_US / 1e6
        frames.append(LogFrame(at_s, frame))
    return frames


def memory_kib(running: Bridge) -> int:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def open_files(running: Bridge) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


async def misbehave(port: int, seed: int) -> None:
    """One bad client after the other, until cancelled."""
    rng = random.Random(seed)
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await misbehave_once(port, rng)
        await asyncio.sleep(rng.uniform(0.01, 0.1))


async def misbehave_once(port: int, rng: random.Random) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HELLO)
        answer = await reader.readexactly(8)
    finally:
        writer.transport.abort()
    if answer[:2] != b"ct" or rng.random() < 0.05:
        return  # no slot; or reserved for nothing
    reader, writer = await asyncio.open_connection("127.0.0.1", int.from_bytes(answer[4:6], "little"))
    try:
        kind = rng.choice(("garbage", "flood", "stall", "half", "reset", "upload"))
        if kind == "garbage":
            writer.write(rng.randbytes(2000))
        elif kind == "flood":
            writer.write(bytes.fromhex("68 18 01 00 64 00 00 00 01") * 3000)
        elif kind == "upload":
            writer.write(bytes.fromhex("66 75 FF FF 00 00 02 06") + bytes(5000))
        elif kind == "half":
            writer.write(PING[: rng.randrange(8)])
        elif kind == "stall":
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(PING * 2000)
        await asyncio.sleep(rng.uniform(0, 1.0))
        if kind == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    finally:
        writer.transport.abort()


async def soak(folder: Path, seconds: float) -> None:
    expected = full_bus(seconds)
    capture, go = folder / "full.log", folder / "go"
    capture.write_bytes(b"".join(map(GatewayFormat().write, expected)))
    words = ("--replay", str(capture), "--sim", f"--start-file {go}", "--read-only", "-c", str(CLIENTS), "-l", "0")
    async with bridge(*words, port=21000 + random.randrange(8000)) as running:
        clients = [await PlainClient(running.port).connect() for _ in range(HEALTHY)]
        bad = [asyncio.create_task(misbehave(running.port, seed)) for seed in range(CLIENTS - HEALTHY)]
        await until(lambda: b"firmware" in running.err, "the board has answered")
        await asyncio.sleep(1.0)  # the bad ones have been round once
        memory_before, peak = memory_kib(running), 0
        go.touch()
        end_s = time.monotonic() + seconds + 60
        while any(len(client.frames) < len(expected) for client in clients):
            peak = max(peak, memory_kib(running))
            assert not any(client.ended for client in clients), "a healthy client was dropped"
            assert time.monotonic() < end_s, f"{min(len(c.frames) for c in clients)} of {len(expected)} frames came"
            await asyncio.sleep(0.1)
        for task in bad:
            task.cancel()
        await asyncio.gather(*bad, return_exceptions=True)
        wanted = [frame.data for frame in expected]
        assert all(client.frames == wanted for client in clients)
        assert peak - memory_before < MEMORY_KIB, f"{memory_before} KiB became {peak}"
        files = open_files(running)
        for client in clients[1:]:
            await client.close()
        await until(lambda: open_files(running) <= files - (HEALTHY - 1), "sockets of the healthy are closed")
        await until(lambda: open_files(running) < 24, "sockets of the others are closed")
        assert await running.end() == 0
        await until(lambda: clients[0].ended, "Disconnect came")
        assert b"Traceback" not in running.err, running.err.decode()


async def test_soak_short(tmp_path: Path) -> None:
    await soak(tmp_path, 6)


@pytest.mark.soak
async def test_soak_long(tmp_path: Path) -> None:
    await soak(tmp_path, 300)
