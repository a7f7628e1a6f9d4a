"""Where the user's files are, and that one is replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from openkline.userfiles import downloads_folder, replace, settings_folder


def test_folders() -> None:
    home = {"HOME": "/home/me"}
    assert settings_folder(home, "linux") == Path("/home/me/.config/openkline")
    assert downloads_folder(home, "darwin") == Path("/home/me/.cache/openkline")
    own = home | {"XDG_CONFIG_HOME": "/c", "XDG_CACHE_HOME": "/d", "APPDATA": "/r", "LOCALAPPDATA": "/l"}
    assert settings_folder(own, "linux") == Path("/c/openkline")
    assert downloads_folder(own, "linux") == Path("/d/openkline")
    assert settings_folder(own, "win32") == Path("/r/openkline")
    assert downloads_folder(own, "win32") == Path("/l/openkline")
    assert settings_folder(home, "win32") == Path.home() / "AppData" / "Roaming" / "openkline"


def test_what_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "file.json"
    replace(target, "old")
    assert target.stat().st_mode & 0o777 == 0o600

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(target, "new")
    assert target.read_text() == "old" and list(target.parent.iterdir()) == [target]
