"""docs/python.md: its programs are those of host/examples, and run."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import openkline
from openkline.gateway.client import GatewayClient

from .daemon import bridge

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "host" / "examples"
PAGE = (ROOT / "docs" / "python.md").read_text()
WAIT_S = 30


class Program:
    """An example that runs, with its output line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self, pattern: str) -> str:
        """The next line that matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while line := (await self.process.stdout.readline()).decode():
                if re.search(pattern, line):
                    return line.rstrip()
        assert self.process.stderr is not None
        raise AssertionError(f"ended without {pattern!r}: {(await self.process.stderr.read()).decode()}")

    async def end(self) -> int:
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def running(name: str, folder: Path, port: int = 0) -> AsyncIterator[Program]:
    """The example with that port instead of 4287, and the virtual board instead of a real one."""
    text = (EXAMPLES / name).read_text()
    path = folder / name
    path.write_text(text.replace("4287", str(port)).replace('"auto"', '"sim"'))
    process = await asyncio.create_subprocess_exec(
        sys.executable, path, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def test_the_page_shows_every_example_as_it_is() -> None:
    shown = dict(re.findall(r"\[(\w+\.py)\]\(\.\./host/examples/\1\)\n\n```python\n(.*?)```", PAGE, re.DOTALL))
    assert shown == {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}


def test_the_page_names_all_that_is_public() -> None:
    table = "".join(line for line in PAGE.splitlines() if line.startswith("|"))
    named = {word for text in re.findall(r"`([^`]+)`", table) for word in re.findall(r"\w+", text)}
    assert set(openkline.__all__) - {"__version__"} <= named


async def test_the_examples_with_a_bridge(tmp_path: Path) -> None:
    async with bridge() as there:
        async with running("listen.py", tmp_path, there.port) as listen:
            await listen.line("^80 -> BF  18 ")
        async with running("send.py", tmp_path, there.port) as send:
            assert await send.end() == 0
        async with running("answer.py", tmp_path, there.port) as answer, GatewayClient(port=there.port) as client:
            asking = asyncio.create_task(_ask_until_done(client))
            await answer.line("^answered$")
            asking.cancel()
        async with running("record.py", tmp_path, there.port):
            log = tmp_path / "ibus.log"
            async with asyncio.timeout(WAIT_S):
                while not log.exists() or log.read_bytes().count(b"\n") < 5:
                    await asyncio.sleep(0.05)
    async with running("count.py", tmp_path) as count:
        assert await count.line("^[0-9A-F]{2}: [0-9]+$")
        assert await count.end() == 0


async def _ask_until_done(client: GatewayClient) -> None:
    """The example may not be connected at the first time."""
    while True:
        await client.send(0x68, 0x18, b"\x01")
        await asyncio.sleep(0.5)


async def test_the_example_with_a_board_of_ones_own(tmp_path: Path) -> None:
    async with running("board.py", tmp_path) as board:
        assert (await board.line("68 03 18 01 72")).endswith("(ours)")
        assert await board.line("^sent at") == "sent at the 1. try"
        assert await board.end() == 0


async def test_the_example_with_a_car(tmp_path: Path) -> None:
    async with running("car.py", tmp_path) as car:
        assert "1M8GDM9AXKP042788" in await car.line("^VIN")
        assert "P0133" in await car.line("^stored codes")
        assert await car.line("^ECU 10: [0-9]+ 1/min")
        assert await car.end() == 0


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_says_what_it_does(path: Path) -> None:
    assert path.read_text().startswith('"""')
