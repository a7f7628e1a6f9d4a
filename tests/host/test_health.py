"""Bus load and latency windows, and the words for what is wrong: all without a bridge."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from openkline.bridge.health import WINDOW, BusLoad, Probe, Window
from openkline.bridge.problems import problems
from openkline.bus import BusFrame
from openkline.device.clock import DeviceClock
from openkline.device.device import Device


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_load_of_a_full_bus_is_a_hundred_percent() -> None:
    clock = Clock()
    load = BusLoad(clock)
    assert load.percent(10) is None
    for _ in range(30 * 100):
        load.add(10, clock.now_s)
        clock.now_s += 10 * 1146e-6
    assert load.percent(10) == pytest.approx(100, abs=1.2)
    assert load.percent(60) == pytest.approx(100, abs=1.2)


def test_load_counts_whole_seconds_and_forgets() -> None:
    clock = Clock()
    load = BusLoad(clock)
    load.add(100, clock.now_s)
    assert load.percent(10) is None, "not a second old"
    clock.now_s += 1
    assert load.percent(10) == 11.46
    clock.now_s += 1
    assert load.percent(10) == 5.73
    load.add(500, clock.now_s)
    assert load.percent(10) == 5.73, "the present second is not over"
    clock.now_s += 9
    assert load.percent(10) == 5.73, "ten seconds, and the first second is eleven ago"
    clock.now_s += 3
    assert load.percent(10) == 0
    assert load.percent(60) == pytest.approx(6 * 11.46 / 14, abs=0.01)
    clock.now_s += 1000
    assert load.percent(60) == 0
    load.add(10, clock.now_s)
    clock.now_s += 1
    assert load.percent(1) == 1.15


def test_a_window_keeps_the_last_values() -> None:
    window = Window()
    assert window.summary_ms() == {"median": None, "p99": None, "max": None}
    window.add(0.002)
    assert window.summary_ms() == {"median": 2.0, "p99": 2.0, "max": 2.0}
    for n in range(3 * WINDOW):
        window.add(n / 1000)
    first = 2 * WINDOW
    assert window.summary_ms() == {
        "median": first + WINDOW / 2,
        "p99": first + WINDOW * 99 // 100,
        "max": 3.0 * WINDOW - 1,
    }


HEALTHY: dict[str, Any] = {
    "uptime_s": 100.0,
    "device": {"state": "ready", "trouble": "", "port": "/dev/ttyUSB0", "reboots": 0, "callback_errors": 0},
    "link": {"rx_records": 10_000, "rx_bad": 3, "misread": 0},
    "board": {"rx_bytes": 50_000, "dropped_bytes": 30},
    "bus": {"frames": 4000, "silent_s": 60.0, "last_event": None},
    "transmit": {"outcomes": {"sent": 5}},
    "gateway": {
        "max_clients": 8,
        "counters": {"full": 0, "slow": 0, "timeouts": 0, "outboxes_dropped": 0},
        "clients": [{"port": 4288, "read_only": 0, "too_long": 0, "denied": 0, "rate_limited": 0, "queue_full": 0}],
    },
    "logs": [{"name": "x.log", "state": "writing", "dropped": 0, "failed": 0}],
}


def test_nothing_is_wrong() -> None:
    assert problems(HEALTHY) == []


def test_an_update_is_a_restart_that_somebody_wanted() -> None:
    updated = HEALTHY | {"gateway": HEALTHY["gateway"] | {"clients": [{"port": 4288, "updates": 1}]}}
    updated["gateway"]["past_clients"] = {"updates": 2}
    for reboots, says in ((3, None), (4, "restarted once")):
        found = problems(updated | {"device": HEALTHY["device"] | {"reboots": reboots}})
        assert [says in text for text in found] == [True] if says else found == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("device.state", "waiting", "not answered yet"),
        ("device.reboots", 1, "restarted once: look at its power"),
        ("device.callback_errors", 2, "2 errors in the bridge itself"),
        ("link.rx_bad", 40, "40 damaged records"),
        ("link.misread", 1, "another version"),
        ("bus.last_event", {"name": "bus_stuck_low"}, "held low"),
        ("bus.frames", 0, "nothing was heard"),
        ("board.dropped_bytes", 5000, "5000 of 50000 bytes"),
        ("board.rx_full", 2, "could not keep up 2 times"),
        ("board.link_queue_full", 7, "the board gave up 7 records"),
        ("transmit.outcomes.no_echo", 1, "1 message of ours was not heard back"),
        ("transmit.outcomes.dropped", 3, "3 messages of ours were dropped"),
        ("gateway.counters.full", 4, "full 4 times: -c lets in more than 8"),
        ("gateway.counters.slow", 1, "did not read"),
        ("gateway.clients.0.denied", 9, "client on port 4288: messages refused (9 denied)"),
        ("gateway.past_clients", {"too_long": 1}, "have left: messages refused (1 too long)"),
        ("logs.0.failed", 12, "12 lines are missing"),
        ("logs.0.state", "failing", "can't be written"),
    ],
)
def test_each_trouble_has_its_sentence(path: str, value: object, words: str) -> None:
    status = copy.deepcopy(HEALTHY)
    *way, last = path.split(".")
    at: Any = status
    for name in way:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[last] = value
    found = problems(status)
    assert len(found) == 1
    assert words in found[0]


def test_a_board_that_is_away_says_why() -> None:
    status = copy.deepcopy(HEALTHY)
    status["device"] |= {"state": "waiting", "trouble": "/dev/ttyUSB0: there is no such port"}
    assert problems(status) == ["/dev/ttyUSB0: there is no such port"]


class OneDevice:
    """Of a Device what Probe listens to; a frame that the board's clock has stamped 5 ms ago."""

    def __init__(self) -> None:
        self.wall_s = 1_700_000_000.0
        self.link = SimpleNamespace(clock=DeviceClock(wall=lambda: self.wall_s + time.monotonic()), now_s=0.0)
        self.began_s = time.monotonic()

    def subscribe(self, on_frame: Callable[[BusFrame], None]) -> Callable[[], None]:
        self.on_frame = on_frame
        return lambda: None

    def subscribe_events(self, on_event: object) -> Callable[[], None]:
        return lambda: None

    def hear(self) -> None:
        self.link.now_s = now_s = time.monotonic()
        ticks = int((now_s - self.began_s) * 1e6)
        self.on_frame(BusFrame(self.link.clock.unix(ticks, now_s), bytes.fromhex("3F0480FF4400")))


@pytest.mark.parametrize("step_s", [34_560_000.0, 3600.0, -3600.0])
async def test_latency_does_not_care_for_the_wall_clock(step_s: float) -> None:
    device = OneDevice()
    probe = Probe(cast(Device, device))
    await probe.start()
    device.hear()
    device.wall_s += step_s
    device.hear()
    longest_ms = cast("dict[str, float]", probe.latency()["bus_to_clients_ms"])["max"]
    assert probe.latency()["frames"] == 2 and 0 <= longest_ms < 1_000
