"""JSON, TOML and settings files that others wrote: read as far as is sensible, refused with a ValueError otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_FILE = 1 << 20  # bytes; /dev/zero has no end


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a settings file. OSError; ValueError: too long, or not in that encoding."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"longer than {MAX_FILE >> 20} MiB, so it is no settings file")
    return data.decode(encoding)


def parse_json(text: str | bytes) -> Any:
    """ValueError: it is no JSON, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """ValueError: it is no TOML, or nested too deeply."""
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
