"""The boards' update passwords on this computer: `openkline flash` remembers them, `openkline update` finds them.

    {"24dcc3a1b2c4": "11223344"}        by the board's unique id; 32 bits, written as 8 hex digits

In passwords.json of the user's settings (userfiles.py), for its owner only (mode 600). On the wire of the
gateway protocol 11223344 is the password 11 22 33 44.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

from openkline import userfiles
from openkline.documents import parse_json, read_text
from openkline.errors import OpenklineError


class PasswordError(OpenklineError):
    """The file of passwords can't be read or written, or a text is no password."""


def new() -> int:
    """A random password; not 0, which is what a client without one sends."""
    return 1 + secrets.randbelow(0xFFFFFFFF)


def parse(text: str) -> int:
    """8 hex digits, in pairs or not: "11223344", "11 22 33 44". PasswordError."""
    digits = re.sub(r"[ :_-]", "", text.strip().lower().removeprefix("0x"))
    if not re.fullmatch(r"[0-9a-f]{8}", digits):
        raise PasswordError("the password must be 8 hex digits such as 11223344")  # what it is stays untold
    return int(digits, 16)


def written(password: int) -> str:
    """As parse() reads it."""
    return f"{password:08x}"


def path() -> Path:
    return userfiles.settings_folder() / "passwords.json"


def known() -> dict[str, int]:
    """All that are remembered, by unique id. PasswordError: the file can't be read."""
    try:
        texts = parse_json(read_text(path()))
        return {str(unique_id): parse(text) for unique_id, text in texts.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError, PasswordError) as error:
        raise PasswordError(
            f"{path()} can't be read ({error}): mend it, or remove it and run `openkline flash` again"
        ) from error


def find(unique_id: str) -> int | None:
    """The password of this board, as it says its unique id (hex); None: not known here."""
    return known().get(unique_id)


def remember(unique_id: str, password: int) -> None:
    """From now on find() knows it. PasswordError: the file can't be read or written; what was in it stays."""
    passwords = known() | {unique_id: password}
    text = json.dumps({name: written(value) for name, value in sorted(passwords.items())}, indent=1) + "\n"
    target = path()
    try:
        userfiles.replace(target, text)
    except OSError as error:
        raise PasswordError(f"{target} can't be written: {error}") from error
