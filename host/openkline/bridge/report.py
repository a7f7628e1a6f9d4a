"""The state of a running bridge as one object of plain values, for `openkline status`; fields: docs/status.md."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openkline import __version__
from openkline.bridge.part import Part
from openkline.bridge.problems import problems

_OPTIONAL = ("elm327", "events")  # sections of parts that a bridge may not have: None then


def report(parts: Iterable[Part], uptime_s: float) -> dict[str, object]:
    """Sections in no order."""
    status: dict[str, Any] = {
        "openkline": __version__,
        "time": round(time.time(), 3),
        "uptime_s": round(uptime_s, 3),
        **dict.fromkeys(_OPTIONAL),
    }
    for part in parts:
        status.update(part.stats())
    status["process"] = _process()
    status["problems"] = problems(status)
    return status


def _process() -> dict[str, object]:
    """memory_bytes: resident, as Linux counts; None elsewhere, and so open_files."""
    memory = files = None
    if sys.platform == "linux":
        try:
            memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            files = sum(1 for _ in Path("/proc/self/fd").iterdir())
        except (OSError, ValueError, IndexError):
            pass
    return {
        "pid": os.getpid(),
        "memory_bytes": memory,
        "open_files": files,
        "tasks": len(asyncio.all_tasks()),
        "cpu_s": round(time.process_time(), 3),
    }
