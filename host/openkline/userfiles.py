"""What this program keeps for its user: where the files are, and how one is replaced.

settings   $XDG_CONFIG_HOME/openkline (~/.config/.. when unset; %APPDATA%\\openkline on Windows): bridge.toml,
           boards.json, passwords.json, cars/
downloads  $XDG_CACHE_HOME/openkline (~/.cache/..; %LOCALAPPDATA%\\openkline): images/
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def settings_folder(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """It need not exist."""
    return _folder("APPDATA", "Roaming", "XDG_CONFIG_HOME", ".config", environment, platform)


def downloads_folder(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """It need not exist."""
    return _folder("LOCALAPPDATA", "Local", "XDG_CACHE_HOME", ".cache", environment, platform)


def _folder(
    windows: str, windows_name: str, xdg: str, name: str, environment: Mapping[str, str] | None, platform: str
) -> Path:
    environment = os.environ if environment is None else environment
    if platform == "win32":
        base = Path(environment.get(windows) or Path.home() / "AppData" / windows_name)
    else:
        base = Path(environment.get(xdg) or Path(environment.get("HOME", "~")) / name).expanduser()
    return base / "openkline"


def replace(target: Path, text: str) -> None:
    """The file has the old content or the new one, whatever happens; only its user can read it. OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
