"""`openkline commands`, and names that people type."""

import json

import pytest
from click.testing import CliRunner

from openkline.cli.commands import UnknownCommand, commands, resolve_command


def test_a_search_lists_name_mark_frame_and_sentence() -> None:
    result = CliRunner().invoke(commands, ["window", "front", "driver"])
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["window_front_driver_open", "!"],
        ["window_front_driver_close", "!"],
    ]
    assert "3F 05 00 0C 52 01 65" in result.stdout
    assert result.stderr.startswith("2 commands; ")


def test_without_text_all_are_listed() -> None:
    assert len(CliRunner().invoke(commands).stdout.splitlines()) == 115


def test_json_is_one_object_a_line() -> None:
    result = CliRunner().invoke(commands, ["cd_stop", "--json"])
    assert json.loads(result.stdout) == {
        "name": "cd_stop",
        "group": "cd_changer",
        "description": "Tell the CD changer to stop",
        "caution": False,
        "frame": "68 05 18 38 01 00 4C",
    }


def test_nothing_found_is_said_and_told_by_the_exit_status() -> None:
    from openkline.cli import main

    result = CliRunner().invoke(main, ["commands", "teapot"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "teapot" in result.stderr


@pytest.mark.parametrize("name", ["window_front_driver_open", "Window-Front-Driver-Open", " window front driver open "])
def test_a_name_is_understood_however_it_is_joined(name: str) -> None:
    assert resolve_command(name).body == bytes.fromhex("3F 05 00 0C 52 01")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("window_front_drver_open", "window_front_driver_open"),
        ("sunroof_open", "sunroof_open_a_bit"),
        ("trunk_open", "trunk_open_code_05"),
    ],
)
def test_a_name_that_is_none_brings_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownCommand) as caught:
        resolve_command(name)
    assert near in caught.value.suggestions
    assert near in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["xyzzy", ""])
def test_a_name_like_nothing_leads_to_the_search(name: str) -> None:
    with pytest.raises(UnknownCommand, match="openkline commands TEXT"):
        resolve_command(name)
