"""Passwords of boards: remembered for their owner only, found by unique id."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from openkline.update import passwords


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_what_is_remembered_is_found() -> None:
    assert passwords.find("24dc") is None
    passwords.remember("24dc", 0x11223344)
    passwords.remember("0102", 0)
    passwords.remember("24dc", 0xFFFFFFFF)
    assert passwords.find("24dc") == 0xFFFFFFFF
    assert passwords.find("0102") == 0
    assert passwords.known() == {"0102": 0, "24dc": 0xFFFFFFFF}


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_only_the_owner_may_read_it_and_nothing_else_is_left(home: Path) -> None:
    passwords.remember("24dc", 1)
    assert stat.S_IMODE(passwords.path().stat().st_mode) == 0o600
    passwords.path().chmod(0o644)
    passwords.remember("24dd", 1)
    assert stat.S_IMODE(passwords.path().stat().st_mode) == 0o600
    assert [p.name for p in (home / "openkline").iterdir()] == ["passwords.json"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 5}', '{"a": "123"}', "\xff"])
def test_a_broken_file_is_named_and_not_overwritten(text: str) -> None:
    passwords.path().parent.mkdir()
    passwords.path().write_bytes(text.encode("latin-1"))
    for action in (passwords.known, lambda: passwords.find("a"), lambda: passwords.remember("a", 1)):
        with pytest.raises(passwords.PasswordError, match=r"passwords\.json"):
            action()
    assert passwords.path().read_bytes() == text.encode("latin-1")


def test_a_place_that_cannot_be_written_is_named(home: Path) -> None:
    (home / "openkline").write_text("a file")
    with pytest.raises(passwords.PasswordError, match="can't be"):
        passwords.remember("a", 1)


@pytest.mark.parametrize(
    ("text", "password"),
    [("11223344", 0x11223344), ("11 22 33 44", 0x11223344), ("0xDEADBEEF", 0xDEADBEEF), ("00:00:00:01", 1)],
)
def test_texts_of_passwords(text: str, password: int) -> None:
    assert passwords.parse(text) == password
    assert passwords.parse(passwords.written(password)) == password


@pytest.mark.parametrize("text", ["", "1122334", "112233445", "1122334g", "١١٢٢٣٣٤٤", "-1122334"])
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(passwords.PasswordError, match="8 hex digits"):
        passwords.parse(text)


def test_new_ones_differ_and_are_never_0() -> None:
    made = {passwords.new() for _ in range(100)}
    assert len(made) == 100 and all(0 < password <= 0xFFFFFFFF for password in made)
