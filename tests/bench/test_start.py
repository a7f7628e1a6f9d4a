"""How long commands and imports take to start, in the time that `python -c pass` takes here."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

_RUNS = 15
_SEND = ("-m", "openkline", "send", "-p", "1", "68 18 01")  # nothing listens on port 1, so it ends when it has started

# Before imports waited for their use (2026): -h 27.7, send -h 21.1, send to a bridge 17.1.
LIMITS = {
    "import openkline": (("-c", "import openkline"), 2.0),
    "import openkline.GatewayClient": (("-c", "from openkline import GatewayClient"), 5.0),
    "openkline -h": (("-m", "openkline", "-h"), 13.8),
    "openkline send -h": (("-m", "openkline", "send", "-h"), 10.5),
    "openkline send, no bridge there": (_SEND, 12.0),
}


def test_start() -> None:
    cases = {"pass": ("-c", "pass"), **{name: words for name, (words, _) in LIMITS.items()}}
    best = dict.fromkeys(cases, 60.0)
    for _ in range(_RUNS):  # in turns, so that a busy moment hits all alike
        for name, words in cases.items():
            best[name] = min(best[name], _seconds(words))
    ratios = {name: best[name] / best["pass"] for name in LIMITS}
    print(f"python -c pass takes {1000 * best['pass']:.1f} ms; in that time's multiples:")
    for name, (_, limit) in LIMITS.items():
        print(f"{name:34} {ratios[name]:5.1f} (at most {limit})")
    assert {name: ratio for name, ratio in ratios.items() if ratio > LIMITS[name][1]} == {}


def _seconds(words: tuple[str, ...]) -> float:
    """Processor time of one run, user and system: a busy computer changes it less than the time on the clock."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _environment() -> dict[str, str]:
    """Modules come compiled, as they are where openkline is installed."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
