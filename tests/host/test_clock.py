"""Device time to unix time: the errors of a simulated device, its quartz and its line stay within bounds."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from kline.protocol.ticks import TICKS_PERIOD
from openkline.device.clock import BLOCK_S, SLEW, STEP_S, WINDOW_S, DeviceClock

WALL_S = 1_700_000_000.0


@dataclass
class Rig:
    """A device with a quartz that is drift_ppm off, and a PC whose clocks it is watched with."""

    drift_ppm: float = 0.0
    start_ticks: int = TICKS_PERIOD - 5_000_000
    true_s: float = 0.0
    wall_s: float = WALL_S

    def __post_init__(self) -> None:
        self.now_s = 0.0
        self.clock = DeviceClock(wall=lambda: self.wall_s + self.now_s, monotonic=lambda: self.now_s)

    def ticks(self, true_s: float) -> int:
        return int(self.start_ticks + true_s * 1e6 * (1 + self.drift_ppm * 1e-6)) % TICKS_PERIOD

    def observe(self, true_s: float, delay_s: float) -> None:
        self.now_s = max(self.now_s, true_s + delay_s)
        self.clock.observe(self.ticks(true_s), self.now_s)

    def unix(self, true_s: float, delay_s: float) -> float:
        self.now_s = max(self.now_s, true_s + delay_s)
        return self.clock.unix(self.ticks(true_s), self.now_s)


@settings(max_examples=60)
@given(
    drift_ppm=st.floats(-100, 100),
    start_ticks=st.integers(0, TICKS_PERIOD - 1),
    seed=st.integers(0, 1 << 30),
    gap_s=st.sampled_from([0.01, 1.0, 30.0, 400.0]),
)
def test_monotonic_and_near_the_truth(drift_ppm: float, start_ticks: int, seed: int, gap_s: float) -> None:
    rig = Rig(drift_ppm, start_ticks)
    rng = random.Random(seed)
    best_s, at_s, last_s = 0.002, 0.0, 0.0
    late_s, seen = best_s, [(0.0, best_s)]
    rig.observe(0.0, best_s)
    for n in range(400):
        at_s += rng.uniform(0, gap_s)
        delay_s = best_s + (0.0 if n % 5 == 0 else rng.expovariate(50))
        # The mapping aims at the smallest delay of the window, and gets there by so much a second: where stamps are
        # rarer than the window is long, one that came late may be the only one.
        most_s = (at_s - seen[-1][0]) * SLEW * 1.001
        seen = [(when, delay) for when, delay in seen if when > at_s - WINDOW_S + 2 * BLOCK_S] + [(at_s, delay_s)]
        aim_s = min(delay for _, delay in seen)
        late_s = max(aim_s, late_s - most_s) if aim_s < late_s else min(aim_s, late_s + most_s)
        unix_s = rig.unix(at_s, delay_s)
        assert unix_s >= last_s
        # drift accumulates between two stamps and within the window of minima, at most
        slack_s = (gap_s * 6 + 45) * 2e-4 + best_s + 0.001
        assert abs(unix_s - WALL_S - at_s) <= slack_s + min(late_s, 0.02 if gap_s <= 1 else 1.0), n
        last_s = unix_s


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 30), first_delay_s=st.floats(0, 0.3))
def test_gaps_are_right_even_where_delays_are_not(seed: int, first_delay_s: float) -> None:
    rig = Rig(drift_ppm=20)
    rng = random.Random(seed)
    rig.observe(0.0, first_delay_s)
    at_s = before_s = 0.5
    before_unix_s = rig.unix(at_s, rng.uniform(0, 0.1))
    for _ in range(200):
        at_s += rng.uniform(0.002, 1.2)
        unix_s = rig.unix(at_s, rng.uniform(0, 0.1))
        assert abs((unix_s - before_unix_s) - (at_s - before_s)) <= (at_s - before_s) * (SLEW + 1e-4) + 2e-6
        before_s, before_unix_s = at_s, unix_s


def test_long_silence_counts_every_wrap() -> None:
    rig = Rig()
    rig.unix(0.0, 0.001)
    for hours in (1, 2, 10):
        at_s = hours * 3600.0
        assert abs(rig.unix(at_s, 0.001) - WALL_S - at_s) < 0.001


def test_frames_kept_by_the_device_while_the_cable_was_out_have_their_own_times() -> None:
    rig = Rig()
    for n in range(10):
        rig.unix(n * 1.0, 0.001)
    rig.observe(300.0, 0.001)  # the WELCOME that resumes
    for at_s in (20.0, 21.5, 299.0):
        assert abs(rig.clock.unix(rig.ticks(at_s), 300.1) - WALL_S - at_s) < 0.001


def test_a_restarted_device_starts_a_new_mapping_and_time_goes_on() -> None:
    rig = Rig()
    last_s = rig.unix(100.0, 0.001)
    rig.clock.reset()
    rig.start_ticks = 7
    rig.now_s = 101.0
    again_s = rig.clock.unix(7, 101.001)
    assert last_s < again_s
    assert abs(again_s - WALL_S - 101.0) < 0.01


def test_the_pc_setting_its_clock_is_followed_at_once_both_ways() -> None:
    rig = Rig()
    rig.unix(0.0, 0.001)
    at_s = 0.0
    for step_s in (3600.0, -7200.0):
        rig.wall_s += step_s
        for _ in range(10):
            at_s += 1.0
            unix_s = rig.unix(at_s, 0.001)
        assert abs(unix_s - rig.wall_s - at_s) < 0.01
    assert rig.clock.steps == 2
    assert STEP_S < 3600
