"""The device's microseconds as unix time.

The device stamps each record with its microseconds modulo 2**30 (it wraps every 17.9 minutes). A stamp arrives late,
by the queue on the device, the USB line and the scheduler here, but never early. So of all differences "arrival here
minus device time" the smallest is the best: the mapping follows the smallest of the last `WINDOW_S` seconds.

    unix = device seconds + offset        offset -> min(arrival - device seconds) + (wall clock - monotonic clock)

The offset is corrected by at most `SLEW` (seconds per second of device time), so that the gap between two frames is
right to 0.1 %, and times never run backwards. Quartz drift (ESP32: some 10 ppm, 40 at worst) moves it within that
bound. An error over `STEP_S` (the PC's clock was set, the PC slept) is corrected at once, backwards too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from kline.protocol.ticks import TICKS_PERIOD

BLOCK_S = 2.0
WINDOW_S = 20.0
SLEW = 1e-3
STEP_S = 2.0
_HALF = TICKS_PERIOD // 2


class DeviceClock:
    """Maps ticks of one device. `now_s` is always time.monotonic() at the arrival of the bytes."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last_out = 0.0
        self.steps = 0
        self.reset()

    def reset(self) -> None:
        """The device has restarted, and so has its count. Times given out so far stay the past."""
        self._newest_us: int | None = None  # unwrapped, and when it came
        self._newest_at_s = 0.0
        self._blocks: deque[tuple[float, float]] = deque(maxlen=int(WINDOW_S / BLOCK_S))  # (end, smallest difference)
        self._block_end_s = 0.0
        self._block_min_s = 0.0
        self._offset_s = 0.0
        self._target_s = 0.0
        self._slewed_at_s = 0.0
        self._wall_minus_mono_s = 0.0
        self._given_out = False

    @property
    def synchronised(self) -> bool:
        return self._newest_us is not None

    @property
    def wall_minus_monotonic_s(self) -> float:
        """Between the PC's two clocks, as the mapping takes it: the wall clock may have been set since."""
        return self._wall_minus_mono_s

    @property
    def offset_error_s(self) -> float:
        """How far the mapping still has to go."""
        return self._target_s - self._offset_s

    def stats(self) -> dict[str, object]:
        """For `openkline status`."""
        error_us = round(self.offset_error_s * 1e6) if self.synchronised else None
        return {"clock_error_us": error_us, "clock_steps": self.steps}

    def unix(self, ticks: int, now_s: float) -> float:
        """Unix seconds of a stamp of up to 8.9 minutes ago that arrived at now_s; learns from it, too."""
        device_s = self.observe(ticks, now_s)
        self._given_out = True
        unix_s = device_s + self._offset_s
        if unix_s < self._last_out:
            unix_s = self._last_out
        self._last_out = unix_s
        return unix_s

    def observe(self, ticks: int, now_s: float) -> float:
        """Learn from a stamp that arrived at now_s; returns it as the device's seconds, which don't wrap."""
        if self._newest_us is None:
            self._newest_us = ticks
            self._newest_at_s = now_s
        expected_us = self._newest_us + int((now_s - self._newest_at_s) * 1e6)
        device_us = expected_us + ((ticks - expected_us + _HALF) % TICKS_PERIOD) - _HALF
        if device_us > self._newest_us:
            self._newest_us = device_us
            self._newest_at_s = now_s
        device_s = device_us * 1e-6
        difference_s = now_s - device_s
        if device_s >= self._block_end_s or not self._block_end_s:
            self._next_block(device_s, difference_s)
        elif difference_s < self._block_min_s:
            self._block_min_s = difference_s
            self._aim()
        most_s = (device_s - self._slewed_at_s) * SLEW
        if most_s > 0:
            self._slewed_at_s = device_s
            error_s = self._target_s - self._offset_s
            self._offset_s += min(max(error_s, -most_s), most_s)
        return device_s

    def _next_block(self, device_s: float, difference_s: float) -> None:
        if self._block_end_s:
            self._blocks.append((self._block_end_s, self._block_min_s))
        while self._blocks and self._blocks[0][0] < device_s - WINDOW_S:
            self._blocks.popleft()
        self._block_end_s = device_s + BLOCK_S
        self._block_min_s = difference_s
        self._wall_minus_mono_s = self._wall() - self._monotonic()
        self._aim()

    def _aim(self) -> None:
        smallest_s = min((block[1] for block in self._blocks), default=self._block_min_s)
        self._target_s = min(smallest_s, self._block_min_s) + self._wall_minus_mono_s
        if not self._given_out:
            self._offset_s = self._target_s
        elif abs(self._target_s - self._offset_s) > STEP_S:
            self.steps += 1
            self._offset_s = self._target_s
            self._last_out = 0.0
