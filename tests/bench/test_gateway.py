"""What the daemon costs between the board's bytes and the clients' sockets, beside pipes to as many sockets.

Linux: the processor time comes from /proc. The clients are in this process, so that delays contain our own reading,
for daemon and pipe alike.
"""

from __future__ import annotations

import contextlib
import sys

import pytest

from .decoder_load import BUS_BYTES_PER_S
from .gateway_rig import FRAMES, Result, rig

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MEAN_FRAME = sum(map(len, FRAMES)) / len(FRAMES)


def side_by_side(clients: int, rounds: int = 8) -> dict[str, Result]:
    """A second of a full bus for each in turn, so that whatever else the computer does falls upon all of them."""
    with contextlib.ExitStack() as stack:
        rigs = {kind: stack.enter_context(rig(kind, clients)) for kind in ("daemon", "plain", "asyncio")}
        results = {kind: Result() for kind in rigs}
        for _ in range(rounds):
            for kind, made in rigs.items():
                for other in rigs.values():
                    other.rest()
                results[kind].add(made.paced(count=int(BUS_BYTES_PER_S / MEAN_FRAME)))
    return results


@pytest.mark.parametrize("clients", [1, 8, 64])
def test_latency_and_processor_time_at_full_bus_load(clients: int) -> None:
    results = side_by_side(clients)
    daemon, plain, looped = results["daemon"], results["plain"], results["asyncio"]
    for name, result in (("daemon", daemon), ("plain pipe", plain), ("asyncio pipe", looped)):
        print(
            f"{clients:2} clients, {name:12}: median {result.quantile_ms(0.5):.3f} ms, "
            f"99 % {result.quantile_ms(0.99):.3f} ms, {result.cpu_s / result.wall_s:.2%} of a processor, "
            f"{result.memory_kib[1]} KiB (+{result.memory_kib[1] - result.memory_kib[0]})"
        )
    print(
        f"{clients:2} clients: the daemon adds {daemon.quantile_ms(0.5) - plain.quantile_ms(0.5):.3f} ms (median); "
        f"processor time: {daemon.cpu_s / plain.cpu_s:.2f} times the plain pipe's, "
        f"{daemon.cpu_s / looped.cpu_s:.2f} times the asyncio pipe's"
    )
    assert daemon.quantile_ms(0.5) < 20, "far from its target of 1 ms at 8 clients"
    if clients >= 8:
        assert daemon.cpu_s < 3 * plain.cpu_s  # docs/timing.md says what it is, and where it goes
    assert daemon.memory_kib[1] - daemon.memory_kib[0] < 4096


def test_frames_per_second() -> None:
    """No ratio to the pipe here: it would write many frames at once, the daemon writes each by itself."""
    with rig("daemon", 8) as made:
        daemon = made.flat_out(3000)
    load = 3000 * MEAN_FRAME / daemon.wall_s / BUS_BYTES_PER_S
    print(
        f"8 clients, flat out: daemon {3000 / daemon.wall_s:.0f} frames/s = {load:.0f} full buses, "
        f"{daemon.cpu_s / 3000 * 1e6:.0f} us of processor time a frame"
    )
    assert load > 2
