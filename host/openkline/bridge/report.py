"""The state of a running bridge as one object of plain values, for `openkline status`; fields: docs/status.md."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openkline import __version__
from openkline.bridge.problems import problems

if TYPE_CHECKING:
    from openkline.bridge.bridge import Bridge
    from openkline.device.device import Device


def report(bridge: Bridge) -> dict[str, object]:
    device, probe = bridge.device, bridge.probe
    status: dict[str, Any] = {
        "openkline": __version__,
        "time": round(time.time(), 3),
        "uptime_s": round(time.monotonic() - bridge.started_s, 3),
        "device": _device(device),
        "link": device.link.counters(),
        "board": _board(device),
        "bus": probe.bus() if probe else {},
        "transmit": _transmit(device),
        "latency": probe.latency() if probe else {},
        "gateway": bridge.server.stats(),
        "elm327": bridge.elm.stats() if bridge.elm else None,
        "logs": [frame_log.stats() for frame_log in bridge.logs],
        "events": bridge.events.stats() if bridge.events else None,
        "process": _process(),
    }
    status["problems"] = problems(status)
    return status


def _device(device: Device) -> dict[str, object]:
    info = device.info
    clock = device.link.clock
    known: dict[str, object] = dict.fromkeys(("board", "unique_id", "firmware", "slot", "micropython"))
    if info is not None:
        known = {
            "board": info.board,
            "unique_id": info.unique_id,
            "firmware": ".".join(map(str, info.firmware)),
            "slot": info.slot,
            "micropython": ".".join(map(str, info.micropython)),
        }
    counters = asdict(device.counters)
    return {
        "port": device.port.name,
        "state": device.state.value,
        "trouble": str(device.refusal) if device.refusal is not None else device.trouble,
        **known,
        "reconnects": max(counters["opened"] - 1, 0),
        **counters,
        "clock_error_us": round(clock.offset_error_s * 1e6) if clock.synchronised else None,
        "clock_steps": clock.steps,
    }


def _board(device: Device) -> dict[str, object]:
    if not device.board_counters:
        return {"age_s": None}
    return {"age_s": round(time.monotonic() - device.board_counted_s, 3), **device.board_counters}


def _transmit(device: Device) -> dict[str, object]:
    queue = device.queue
    return {
        "waiting": len(queue),
        "in_flight": queue.in_flight,
        "submitted": queue.counters.submitted,
        "stray_results": queue.counters.stray_results,
        "outcomes": {outcome.value: n for outcome, n in queue.counters.outcomes.items()},
    }


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
