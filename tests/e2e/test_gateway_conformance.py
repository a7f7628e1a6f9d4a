"""The conformance suite of the gateway, pointed at the real daemon with the virtual board and a quiet wire."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from .daemon import bridge
from .rig import until

SUITE = Path(__file__).parents[1] / "host" / "openbm"


@pytest.mark.parametrize(
    ("words", "about", "options", "at_least"),
    [
        # every length that a bus allows, on the wire of the virtual board
        (("--max-frame", "257"), "not options", (), 65),
        # what waits for the alive timeout, or wants a full gateway
        (("-t", "0.6", "-c", "3"), "options", ("--gateway-timeout", "0.6", "--gateway-clients", "3"), 9),
    ],
    ids=["bytes", "times"],
)
async def test_the_daemon_conforms(words: tuple[str, ...], about: str, options: tuple[str, ...], at_least: int) -> None:
    async with bridge("--car", "none", *words) as running:
        await until(lambda: b"firmware" in running.err, "the board has answered")
        suite = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", str(SUITE), "-p", "no:cacheprovider", "-m", about,
            "--gateway", f"127.0.0.1:{running.port}", *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(suite.communicate(), 100)
    text = out.decode(errors="replace")
    assert suite.returncode == 0, text
    passed = re.search(r"(\d+) passed", text)
    assert passed is not None
    assert int(passed[1]) >= at_least, text
