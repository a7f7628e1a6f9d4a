"""Words for messages to people."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """`1 record`, `2 records`; many: where it isn't `one` and an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"
