"""Phrases that we fell for once, and that read oddly to a native's ear, don't come back.

Docs are searched whole, Python files line by line, comments included; NOBODY, which is fine in a comment, only in docs,
in messages (string literals), and in the docstrings of commands, which are their help.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = r"\b(?:[Nn]obody|[Ss]omebody)\b"
PHRASES = {  # pattern: what to write instead
    r"\bhow many it (?:was|were|is|are)\b": "Returns the number",
    r"\bunless told\b": "unless set otherwise; in help: Default: 64",
    r"\bOf the original\b": "the original's option; ..",
    r"\b[Ww]here (?:this|the) \w+ is remembered\b": "Name under which this car is saved",
    r"\b(?:tried|built|made|checked|flashed|seen)(?: \w+){0,3} by us\b": "not tried yet",
    r"\b(?:[Nn]obody|[Nn]o one) of (?:us|this project)\b": "not tried yet",
    r"\b(?:is|are|was|were|be|being) told\b(?! (?:apart|from))": "who reports what: the board reports ..",
    r"\bfound no room\b": "did not fit",
    r"\banew\b": "again",
    r"\bthe law\b|\bthe law's\b": "the standard",
    r"\bso that\b[^.;:]*\bso that\b": "two sentences",
    r"help=\s*\"(?:Of|If) ": "begin with a noun or a verb",
    r"\b1 (?:records|lines|bytes|frames|messages|files|clients|characters|times)\b(?! of \d)": "plural()",
    NOBODY: "no client, no ECU, another module, ..",
}
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "docs", "packaging", "boards", "tests/hardware")
CODE = ("host", "firmware")
QUOTES_THEM = {"CONTRIBUTING.md"}


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of the nodes that are docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, kinds)]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


def messages_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each string that a person may read; in a command's file docstrings too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set() if "cli" in path.parts else docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def findings_in(text: str, patterns: dict[str, str]) -> Iterator[tuple[int, str]]:
    """(line, what was found and what to write instead)"""
    for pattern, instead in patterns.items():
        for match in re.finditer(pattern, text):
            yield line_of(text, match.start()), f"{' '.join(match[0].split())!r}: {instead}"


def findings(path: Path) -> Iterator[str]:
    where = path.relative_to(ROOT)
    text = path.read_text(encoding="utf-8")
    code = path.suffix == ".py"
    patterns = {pattern: instead for pattern, instead in PHRASES.items() if not code or pattern != NOBODY}
    for line, found in findings_in(text, patterns):
        yield f"{where}:{line}: {found}"
    for first, message in messages_of(path) if code else ():
        for line, found in findings_in(message, {NOBODY: PHRASES[NOBODY]}):
            yield f"{where}:{first + line - 1}: {found}"


def texts() -> list[Path]:
    """Every page, and every module of the two packages."""
    roots = [ROOT / name for name in (*PAGES, *CODE)]
    files = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    kinds = {".md", ".toml", ".service", ".py"}
    found = [path for path in files if path.suffix in kinds or path.name == "Makefile"]
    return [path for path in found if path.name not in QUOTES_THEM and "SIM" not in path.parts]


def test_no_odd_phrase_is_left() -> None:
    found = [finding for path in texts() for finding in findings(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "Discard n bytes; how many it were.",
        'help="Longest frame, 64 unless told."',
        'help="Of the boot loader. Default: 460800."',
        "None has been tried on a car by us.",
        "so that it waits, so that nothing is lost",
        "the others are told so",
        "got 1 bytes",
        "a session of the law",
        "Nobody talks.",
    ],
)
def test_the_phrases_are_found(text: str) -> None:
    assert list(findings_in(text, PHRASES))


@pytest.mark.parametrize(
    "text", ["can't be told from silence", "told apart", "11 bytes", "1 byte", "so that it waits. So"]
)
def test_plain_english_is_left_alone(text: str) -> None:
    assert not list(findings_in(text, PHRASES))
