"""openkline doctor against each fault that the virtual board can have: the first guess must be right.

The boards run side by side, in real time: what a fault looks like depends on model time alone.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kline.version import VERSION
from openkline.cli.doctor import FAULTS
from openkline.device.port import SimPort
from openkline.device.sim import SimBoard, SimOptions
from openkline.doctor import examine
from openkline.doctor.facts import Facts, WireFacts
from openkline.doctor.finding import Finding
from openkline.doctor.judge import cause, judge
from openkline.doctor.judge_wire import judge_wire
from openkline.firmware import modules

from .terminal import Terminal
from .test_update import fill_slot

LISTEN_S = 0.4
_AT_ONCE = 14  # boards; most of the time they sleep


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
    Case("", None, obd=True),
    Case("rx_loose", "rx_not_connected", ("GPIO 16",)),
    Case("tx_loose", "tx_not_connected", ("GPIO 17",)),
    Case("unwired", "wrong_pins", ("GPIO 16", "GPIO 17")),
    Case("swapped", "swapped", ("swapped",)),
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
    Case("swapped,car_9600", "swapped", ("swapped",)),
    Case("rx_inverted,car_9600", "rx_invert_wrong", ("RX is upside down",)),
    Case("slow,car_9600", "slow", ("too long",)),
    Case("car_9600", "other_tester", ("9600", "the I-Bus"), obd=True),
    # Two at once: one of them is named, and nothing that isn't there.
    Case("no_12v,swapped", "swapped", ("swapped", "12 V")),
    Case("tx_inverted,swapped", "swapped", ("swapped",)),
    Case("tx_inverted,tx_pull_missing", "tx_invert_wrong", ("TX is upside down",)),
    Case("both_inverted,slow", "both_inverts_wrong", ("both upside down",)),
    Case("rx_loose,tx_loose", "wrong_pins", ("GPIO 16", "GPIO 17")),
    Case("bus_low,tx_loose", "stuck_low", ("shorted to ground",)),
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


async def refused(_: WireFacts) -> bool:
    return False


async def examine_all() -> dict[Case, Facts]:
    """Side by side; a board whose link was too slow or noisy, as this computer was busy, once more, alone."""
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> Facts:
        return await examine("sim", board(case.fault), agreed, obd=case.obd, listen_s=LISTEN_S)

    async def one_of_some(case: Case) -> Facts:
        async with some:
            return await one(case)

    examined = dict(zip(CASES, await asyncio.gather(*map(one_of_some, CASES)), strict=True))
    for case, facts in examined.items():
        if any(finding.wrong and finding.part == "link" for finding in judge(facts)):
            examined[case] = await one(case)
    return examined


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
    """The board's driver on the wire is watched in the model: not one edge; with consent it sees them."""
    asked: list[WireFacts] = []

    async def refuses(heard: WireFacts) -> bool:
        asked.append(heard)
        return False

    def watched(name: str, fault: str) -> SimPort:
        script = tmp_path / f"{name}.py"
        script.write_text(
            "log = w.board.stage.driver.record()\n"
            "def look(_, log=log, w=w):\n"
            "    if len(log):\n"
            f"        open({str(tmp_path / name)!r}, 'w').close()\n"
            "    w.at(w.now + 5000, look)\n"
            "look(None)\n"
        )
        return board(fault, "--script", str(script))

    facts, _ = await asyncio.gather(
        examine("sim", watched("not", "car_9600"), refuses, listen_s=LISTEN_S),
        examine("sim", watched("touched", "car_9600"), agreed, listen_s=LISTEN_S),
    )
    assert facts.wire is not None and facts.wire.active is None and len(asked) == 1 and asked[0].talking
    assert [finding.name for finding in judge(facts)][-1] == "active_skipped"
    assert (tmp_path / "touched").exists() and not (tmp_path / "not").exists()


@pytest.fixture
def flashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file system of a board with its modules in a slot; they are compiled only once."""
    compiled = modules.compile_modules()
    monkeypatch.setattr(modules, "compile_modules", lambda: compiled)
    folder = tmp_path / "flash"
    fill_slot(folder / "a", compiled, VERSION)
    (folder / "boot.json").write_text('{"slot": "a"}')
    return folder


async def test_files_of_a_flashed_board(flashed: Path) -> None:
    async def files(folder: Path) -> Finding:
        facts = await examine("sim", board("", "--flash", str(folder)), agreed, listen_s=0.1)
        assert facts.wire is not None and [one for one in judge_wire(facts.wire) if one.wrong] == []
        (found,) = [one for one in judge(facts) if one.name.startswith("files")]
        return found

    broken = flashed.parent / "broken"
    shutil.copytree(flashed, broken)
    # Modules that the application doesn't load: without others it would not start.
    (broken / "a/kline/protocol/ibus/names.mpy").write_bytes(b"bit rot")
    (broken / "a/kline/device/obd/service.mpy").unlink()
    whole, found = await asyncio.gather(files(flashed), files(broken))
    assert whole.name == "files" and whole.level == "ok" and "digests they should have" in whole.text
    assert found.name == "files_damaged" and found.level == "fault"
    assert found.text.startswith("2 of its")
    assert "kline/protocol/ibus/names.mpy" in found.text and "kline/device/obd/service.mpy" in found.text


async def test_micropython_without_the_firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that only shows its prompt, whatever is tried."""
    (tmp_path / "main.py").touch()
    monkeypatch.setattr(SimBoard, "_firmware", lambda board, root: tmp_path)
    facts = await examine("sim", board(""), refused, timeout_s=3.0)
    likely = cause(judge(facts))
    assert likely is not None and likely.name == "no_firmware", facts


async def openkline(*words: str, device: str = "sim") -> tuple[int, str, str]:
    """(exit status, stdout, stderr)"""
    command = [sys.executable, "-m", "openkline", "doctor", "-d", device, "--listen", "0.2", *words]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_names_of_faults() -> None:
    """Those of the command line are those of the virtual board, and each is in a case."""
    status, _, err = await openkline("--fault", "nothing")
    assert status == 2 and "'nothing' is not one of" in err
    for words in ("--fault", "slow"), ("--car", "demo"):
        status, _, err = await openkline(*words, device="/dev/none")
        assert status == 2 and "need -d sim" in err
    port = board("nothing")
    command, environment = port.board._command()
    said = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert said.returncode == 2
    assert sorted(said.stdout.split("one of ")[1].strip().split(", ")) == sorted(FAULTS)
    assert {name for case in CASES for name in case.fault.split(",")} - {""} == set(FAULTS)


def answer(keys: bytes, before: bytes = b"") -> str:
    """What it says after its question is answered at a terminal; before: typed when nothing has been asked yet."""
    with Terminal("doctor", "-d", "sim", "--listen", "0.2", "--json") as terminal:
        terminal.write(before)
        terminal.read_until(r"The bus is silent.*This\s+wakes\s+a\s+sleeping\s+car.*Continue\?\s+\[y/N\]: ")
        terminal.write(keys)
        assert terminal.end() == 0, terminal.text
        return terminal.text


def test_ctrl_c_at_the_question_ends_it() -> None:
    with Terminal("doctor", "-d", "sim", "--listen", "0.2") as terminal:
        terminal.read_until(r"Continue\? \[y/N\]: ")
        terminal.write(b"\x03")
        assert terminal.end() == 130
        assert "wire" not in terminal.text


async def test_the_command_line() -> None:
    faulty, unasked, refused, ended, agreed = await asyncio.gather(
        openkline("--yes", "--fault", "swapped"),
        openkline("--json"),
        asyncio.to_thread(answer, b"n\n", before=b"y\n"),
        asyncio.to_thread(answer, b"\x04"),
        asyncio.to_thread(answer, b"y\n"),
    )
    status, out, err = faulty
    assert status == 9, err
    assert "Most likely: TX and RX are swapped" in out and "TX (GPIO 17)" in out
    assert "the wire between TX and the stage" in out
    # At a terminal it asks, and only what is typed then is an answer.
    for said, active in ((refused, "false"), (ended, "false"), (agreed, "true")):
        assert f'{{"healthy": true, "cause": null, "active": {active}}}' in said
    # Nobody can be asked: only listening.
    status, out, err = unasked
    assert status == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1] == {"healthy": True, "cause": None, "active": False}
    assert [line["part"] for line in lines[:-1]] == ["pc", "board", "board", "board", "link", "wire", "wire"]
    assert lines[-2]["finding"] == "active_skipped"
