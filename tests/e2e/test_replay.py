"""A foreign log from the command line to the virtual wire, and from there to a client and the log."""

from __future__ import annotations

import itertools
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from .daemon import bridge, read_log
from .rig import PlainClient, until

FRAMES = [bytes.fromhex(text) for text in ("80 04 BF 11 01 2B", "80 05 BF 18 05 10 37", "68 05 18 38 00 00 4D")] * 2


def navcoder_log(start: datetime) -> bytes:
    """Three frames, a night, three frames; a line that explains, one that is torn, an own frame among them."""
    times = [start + timedelta(seconds=s) for s in (0, 1, 2, 46_000, 46_000.5, 46_001)]
    lines = [
        f"{at:%d.%m.%Y %H:%M:%S}.{at.microsecond // 1000:03d}:  {data.hex(' ').upper()}\r\n"
        for at, data in zip(times, FRAMES, strict=True)
    ]
    lines.insert(1, f"{times[0]:%d.%m.%Y %H:%M:%S}.000:  IKE --> GLO : ignition\r\n")
    return "".join([*lines, "23.08.2011 2"]).encode()


async def test_options_of_a_replay_reach_the_wire(tmp_path: Path) -> None:
    capture, go, log = tmp_path / "drive.log", tmp_path / "go", tmp_path / "ibus.log"
    capture.write_bytes(navcoder_log(datetime(2011, 8, 23, 18, 30)))
    how = ("--replay", str(capture), "--max-gap", "1.2", "--speed", "4", "--from-time", "18:30:01")
    async with bridge(*how, "--sim", f"--start-file {go}", "-l", "4", "-f", str(log)) as running:
        client = await PlainClient(running.port).connect()
        await until(lambda: b"firmware" in running.err, "the board has answered")
        go.touch()
        await until(lambda: b"is over" in running.err, "the end of the replay", timeout_s=30)
        await until(lambda: len(client.frames) >= 5)
        assert await running.end() == 0
        assert client.frames == FRAMES[1:]
    assert re.search(rb"the replay of .*drive\.log is over: 5 frames; 1 line could not be read", running.err)
    logged, _ = read_log(log)
    gaps = [(later.time or 0) - (sooner.time or 0) for sooner, later in itertools.pairwise(logged)]
    assert gaps == pytest.approx([0.25, 0.3, 0.125, 0.125], abs=0.01)
