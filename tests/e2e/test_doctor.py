"""openkline doctor against each fault that the virtual board can have: the first guess must be right.

The boards run side by side, in real time: what a fault looks like depends on model time alone.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from openkline.cli.doctor import FAULTS
from openkline.doctor import examine
from openkline.doctor.facts import Facts, WireFacts
from openkline.doctor.judge import cause, judge
from openkline.serial_io import SimPort
from openkline.sim import SimOptions

LISTEN_S = 0.4
_AT_ONCE = 13  # boards; most of the time they sleep


@dataclass(frozen=True, slots=True)
class Case:
    """fault: of boot.py --fault; finding: the first guess; words: what its sentence must name."""

    fault: str
    finding: str | None
    words: tuple[str, ...] = ()
    obd: bool = False


CASES = (
    Case("", None),
    Case("car_9600", None),
    Case("rx_loose", "rx_not_connected", ("GPIO 16",)),
    Case("tx_loose", "tx_not_connected", ("GPIO 17",)),
    Case("unwired", "wrong_pins", ("GPIO 16", "GPIO 17")),
    Case("swapped", "swapped", ("exchanged",)),
    Case("tx_inverted", "tx_invert_wrong", ("TX is upside down",)),
    Case("rx_inverted", "rx_invert_wrong", ("RX is upside down",)),
    Case("both_inverted", "both_inverts_wrong", ("both upside down",)),
    Case("rx_pull_missing", "rx_pull_missing", ("no pull-up",)),
    Case("tx_pull_missing", "tx_pull_missing", ("reset",)),
    Case("no_pull_up", "no_pull_up", ("nothing pulls it up",)),
    Case("no_pull_up", "no_pull_up", ("nothing pulls it up",), obd=True),
    Case("slow", "slow", ("too long", "lets go slowly")),
    Case("weak", "weak", ("too short", "pulls weakly")),
    Case("car_10400", "wrong_rate", ("10400", "9600", "K-line")),
    Case("other_tester", "other_tester", ("10400", "another tester"), obd=True),
    Case("tx_open,car_9600", "tx_no_effect", ("Others are heard", "sending half")),
    # What two pins can't tell apart: one finding names them all.
    Case("bus_low", "stuck_low", ("shorted to ground",)),
    Case("rx_stuck", "stuck_low", ("transistors is always on",)),
    Case("tx_stuck", "stuck_low", ("transistors is always on",)),
    Case("no_12v", "no_echo", ("no 12 V",)),
    Case("rx_open", "no_echo", ("receiving half",)),
    Case("tx_open", "no_echo", ("sending half",)),
    Case("bus_high", "no_echo", ("shorted to 12 V",)),
)


def board(fault: str, *extra: str) -> SimPort:
    words = ("--fault", fault) if fault else ()
    return SimPort(SimOptions(car="none", extra=(*words, *extra)))


async def agreed(_: WireFacts) -> bool:
    return True


async def examine_all() -> dict[Case, Facts]:
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> Facts:
        async with some:
            return await examine("sim", board(case.fault), agreed, obd=case.obd, listen_s=LISTEN_S)

    return dict(zip(CASES, await asyncio.gather(*map(one, CASES)), strict=True))


def wrong_guess(case: Case, facts: Facts) -> str:
    """Why the first guess is not the case's finding; "" when it is."""
    found = judge(facts)
    likely = cause(found)
    wrong = [finding for finding in found if finding.wrong]
    if case.finding is None:
        return "" if not wrong else f"healthy, but {wrong}"
    if likely is None or likely.name != case.finding or not likely.remedy:
        return f"expected {case.finding}, got {found} from {facts.wire}"
    missing = [word for word in case.words if word not in likely.text]
    if missing:
        return f"{likely.text!r} does not say {missing}"
    return "" if all(finding.part == "wire" for finding in wrong) else f"not only the wire: {wrong}"


async def test_the_first_guess_is_right_for_each_fault() -> None:
    examined = await examine_all()
    wrong = {f"{case.fault} obd={case.obd}": wrong_guess(case, facts) for case, facts in examined.items()}
    assert {name: text for name, text in wrong.items() if text} == {}


async def test_it_pulls_nothing_without_consent(tmp_path: Path) -> None:
    """The board's driver on the wire is watched in the model: not one edge; and it would have been seen."""
    script, touched = tmp_path / "watch.py", tmp_path / "touched"
    script.write_text(
        "log = w.board.stage.driver.record()\n"
        "def look(_, log=log, w=w):\n"
        "    if len(log):\n"
        f"        open({str(touched)!r}, 'w').close()\n"
        "    w.at(w.now + 5000, look)\n"
        "look(None)\n"
    )
    asked: list[WireFacts] = []

    async def refused(heard: WireFacts) -> bool:
        asked.append(heard)
        return False

    port = board("car_9600", "--script", str(script))
    facts = await examine("sim", port, refused, listen_s=LISTEN_S)
    assert facts.wire is not None and facts.wire.active is None and len(asked) == 1 and asked[0].talking
    assert not touched.exists()
    assert [finding.name for finding in judge(facts)][-1] == "active_skipped"
    await examine("sim", board("", "--script", str(script)), agreed, listen_s=0.1)
    assert touched.exists()


def openkline(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "openkline", "doctor", "-d", "sim", "--listen", "0.2", *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_the_names_of_faults() -> None:
    """Those of the command line are those of the virtual board, and each is in a case."""
    done = openkline("--fault", "nothing")
    assert done.returncode == 2 and "nothing is none of" in done.stderr
    port = board("nothing")
    command, environment = port.board._command()
    said = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert said.returncode == 2
    assert sorted(said.stdout.split("one of ")[1].strip().split(", ")) == sorted(FAULTS)
    assert {name for case in CASES for name in case.fault.split(",")} - {""} == set(FAULTS)


def test_the_command_line() -> None:
    done = openkline("--yes", "--fault", "swapped")
    assert done.returncode == 9, done.stderr
    assert "Most likely: TX and RX are exchanged" in done.stdout and "TX (GPIO 17)" in done.stdout
    assert "the wire between TX and the stage" in done.stdout
    # Nobody can be asked: only listening.
    done = openkline("--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"healthy": True, "cause": None, "active": False}
    assert [line["part"] for line in lines[:-1]] == ["pc", "board", "board", "board", "link", "wire", "wire"]
    assert lines[-2]["finding"] == "active_skipped"
