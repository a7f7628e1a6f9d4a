"""`openkline bridge` as a process of its own, other commands beside it, and what its log says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.ports import free_port

from openkline.bridge.status import default_port, fetch
from openkline.log.formats import LogFrame, LogProblem
from openkline.log.reader import read_frames

from .rig import until

COMMAND = (sys.executable, "-m", "openkline")


class Bridge:
    """`openkline bridge -d sim` as a process; .out and .err are what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.out = bytearray()
        self.err = bytearray()
        self.reading = True
        assert process.stdout is not None
        assert process.stderr is not None
        self._tasks = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    async def _read(self, stream: asyncio.StreamReader, into: bytearray) -> None:
        while data := await stream.read(4096):
            into.extend(data)

    @property
    def serves(self) -> bool:
        """It has introduced itself, or says the same with --log-json."""
        return b"Ctrl-C" in self.err or b"serving clients" in self.err

    async def status(self) -> dict[str, Any]:
        return await fetch(default_port(self.port), timeout_s=20)

    async def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        status = await asyncio.wait_for(self.process.wait(), 20)
        for task in self._tasks:
            await asyncio.wait_for(task, 20)
        return status


def free_ports(clients: int = 8) -> int:
    """A main port with those around it free: one below for the status, those above for clients."""
    return free_port(clients + 2) + 1


@contextlib.asynccontextmanager
async def bridge(*words: str, port: int | None = None, device: str = "sim") -> AsyncIterator[Bridge]:
    port = port or free_ports()
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "bridge", "-d", device, "-p", str(port), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = Bridge(process, port)
    try:
        await until(lambda: process.returncode is not None or running.serves, "the bridge says that it serves")
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def command(*words: str, timeout_s: float = 60) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode is not None
    return process.returncode, out, err


def read_log(path: Path) -> tuple[list[LogFrame], list[LogProblem]]:
    problems: list[LogProblem] = []
    with path.open("rb") as file:
        return list(read_frames(file, problems.append)), problems
