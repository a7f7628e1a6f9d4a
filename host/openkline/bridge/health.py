"""What `openkline status` knows and no other part counts: bus load and latencies, measured as frames pass.

As a frame passes only its times are noted; the sums are made on request, or when _BATCH notes have come
together. Nothing grows.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable

from kline.protocol.ibus.frames import BYTE_US
from openkline.bus import BusFrame, Unsubscribe
from openkline.device.device import Device
from openkline.device.link import BusEvent

WINDOW = 1024  # frames of which latencies are remembered
_BATCH = 64  # notes
_SECONDS = 64  # of which bytes are remembered: a little more than the longest load asked for


class BusLoad:
    """Share of the time in which the bus carried frames; in whole seconds, the present one left out.

    A frame takes BYTE_US for each byte (9600 baud, 8E1: 11 bits). Bytes that belong to no valid frame don't count.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._bytes = array("q", [0] * _SECONDS)
        self._newest = self._first = int(monotonic())

    def add(self, size: int, now_s: float) -> None:
        """A frame of `size` bytes has ended at now_s (monotonic), which never runs backwards."""
        self._move(int(now_s))
        self._bytes[self._newest % _SECONDS] += size

    def _move(self, now: int) -> None:
        """Clear the seconds that have gone by since the last call."""
        if now == self._newest:
            return
        for second in range(max(self._newest, now - _SECONDS) + 1, now + 1):
            self._bytes[second % _SECONDS] = 0
        self._newest = max(self._newest, now)

    def percent(self, seconds: int) -> float | None:
        """Over the last `seconds` (at most 63), or as many as there were; None: not one yet."""
        self._move(int(self._monotonic()))
        seconds = min(seconds, _SECONDS - 1, self._newest - self._first)
        if seconds <= 0:
            return None
        total = sum(self._bytes[second % _SECONDS] for second in range(self._newest - seconds, self._newest))
        return round(total * BYTE_US / 1e4 / seconds, 2)


class Window:
    """The last WINDOW values, for median and 99th percentile."""

    def __init__(self) -> None:
        self._values = array("d", [0.0] * WINDOW)
        self.count = 0

    def add(self, value: float) -> None:
        self._values[self.count % WINDOW] = value
        self.count += 1

    def summary_ms(self) -> dict[str, float | None]:
        """Of values in seconds: median, p99 and max in milliseconds; None: no value yet."""
        values = sorted(self._values[: min(self.count, WINDOW)])
        if not values:
            return {"median": None, "p99": None, "max": None}
        n = len(values)
        at = {"median": values[n // 2], "p99": values[min(n * 99 // 100, n - 1)], "max": values[-1]}
        return {name: round(value * 1e3, 3) for name, value in at.items()}


class Probe:
    """Started after the gateway, it hears each frame after it: what it measures includes the writes to all clients."""

    def __init__(self, device: Device) -> None:
        self.load = BusLoad()
        self.from_bus = Window()  # end of the frame's last byte, by the board's clock, to the last client's write
        self.from_port = Window()  # arrival of the bytes at the PC to the last client's write
        self.frames = self.bytes = self.own = 0
        self.heard_s: float | None = None
        self.bus_events: Counter[str] = Counter()
        self.last_event: BusEvent | None = None
        self._device, self._link = device, device.link
        self._notes: list[tuple[float, float, float, float, BusFrame]] = []
        self._unsubscribe: tuple[Unsubscribe, ...] = ()

    # -- bridge.part.Part

    async def start(self) -> None:
        device = self._device
        self._unsubscribe = (device.subscribe(self._on_frame), device.subscribe_events(self._on_event))

    async def stop(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def stats(self) -> dict[str, object]:
        return {"bus": self.bus(), "latency": self.latency()}

    def trouble(self) -> str:
        return ""

    # -- what passes

    def _on_frame(self, frame: BusFrame) -> None:
        link = self._link
        clock = link.clock
        now_s = time.monotonic()  # the wall clock may be set at any moment
        unix_s = now_s + clock.wall_minus_monotonic_s
        self._notes.append((now_s, unix_s, link.now_s, clock.offset_error_s, frame))
        if len(self._notes) == _BATCH:
            self._add_up()

    def _add_up(self) -> None:
        for now_s, unix_s, arrived_s, offset_error_s, frame in self._notes:
            self.frames += 1
            self.bytes += len(frame.data)
            self.own += frame.own
            self.heard_s = now_s
            self.load.add(len(frame.data), now_s)
            self.from_port.add(now_s - arrived_s)
            self.from_bus.add(max(unix_s - frame.time - offset_error_s, 0.0))
        self._notes.clear()

    def _on_event(self, event: BusEvent) -> None:
        self.bus_events[event.name] += 1
        self.last_event = event

    def bus(self) -> dict[str, object]:
        self._add_up()
        event = self.last_event
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "own_frames": self.own,
            "load_10s_percent": self.load.percent(10),
            "load_60s_percent": self.load.percent(60),
            "silent_s": None if self.heard_s is None else round(time.monotonic() - self.heard_s, 3),
            "events": dict(self.bus_events),
            "last_event": event and {"name": event.name, "time": round(event.time, 3)},
        }

    def latency(self) -> dict[str, object]:
        self._add_up()
        return {
            "frames": min(self.from_bus.count, WINDOW),
            "bus_to_clients_ms": self.from_bus.summary_ms(),
            "port_to_clients_ms": self.from_port.summary_ms(),
        }
