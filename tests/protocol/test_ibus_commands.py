"""The E46 command table: every message is a whole, correct frame, and none differs from its source."""

import hashlib
import re
from pathlib import Path

import pytest

from kline.protocol.ibus import commands as e46

COMMANDS = list(e46.commands())
PUBLISHED = Path(__file__).parents[3] / "shared" / "design" / "e46-commands.tsv"
# SHA-256 over all frames, sorted: made when the table had been compared with its source byte by byte.
CHECKED = "1ca0758f976fb37361fe232544282efb2bd7ce7049c18bad3f0274b235f846b7"


def test_there_are_115_and_no_two_alike() -> None:
    assert len(COMMANDS) == 115
    assert len({command.name for command in COMMANDS}) == 115
    assert len({command.body for command in COMMANDS}) == 115


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_a_whole_frame_with_words(command: e46.Command) -> None:
    frame = command.frame()
    assert frame[:-1] == command.body
    assert frame[1] == len(frame) - 2
    checksum = 0
    for byte in command.body:
        checksum ^= byte
    assert frame[-1] == checksum
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", command.name)
    assert re.fullmatch(r"[a-z_]+", command.group)
    assert command.description and command.description == command.description.strip()


def test_the_frames_are_those_that_were_checked() -> None:
    frames = b"".join(sorted(command.frame() for command in COMMANDS))
    assert hashlib.sha256(frames).hexdigest() == CHECKED


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the gathered source of the table is not here")
def test_the_table_is_all_of_the_source_that_has_a_right_length() -> None:
    rows = [line.split("\t") for line in PUBLISHED.read_text().splitlines() if not line.startswith(("#", "label"))]
    published = {bytes.fromhex(row[1]) for row in rows}
    right = {body for body in published if body[1] == len(body) - 1}
    assert len(published) == 123
    assert right == {command.body for command in COMMANDS}


def test_whatever_moves_or_unlocks_asks_first() -> None:
    cautious = {command.group for command in COMMANDS if command.caution}
    assert cautious == {"windows", "sunroof", "locks", "trunk", "remote_key", "ignition", "wipers", "lights"}
    for command in COMMANDS:
        if command.group in cautious - {"lights"}:
            assert command.caution, command.name
    assert [c.name for c in COMMANDS if c.caution and c.group == "lights"] == ["lights_off"]
    for command in COMMANDS:
        if re.search(r"door|lock|trunk|window|wiper|sunroof|key_|remote", command.name):
            assert command.caution, command.name


def test_find_wants_every_word_anywhere() -> None:
    assert [c.name for c in e46.find("Window OPEN driver")] == ["window_front_driver_open", "window_rear_driver_open"]
    assert [c.name for c in e46.find("no such thing")] == []
    assert len(list(e46.find(""))) == 115


def test_get() -> None:
    command = e46.get("window_front_driver_open")
    assert command is not None
    assert command.frame() == bytes.fromhex("3F 05 00 0C 52 01 65")
    assert command.caution and command.group == "windows"
    assert e46.get("window_front_driver") is None
