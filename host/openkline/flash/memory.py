"""What was chosen for each board, remembered on this computer by the board's id (its MAC): asked once, never again.

    {"24dcc3a1b2c4": {"board": "ESP32_GENERIC", "interface": "ibus-pc817", "pins": "WROVER"}}

In boards.json of the user's settings (userfiles.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from openkline import userfiles
from openkline.documents import parse_json, read_text
from openkline.flash.trouble import FlashError


@dataclass(frozen=True, slots=True)
class Choice:
    """board: a profile's name; interface: of interfaces.toml; pins: an alternative's name, "" for the usual ones."""

    board: str
    interface: str
    pins: str = ""


def path() -> Path:
    return userfiles.settings_folder() / "boards.json"


def recall(board_id: str) -> Choice | None:
    """What was chosen last; None: nothing, or it can't be read: then it is asked again."""
    entry = _all().get(board_id)
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        return None
    try:
        return Choice(**entry)
    except TypeError:
        return None


def remember(board_id: str, choice: Choice) -> None:
    """FlashError: the file can't be written."""
    text = json.dumps(_all() | {board_id: asdict(choice)}, indent=1, sort_keys=True) + "\n"
    target = path()
    try:
        userfiles.replace(target, text)
    except OSError as error:
        raise FlashError(f"{target} can't be written ({error}): make room, or correct its permissions") from error


def _all() -> dict[str, object]:
    try:
        found = parse_json(read_text(path()))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
