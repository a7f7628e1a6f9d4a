"""What is remembered of a car: the file, when it is used, and what is done with one that is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from kline.protocol.link import records, unpack
from openkline.errors import ObdError, OpenklineError
from openkline.obd import profile as profiles
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.profile import Profile

from .fake_obd import VIN, ObdBoard, opened


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "openkline" / "cars"


async def test_a_profile_is_saved_and_used(home: Path) -> None:
    board = ObdBoard()
    async with opened(board, "golf") as session:
        await session.connect(ways=(("fast", 0x33),))
        await Diagnostics(session).supported()
        await Diagnostics(session).vins()
    saved = json.loads((home / "golf.json").read_text())
    assert (saved["kind"], saved["address"], saved["key_bytes"], saved["vin"]) == ("fast", "33", "E9 8F", VIN)
    assert saved["supported"][-1] == "42"
    board.calls.clear()
    async with opened(board, "golf") as session:
        assert (await session.connect()).vin == VIN
        assert 0x42 in await Diagnostics(session).supported()
    # Fast first, at the rate that it had; and the bitmaps of 20 and 40 are known.
    assert board.calls[0].arguments == bytes.fromhex("A028 0133 0033 0133 0033")
    assert board.requests() == []


async def test_how_the_same_car_was_reached_is_as_it_was_now(home: Path) -> None:
    """It answered slow initialisation only, this time; and its ECUs in another order."""
    board = ObdBoard()
    async with opened(board, "golf") as session:
        await session.connect(ways=(("fast", 0x33),))
        await Diagnostics(session).vins()
    kept = profiles.load("golf")
    assert kept is not None and (kept.kind, kept.vin) == ("fast", VIN)
    profiles.save("golf", dataclasses.replace(kept, ecus=(0x18, 0x10)))
    board.ecus = [0x10, 0x18]
    async with opened(board, "golf") as session:
        found = await session.connect(ways=(("slow", 0x33),))
    assert (found.kind, found.vin) == ("slow", VIN) and profiles.load("golf") == found


async def test_a_file_that_is_none_is_said_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(parents=True)
    (home / "car.json").write_text('{"address": "33"}')
    async with opened(ObdBoard(), "car") as session:
        await session.connect()
        await Diagnostics(session).vins()
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records if record.name == "openkline.obd"] == [
        "ignored, it is not a car's profile (it has no 'kind')"
    ]
    caplog.clear()
    (home / "car.json").unlink()
    home.rmdir()
    home.write_text("a file where the folder should be")
    async with opened(ObdBoard(), "car") as session:
        await session.connect()
        await Diagnostics(session).supported()
        await Diagnostics(session).vins()
    said = [record.getMessage() for record in caplog.records if record.name == "openkline.obd"]
    assert [text.partition("car.json: ")[2].partition(" (")[0] for text in said] == ["can't be read", "not saved"]


async def test_a_rate_of_the_last_car_does_not_hide_the_next_one(home: Path) -> None:
    """Fast initialisation only, at the usual rate; the profile's was another."""
    profiles.save("car", Profile("fast", 0x33, 9600, b"\xef\x8f"))
    board = ObdBoard()

    def on_call(call: unpack.ObdCall) -> bool:
        wrong = call.operation == records.OP_CONNECT and call.arguments[:2] != b"\0\0"
        if wrong:
            board.fail(call.ident, "no_car", "no way of initialisation worked.")
        return wrong

    board.on_call = on_call
    async with opened(board, "car") as session:
        await session.connect()
    assert [call.arguments.hex() for call in board.calls[:-1]] == ["80250133003301330033", "00000033013300330133"]
    # A rate that is usual, or that somebody named, has been tried.
    profiles.save("car", Profile("fast", 0x33, 10_400, b"\xef\x8f"))
    for baud in (0, 9600):
        board.calls.clear()
        async with opened(board, "car") as session:
            with pytest.raises(ObdError, match="no way"):
                await session.connect(baud=baud)
        assert board.operations() == [records.OP_CONNECT, records.OP_CLOSE]


async def test_another_car_under_the_same_name_replaces_it(home: Path) -> None:
    profiles.save("car", Profile("fast", 0x33, 9600, b"\xef\x8f", (0x11,), (0, 1, 0x42), "X" * 17))
    async with opened(ObdBoard(), "car") as session:
        found = await session.connect()
    assert (found.key_bytes, found.vin) == (b"\xe9\x8f", "") and profiles.load("car") == found


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"kind": "slow"}', "null", '{"kind": 1, "address": "ZZ"}', "[" * 100_000,
        '{"kind": "slow", "address": "33", "baud": 1e999, "key_bytes": "E9 8F"}',
        '{"kind": "slow", "address": "33", "baud": 10400, "key_bytes": "E9 8F", "ecus": ["1FFF"]}',
        '{"kind": "slow", "address": "33", "baud": 10400, "key_bytes": "E9 8F", "supported": ["-1"]}',
    ],
)  # fmt: skip
def test_a_file_that_is_no_profile_is_ignored(home: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    home.mkdir(parents=True)
    (home / "car.json").write_text(text)
    assert profiles.load("car") is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 65])
def test_names_that_are_no_files(name: str) -> None:
    with pytest.raises(OpenklineError):
        profiles.path_of(name)
