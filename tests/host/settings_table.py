"""The tables of settings in docs/bridge.md, from the declarations. Renew: python -m tests.host.settings_table"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from openkline.cli.bridge_options import TABLES
from openkline.settings import Setting, settings_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bridge.md"
HEAD = "| setting | option | default | what it does |\n|---|---|---|---|\n"


def table(title: str) -> str:
    return HEAD + "".join(map(_row, (one for one in settings_of(TABLES[title]) if one.key)))


def _row(one: Setting) -> str:
    option = ", ".join(f"`{flag}`" for flag in one.flags)
    limits = f" ({one.limits()})" if one.limits() else ""
    text = f"{one.help.removesuffix('.')}{limits}".replace("|", "\\|")
    return f"| `{one.key}` | {option} | {_default(one)} | {text} |\n"


def _default(one: Setting) -> str:
    if one.default_help:
        return one.default_help
    if isinstance(one.default, bool):
        return str(one.default).lower()
    return f"`{one.default}`" if isinstance(one.default, str) else f"{one.default:g}" if one.default else ""


def with_tables(text: str, make: Callable[[str], str] = table) -> str:
    """The document with the tables, each between `<!-- settings: TITLE -->` and an empty line."""
    return re.sub(
        r"(<!-- settings: (\w*) ?-->\n).*?\n(?=\n)",
        lambda match: match[1] + "\n" + make(match[2]),
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text("utf-8")), "utf-8")
