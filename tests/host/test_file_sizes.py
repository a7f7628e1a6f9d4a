"""A file can be read at one sitting, a function seen at one glance."""

from __future__ import annotations

import ast

import pytest
from tests.sources import ROOT, Tree

MAX_LINES = 350
FUNCTION_LINES = 20
SHARE = 0.9  # of all functions

PYTHON = [path for path in Tree().files if path.suffix == ".py"]


def test_no_file_is_longer_than_a_sitting() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text("utf-8").splitlines())
        for path in PYTHON
        if path.parts[0] in ("host", "firmware", "boards", "tests", "packaging")
    }
    assert len(lengths) > 400
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("folder", ["host", "firmware", "boards"])
def test_nine_of_ten_functions_are_seen_at_one_glance(folder: str) -> None:
    """From `def` to the last line, docstring included."""
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in PYTHON
        if path.parts[0] == folder
        for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert len(lengths) > 300
    short = sum(lines <= FUNCTION_LINES for lines in lengths)
    assert short >= SHARE * len(lengths), f"{short} of {len(lengths)}"
