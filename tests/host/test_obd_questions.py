"""Every question has the same answer on the board and on the PC, on every virtual car.

The board's side: kline.device.obd.diagnostics on MicroPython. The PC's: openkline.obd.diagnostics, whose calls go to
the firmware's service on a second car of the same script. Both run on the virtual clock.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kline.protocol.link import host_records, records, unpack
from kline.protocol.obd import questions, requests
from openkline.device.sim import find_micropython
from openkline.errors import ObdError
from openkline.obd.calls import Done, ObdCalls, flags_of
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.live import Cell
from openkline.obd.session import WAYS, ObdSession, Way

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
OWN = json.loads((ROOT / "tests/vectors/obd_cars.json").read_text())
SHIPPED = sorted(path.stem for path in (ROOT / "boards/SIM/cars").glob("*.json"))
VIN = "1M8GDM9AXKP042788"
QUESTIONS = (
    "supported", "monitors", "stored", "pending", "permanent", "freeze_frames", "vins", "calibration_ids",
    "calibration_numbers", "ecu_names", "clear", "stored after clear",
)  # fmt: skip

Said = dict[str, dict[str, Any]]


def script_of(car: str, folder: str) -> str:
    """A file with the car's script."""
    if car not in OWN:
        return str(ROOT / "boards/SIM/cars" / f"{car}.json")
    path = Path(folder) / "car.json"
    path.write_text(json.dumps(OWN[car]))
    return str(path)


def ways_of(car: str) -> tuple[Way, ...]:
    return (("slow", 0x13),) * 2 if car == "difficult" else WAYS


def micropython(*words: str) -> tuple[list[str], dict[str, str]]:
    """(command, environment)"""
    parts = (ROOT / "tests/device", ROOT / "boards/SIM/port", ROOT / "boards/SIM", ROOT / "firmware", ".frozen")
    environment = dict(os.environ, MICROPYPATH=":".join(map(str, parts)), OPENKLINE_ROOT=str(ROOT))
    return [
        find_micropython(),
        "-X",
        "heapsize=16M",
        str(ROOT / "tests/device/questions_board.py"),
        *words,
    ], environment


@functools.cache
def asked_by_the_board(car: str) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        command, environment = micropython("board", script_of(car, folder))
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said: Said = json.loads(done.stdout)
    return said


class ServiceCalls:
    """In place of ObdCalls: the firmware's service, with nothing but its answers between."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.device = SimpleNamespace(info=None)

    async def call(self, operation: int, arguments: bytes = b"", **_: object) -> Done:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{operation:X} {arguments.hex()}\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the firmware ended"
        end = json.loads(line)
        if end["code"] > records.END_ERROR:
            raise ObdError(end["error"], host_records.OBD_ERRORS[end["code"] - records.END_ERROR - 1])
        assert end["code"] == records.END_DONE and not end["flags"] & records.END_LOST_ANSWERS, end
        answers = [
            unpack.ObdAnswer(0, attempt, mode, target, source, bytes.fromhex(data))
            for attempt, mode, target, source, data in end["answers"]
        ]
        return Done(answers, bytes.fromhex(end["found"]), *flags_of(end["flags"]))


def by_ecu(found: dict[int, Any], shown: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    return {f"{ecu & 0xFF:02X}": shown(value) for ecu, value in found.items()}


def frozen(frame: tuple[str, list[Cell]]) -> list[Any]:
    return [frame[0], [[cell.name, cell.value.value, cell.why] for cell in frame[1]]]


async def answer_of(car: Diagnostics, question: str) -> Any:
    if question == "supported":
        return (await car.supported()).pids()
    services = {"pending": requests.PENDING_CODES, "permanent": requests.PERMANENT}
    if question.startswith("stored") or question in services:
        codes, certain = await car.codes(services.get(question, requests.STORED))
        return [by_ecu(codes), certain]
    asked: Callable[[], Awaitable[dict[int, Any]]] = getattr(car, question)
    if question == "freeze_frames":
        return by_ecu(await asked(), frozen)
    if question == "monitors":
        return by_ecu(
            await asked(), lambda one: [one.mil, one.codes, one.compression, [list(pair) for pair in one.monitors]]
        )
    return by_ecu(await asked())


async def ask_everything(car: str, process: subprocess.Popen[str]) -> Said:
    session = ObdSession(cast(Any, SimpleNamespace(serve=lambda *_: None)))
    session.calls = cast(ObdCalls, ServiceCalls(process))
    asking = Diagnostics(session)
    try:
        await session.connect(ways_of(car))
    except ObdError as error:
        return {"connect": {"error": error.name, "damaged": False}}
    found: Said = {}
    for question in QUESTIONS:
        asking.damaged = False
        try:
            said: dict[str, Any] = {"answer": await answer_of(asking, question)}
        except ObdError as error:
            said = {"error": error.name}
        found[question] = {**said, "damaged": asking.damaged}
    return found


@functools.cache
def asked_by_the_pc(car: str) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        command, environment = micropython("link", script_of(car, folder))
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, cwd=folder, stdin=pipe, stdout=pipe, text=True) as process:
            return asyncio.run(ask_everything(car, process))


@pytest.mark.parametrize("car", [*SHIPPED, *OWN])
def test_the_car_is_found_by_both(car: str) -> None:
    assert "connect" not in asked_by_the_board(car) and "connect" not in asked_by_the_pc(car)


@pytest.mark.parametrize("car", [*SHIPPED, *OWN])
@pytest.mark.parametrize("question", QUESTIONS)
def test_board_and_pc_have_the_same_answer(question: str, car: str) -> None:
    assert asked_by_the_board(car).get(question) == asked_by_the_pc(car).get(question)


DAMAGED = {"error": "damaged", "damaged": True}


@pytest.mark.parametrize(
    ("car", "question", "said"),
    [
        ("VIN damaged three times", "vins", {"answer": {"10": VIN}, "damaged": False}),
        ("mode 09 always damaged", "vins", DAMAGED),
        ("mode 09 always damaged", "calibration_ids", DAMAGED),
        ("mode 09 always damaged", "calibration_numbers", DAMAGED),
        ("mode 09 always damaged", "ecu_names", DAMAGED),
        ("a frame of the VIN is missing", "vins", DAMAGED),
        (
            "mode 09 of the engine always damaged, the gearbox has none",
            "ecu_names",
            {"answer": {"18": "TCM-Transmission"}, "damaged": True},
        ),
        ("gearbox silent to clear", "clear", {"answer": {"10": 0, "18": None}, "damaged": False}),
        ("nobody answers clear", "clear", {"error": "silent", "damaged": False}),
        ("damaged codes, monitors and freeze frame", "monitors", DAMAGED),
        ("damaged codes, monitors and freeze frame", "freeze_frames", DAMAGED),
        ("damaged codes, monitors and freeze frame", "stored", {"answer": [{}, False], "damaged": True}),
        ("silent to 03, with codes", "stored", {"answer": [{}, False], "damaged": False}),
        *(
            (car, "vins", {"answer": {"10": VIN}, "damaged": False})
            for car in (
                "P2 of 52 ms",
                "frames of the VIN 60 ms apart",
                "silent to 01 00",
                "key bytes EA 8F, lengths of their own",
                "key bytes DA 8F, lengths of their own",
                "VIN in one frame",
                "VIN numbered from 00",
                "VIN in one frame, without a number",
            )
        ),
        ("VIN of another form", "vins", {"answer": {}, "damaged": False}),
        ("wants 600 ms before a request", "vins", {"answer": {"01": VIN}, "damaged": False}),
        ("refuses the first request", "vins", {"answer": {"01": VIN}, "damaged": False}),
        ("refuses every service", "stored", {"answer": [{}, False], "damaged": False}),
        ("no inverted address", "stored", {"answer": [{"11": ["P0133"]}, True], "damaged": False}),
        (
            "an odd number of bytes of codes",
            "stored",
            {"answer": [{"10": ["P0133", "P0420"]}, False], "damaged": False},
        ),
        ("an odd number of bytes of codes", "pending", {"answer": [{"10": ["P0171"]}, False], "damaged": False}),
        ("a count before the codes", "stored", {"answer": [{"10": ["P0133", "P0301"]}, False], "damaged": False}),
        ("kwp_fast", "vins", {"answer": {"10": VIN}, "damaged": False}),
        ("difficult", "vins", {"answer": {"10": VIN}, "damaged": False}),
    ],
)
def test_what_it_is(car: str, question: str, said: dict[str, Any]) -> None:
    assert asked_by_the_board(car)[question] == said
    assert asked_by_the_pc(car)[question] == said


def test_reasons_are_those_of_the_link() -> None:
    names = [host_records.OBD_ERRORS[why - 1] for why in (questions.SILENT, questions.REFUSED, questions.DAMAGED)]
    assert names == ["silent", "refused", "damaged"]
