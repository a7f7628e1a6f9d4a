"""What flash decides before it touches a board, and the words for what speaks against it."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from openkline.boards.catalogue import find_profile, load_profiles
from openkline.boards.profile import ProfileError
from openkline.cli import flash as cli_flash
from openkline.cli import main
from openkline.flash import find, flasher, images, memory, plan
from openkline.flash.esp import Found
from openkline.flash.plan import Wishes
from openkline.flash.progress import Progress
from openkline.flash.trouble import FlashError


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def nobody(question: str, lines: list[str]) -> None:
    return None


# -- board, pins, interface --------------------------------------------------------------------------------------------


def test_the_interface_is_asked_once_and_remembered() -> None:
    profile = find_profile("ESP32_GENERIC")
    asked: list[str] = []

    def second(question: str, lines: list[str]) -> int:
        asked.extend(lines)
        return 1

    interface, why = plan.choose_interface(Wishes(), profile, None, second)
    assert (interface, why) == (profile.interfaces[1], "as chosen")
    assert [line.split()[0] for line in asked] == [one.name for one in profile.interfaces]
    memory.remember("240ac4e29526", memory.Choice(profile.name, interface.name))
    known = memory.recall("240ac4e29526")
    assert plan.choose_interface(Wishes(), profile, known, nobody) == (interface, "as last time")
    assert plan.choose_interface(Wishes(interface="ibus-pc817"), profile, known, nobody)[1] == "as named"
    with pytest.raises(ProfileError, match="no interface is called"):
        plan.choose_interface(Wishes(interface="x"), profile, known, nobody)
    other = find_profile("ESP32_GENERIC_C3")
    with pytest.raises(FlashError, match="--interface NAME"):
        plan.choose_interface(Wishes(), other, known, nobody)
    gone = memory.Choice(profile.name, "an-older-name")
    assert plan.choose_interface(Wishes(), profile, gone, second)[1] == "as chosen"


def test_pins_are_those_named_or_remembered() -> None:
    profile = find_profile("ESP32_GENERIC")
    known = memory.Choice(profile.name, "ibus-pc817", "WROVER")
    assert plan.choose_pins(Wishes(), profile, None) == (profile, "")
    assert plan.choose_pins(Wishes(), profile, known)[0].pins.rx == 26
    assert plan.choose_pins(Wishes(pins="usual"), profile, known) == (profile, "")
    assert plan.choose_pins(Wishes(pins="wrover"), profile, None)[0].pins.tx == 27
    with pytest.raises(ProfileError, match="no alternative is called"):
        plan.choose_pins(Wishes(pins="x"), profile, None)


def test_the_board_is_the_one_named_or_of_last_time_or_has_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = load_profiles()
    own = replace(profiles["ESP32_GENERIC"], name="OWN")
    monkeypatch.setattr(plan, "load_profiles", lambda: profiles | {"OWN": own})
    known = memory.Choice("OWN", "ibus-pc817")
    assert plan.choose_profile(Wishes(), "ESP32", "", known) is own
    assert plan.choose_profile(Wishes(board="ESP32_GENERIC"), "ESP32", "", known).name == "ESP32_GENERIC"
    assert plan.choose_profile(Wishes(), "ESP32-C3", "", known).name == "ESP32_GENERIC_C3"
    for other in (None, memory.Choice("GONE", "ibus-pc817")):
        assert plan.choose_profile(Wishes(), "ESP32", "", other).name == "ESP32_GENERIC"


def test_pins_of_another_board_are_not_remembered_for_this_one(capsys: pytest.CaptureFixture[str]) -> None:
    """And what is said about a board's usual pins is said only where they are used."""
    known = memory.Choice("ESP32_GENERIC", "ibus-pc817", "WROVER")
    found = Found("ESP32", "240ac4e29526")
    for board, words in (("ESP32_GENERIC", "RX 26, TX 27 (WROVER)"), ("OTHER", "RX 16, TX 17")):
        memory.remember(found.mac, replace(known, board=board))
        work = flasher.Flasher(Wishes(interface="ibus-pc817"), Progress(1), nobody)
        work._wiring("/dev/x", found)
        said = capsys.readouterr().err
        assert f"ESP32_GENERIC, ibus-pc817 as named, {words}" in said
        assert ("flash with --pins WROVER" in said) == (board == "OTHER")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"1": 5}', '{"1": {"colour": "red"}}', '{"1": {"board": 5, "interface": 6}}']
)
def test_a_damaged_memory_is_as_good_as_none(text: str) -> None:
    memory.path().parent.mkdir(parents=True)
    memory.path().write_text(text)
    assert memory.recall("1") is None
    memory.remember("1", memory.Choice("B", "i"))
    assert memory.recall("1") == memory.Choice("B", "i")


def test_the_virtual_board_and_an_unknown_chip_are_refused() -> None:
    with pytest.raises(FlashError, match="SIM can't be flashed"):
        plan.choose_profile(Wishes(board="sim"), "ESP32")
    with pytest.raises(ProfileError, match=r"no board here has the chip ESP8266; supported are ESP32"):
        plan.choose_profile(Wishes(), "ESP8266")


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_dry_run_prints_the_plan_and_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flasher, "compile_modules", lambda: {"kline/x.mpy": b"12", "kline/y.mpy": b"345"})
    words = ["flash", "--dry-run", "-d", str(tmp_path / "not-there"), "--board", "esp32_generic", "--pins", "WROVER"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    steps = "board chip profile interface image erase write start modules settings self-test"
    assert " ".join(line.split()[0] for line in lines) == steps
    assert "2 files, 5 bytes" in lines[8]
    assert "an address that we have not checked" in lines[4] and "to 0x1000" in lines[4]
    image = images.cache_folder() / "ESP32_GENERIC-20260406-v1.28.0.bin"
    image.parent.mkdir(parents=True)
    image.touch()
    assert str(image) in CliRunner().invoke(main, words).stdout
    assert CliRunner().invoke(main, ["flash", "--dry-run", "--board", "x"]).exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-d", "sim"], "virtual board has its firmware already"),
        (["--board", "x"], "no board is called 'x'; there are ESP32_GENERIC"),
        (["--interface", "x"], "no interface is called 'x'"),
        (["--board", "ESP32_GENERIC", "--interface", "x"], "ESP32_GENERIC knows ibus-pc817"),
        (["--board", "ESP32_GENERIC_C3", "--pins", "WROVER"], "no alternative is called 'WROVER'"),
        (["--firmware", "~/none.bin"], "/home/me/none.bin: there is no such file"),
        (["--firmware", "~nobody-of-this-name/none.bin"], "~nobody-of-this-name/none.bin: there is no such file"),
        (["--firmware", "/"], "/: can't be read (Is a directory). Name the MicroPython image"),
    ],
)
@pytest.mark.parametrize("plan_only", [True, False])
def test_names_of_nothing_are_refused_before_any_port_is_opened(
    words: list[str], said: str, plan_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(find, "find_port", lambda *_: pytest.fail("looked for a port"))
    result = CliRunner().invoke(main, ["flash", *words, *(["--dry-run"] if plan_only else [])])
    assert result.exit_code == 1 and said in " ".join(result.stderr.split()), result.output
    assert result.stdout == ""


def test_pins_of_one_board_are_enough_where_none_is_named() -> None:
    plan.check(Wishes(pins="WROVER", interface="ibus-pc817"))


def test_make_passes_each_word_as_it_is() -> None:
    given = {"PORT": "/dev/tty USB0", "BOARD": "A", "FIRMWARE": "/tmp/my image.bin", "INTERFACE": "ibus-pc817"}
    words = [f"{name}={value}" for name, value in given.items()]
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(["make", "-s", "-n", "flash", *words], cwd=root, capture_output=True, text=True, check=True)
    command = next(line for line in said.stdout.replace("\\\n", "").splitlines() if "openkline flash" in line)
    assert shlex.split(command)[1:] == [
        "flash", "-d", "/dev/tty USB0", "--board", "A", "--firmware", "/tmp/my image.bin", "--interface", "ibus-pc817"
    ]  # fmt: skip
    said = subprocess.run(["make", "-s", "-n", "flash"], cwd=root, capture_output=True, text=True, check=True)
    assert "openkline flash" in said.stdout and " -" not in said.stdout.split("openkline flash")[1]


@pytest.mark.parametrize(
    ("target", "name", "option"), [("flash", "BOARD", "--board"), ("flash", "PORT", "-d"), ("repl", "PORT", "-d")]
)
def test_make_says_what_it_takes_from_the_environment(target: str, name: str, option: str) -> None:
    """A PORT there may have been meant for a web server."""
    root = Path(__file__).resolve().parents[2]
    environment = {key: value for key, value in os.environ.items() if key not in ("PORT", "BOARD", "FIRMWARE")}
    notice = f"{name}=80 80 is taken from the environment"
    for given, words in (({name: "80 80"}, []), ({}, [f"{name}=80 80"])):
        said = subprocess.run(
            ["make", "-s", "-n", target, *words], cwd=root, env=environment | given, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert f"openkline {target} {option} '80 80'" in " ".join(said.stdout.split())
        assert (notice in said.stderr) == bool(given)
        assert "taken from the environment" not in said.stdout


def test_a_given_password_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Wishes] = []

    class Stop(Exception): ...

    def wish(wishes: Wishes, *_: object) -> None:
        got.append(wishes)
        raise Stop

    monkeypatch.setattr(cli_flash, "Flasher", wish)
    CliRunner().invoke(main, ["flash"], env={"OPENKLINE_PASSWORD": "11 22 33 44"})
    assert got[0].password == 0x11223344


def test_a_person_is_asked_by_number_and_nobody_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["ibus-pc817  I-Bus", "kline-transistor  K-line"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n"))
    assert cli_flash.ask("Which?", lines) is None
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", lambda text, **_: 2)
    assert cli_flash.ask("Which?", lines) == 1
    assert "  2  kline-transistor  K-line" in capsys.readouterr().err
