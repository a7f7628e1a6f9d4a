"""What the daemon costs between the board's bytes and the clients' sockets, beside a pipe to as many sockets.

Linux: the processor time comes from /proc. The clients are in this process, so that delays contain our own reading,
for daemon and pipe alike.
"""

from __future__ import annotations

import sys

import pytest

from .decoder_load import BUS_BYTES_PER_S
from .gateway_rig import FRAMES, Result, rig

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MEAN_FRAME = sum(map(len, FRAMES)) / len(FRAMES)


def measure(kind: str, clients: int, seconds: float) -> Result:
    with rig(kind, clients) as made:
        return made.paced(count=int(seconds * BUS_BYTES_PER_S / MEAN_FRAME))


@pytest.mark.parametrize("clients", [1, 8, 64])
def test_latency_and_processor_time_at_full_bus_load(clients: int) -> None:
    daemon, pipe = measure("daemon", clients, 8), measure("pipe", clients, 8)
    for name, result in (("daemon", daemon), ("pipe", pipe)):
        print(
            f"{clients:2} clients, {name:6}: median {result.quantile_ms(0.5):.3f} ms, "
            f"99 % {result.quantile_ms(0.99):.3f} ms, {result.cpu_s / result.wall_s:.2%} of a processor, "
            f"{result.memory_kib[1]} KiB (+{result.memory_kib[1] - result.memory_kib[0]})"
        )
    print(
        f"{clients:2} clients: the daemon adds {daemon.quantile_ms(0.5) - pipe.quantile_ms(0.5):.3f} ms (median), "
        f"and takes {daemon.cpu_s / pipe.cpu_s:.1f} times the pipe's processor time"
    )
    assert daemon.quantile_ms(0.5) < 20, "far from its target of 1 ms at 8 clients"
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
