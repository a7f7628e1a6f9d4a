"""The conformance suite of the gateway, pointed at the real daemon with the virtual board and a quiet wire."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from .daemon import bridge
from .rig import until

SUITE = Path(__file__).parents[1] / "host" / "openbm"


async def test_the_daemon_conforms() -> None:
    async with bridge("--car", "none") as running:
        await until(lambda: b"firmware" in running.err, "the board has answered")
        suite = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", str(SUITE), "-p", "no:cacheprovider",
            "--gateway", f"127.0.0.1:{running.port}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(suite.communicate(), 100)
    text = out.decode(errors="replace")
    assert suite.returncode == 0, text
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) >= 30, text
