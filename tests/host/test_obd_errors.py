"""The board's errors on their way to a person: each text as `openkline obd` shows it, and in the document."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from kline.protocol.link import host_records, records, unpack
from openkline.cli import main
from openkline.device.sim import find_micropython

from .fake_obd import ObdBoard, obd_port

ROOT = Path(__file__).parents[2]


def device_texts() -> ModuleType:
    """kline.device.obd.texts, which runs here too; read as a file, as the host never imports kline.device."""
    path = ROOT / "firmware" / "kline" / "device" / "obd/texts.py"
    spec = importlib.util.spec_from_file_location("device_obd_texts", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TEXTS: dict[int, str] = device_texts().TEXTS
# What a person can do, in one of these words.
TO_TRY = re.compile(r"\b(try|is the|does it|do|connect|unplug|wait|clear)\b", re.IGNORECASE)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    board = ObdBoard()
    monkeypatch.setattr("openkline.device.opening.port_for", lambda name, sim: obd_port(board))
    return board


@pytest.mark.parametrize("code", TEXTS, ids=lambda code: host_records.OBD_ERRORS[code - 1])
def test_each_error_reaches_the_person(board: ObdBoard, code: int) -> None:
    name = host_records.OBD_ERRORS[code - 1]
    text = TEXTS[code].replace("%02X", "33").replace("%d", "7").replace("%s", "(what the board adds)")
    assert TO_TRY.search(TEXTS[code]) or name in ("not_allowed", "no_car"), "what to try: else the board adds it"

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation != records.OP_CLOSE:
            board.fail(call.ident, name, text)
        return call.operation != records.OP_CLOSE

    board.on_call = on_call
    result = CliRunner().invoke(main, ["obd", "dtc", "--init", "slow"])
    assert result.exit_code == 7 and result.stdout == ""
    assert " ".join(text.split()) in " ".join(result.stderr.split())


# The board's own words for each trouble of tests/device/mpy_obd_errors.py, with the firmware and the virtual car.
ASK_THE_BOARD = """
import json
from mpy_obd_errors import CASES
from obd_rig import ObdRig
from kline.device.obd.errors import ObdError
from kline.protocol.link.host_records import OBD_ERRORS
for cause, script, changes, make, call, *_ in CASES:
    rig = ObdRig(script, **changes)
    if make:
        make(rig)
    try:
        rig.obd.request_pid(1, 0x0C) if call == "keep_going" else getattr(rig.obd, call)()
    except ObdError as error:
        print(json.dumps([cause, OBD_ERRORS[error.code - 1], str(error)]))
"""
# What a mechanic has to read for each: what happened, the numbers that matter, what to try.
READ = {
    "wire cut": r"nothing that was sent came back.*12 V and ground",
    "RX cut": r"nothing that was sent came back.*right pins",
    "another tester": r"not what was sent \(81 instead of C1\).*something else talking",
    "stage stuck": r"held low.*shorted",
    "inverted": r"held low.*tx_invert",
    "no battery": r"held low.*ignition on",
    "noise": r"did not become quiet.*Unplug other devices",
    "ignition off": r"no ECU answered the address 33 within 300 ms.*ignition on",
    "other address": r"no ECU answered the address 33.*another address",
    "no sync byte": r"not with the sync byte 55: 54 at 10400 baud.*Try again",
    "odd rate": r"not with the sync byte 55: its bits are those of 1[56]\d{3} baud.*fast initialisation at that rate",
    "sync only": r"sync byte, and then no key bytes \(no first one within W2\).*Try again",
    "one key byte": r"no key bytes \(08, no second one within W3\).*Try again",
    "other protocol": r"key bytes are of no protocol known here \(12 34\).*another address",
    "gives up": r"did not confirm the initialisation \(nothing came within W4\).*Unplug other testers",
    "wrong address": r"did not confirm the initialisation \(CD instead of CC\).*try fast",
    "no fast init": r"no ECU answered the fast initialisation.*ignition on",
    "refused init": r"refused StartCommunication: ECU 10: 10: rejected without a reason.*engine off",
    "damage after init": r"slow init of 33: no ECU gave a whole answer to 01 00.*Try again.*fast init of 33",
    "nobody at all": r"slow init of 33: no ECU.*\n *fast init of 33: no ECU answered the fast initialisation",
    "busy board": r"kept busy by something else.*us late.*Try again",
    "too early": r"no session",
}


@pytest.fixture(scope="module")
def said() -> dict[str, tuple[str, str]]:
    """{cause: (error's name, text)}"""
    folders = ("tests/device", "boards/SIM/port", "boards/SIM", "firmware")
    path = ":".join([*(str(ROOT / folder) for folder in folders), ".frozen"])
    done = subprocess.run(
        [find_micropython(), "-X", "heapsize=64M", "-c", ASK_THE_BOARD],
        env={**os.environ, "MICROPYPATH": path, "OPENKLINE_ROOT": str(ROOT)},
        stdout=subprocess.PIPE, timeout=60, check=True,
    )  # fmt: skip
    return {cause: (name, text) for cause, name, text in map(json.loads, done.stdout.splitlines())}


def test_every_trouble_has_its_words(said: dict[str, tuple[str, str]]) -> None:
    assert set(said) == set(READ)


@pytest.mark.parametrize("cause", READ)
def test_what_the_board_says_is_what_a_mechanic_reads(
    board: ObdBoard, said: dict[str, tuple[str, str]], cause: str
) -> None:
    name, text = said[cause]

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation != records.OP_CLOSE:
            board.fail(call.ident, name, text)
        return call.operation != records.OP_CLOSE

    board.on_call = on_call
    result = CliRunner().invoke(main, ["obd", "vin"])
    assert result.exit_code == 7 and result.stdout == ""
    assert re.search(READ[cause], result.stderr, re.DOTALL), result.stderr
    assert "%" not in result.stderr


def test_the_document_quotes_them() -> None:
    document = (ROOT / "docs" / "obd.md").read_text("utf-8")
    table = document[document.index("| what it says |") :].split("\n\n")[0]
    said = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
    known = " ".join(TEXTS.values())
    for quote in said:
        assert quote in known, f"{quote!r} is said by no error"
    for code, text in TEXTS.items():
        if host_records.OBD_ERRORS[code - 1] not in ("not_connected", "not_allowed", "no_car"):
            assert any(quote in text for quote in said), text
