"""Messages count rightly: "1 record", never "1 records"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openkline.words import plural

HOST = Path(__file__).resolve().parents[2] / "host" / "openkline"

# What this program counts. A new noun that a message counts belongs here.
NOUNS = (
    "answers|boards|bundles|bytes|clients|codes|counters|digits|ECUs|entries|errors|events|files|frames|images|lines|"
    "looks|messages|modules|networks|PIDs|ports|pulses|reconnects|records|restarts|rounds|slots|tests|times|tries|"
    "updates|values|warnings"
)
COUNTED = re.compile(rf" (?:(?!of\b|in\b|with\b|and\b)[a-z]+ )?({NOUNS})\b(?!/)")


def test_one_and_many() -> None:
    assert [plural(n, "record") for n in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
    assert [plural(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
    assert [plural(n, "line is missing", "lines are missing") for n in (1, 2)] == [
        "1 line is missing",
        "2 lines are missing",
    ]


def is_constant(node: ast.expr) -> bool:
    """A number that the source fixes, such as MAX_FRAME: whoever writes the message knows it."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return isinstance(node, ast.Constant) or (bool(name) and name == name.upper())


def unsafe_counts(source: str) -> Iterator[str]:
    """Each place where a number stands before a noun that is always in the plural: "line 7: {n} records"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(text, ast.Constant)
                    and not is_constant(value.value)
                    and (found := COUNTED.match(str(text.value)))
                ):
                    yield f"line {value.lineno}: {{{ast.unparse(value.value)}}}{found[0]}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for found in re.finditer(rf"%d{COUNTED.pattern}", node.value):
                yield f"line {node.lineno}: {found[0]}"


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [
        ('f"{n} records of the board were"', True),
        ('f"got {len(raw)} bytes"', True),
        ('f"{a} of {b} damaged records"', True),
        ('log.warning("%d lines are missing", n)', True),
        ("f\"{plural(n, 'record')} of the board\"", False),
        ('f"at most {MAX_FRAME} bytes"', False),
        ('f"{port} is one of the boards"', False),
    ],
)
def test_the_check_sees_what_it_should(source: str, is_wrong: bool) -> None:
    assert bool(list(unsafe_counts(source))) is is_wrong


def test_each_count_in_a_message_goes_through_plural() -> None:
    found = [
        f"{path.relative_to(HOST)}, {place}"
        for path in sorted(HOST.rglob("*.py"))
        for place in unsafe_counts(path.read_text(encoding="utf-8"))
    ]
    assert not found, "use openkline.words.plural"
