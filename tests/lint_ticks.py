"""Every tick that the firmware keeps in an attribute stands in tick_table.py, with its rule and its idle test.

An attribute keeps a tick when it is assigned from ticks_us(), ticks_ms(), ticks_add(), a name for the present or a
deadline (now_us, due_ms, ..), or another such attribute. What stands in ticks_diff() is a duration.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tick_table import RULES, TICKS, Tick

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "firmware" / "kline"
MAKERS = {"ticks_us", "ticks_ms", "ticks_add"}
TICK_NAME = re.compile(r"_?(now|due|until|begun|begin|end|ended|heard)_(us|ms)")


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _makes_tick(node: ast.expr, known: set[str]) -> bool:
    """Whether a tick is the value of the expression, as far as can be seen."""
    if isinstance(node, ast.Call):
        return _called(node) in MAKERS
    if isinstance(node, ast.Name):
        return bool(TICK_NAME.fullmatch(node.id))
    if isinstance(node, ast.Attribute):
        return node.attr in known or bool(TICK_NAME.fullmatch(node.attr))
    if isinstance(node, ast.IfExp):
        return _makes_tick(node.body, known) or _makes_tick(node.orelse, known)
    return False


def _assigned(tree: ast.AST, known: set[str]) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _makes_tick(node.value, known):
            for target in node.targets:
                if isinstance(target, ast.Attribute):
                    yield target.attr, node.lineno


def kept_ticks(package: Path) -> dict[str, int]:
    """{"device/app.py: _heard_ms": line} of all attributes in which a tick is kept."""
    trees = {path.relative_to(package).as_posix(): ast.parse(path.read_text()) for path in package.rglob("*.py")}
    known: set[str] = set()
    while True:
        found = {
            f"{path}: {name}": line for path, tree in sorted(trees.items()) for name, line in _assigned(tree, known)
        }
        names = {key.partition(": ")[2] for key in found}
        if names == known:
            return found
        known = names


def _wrong_test(tick: Tick) -> str:
    path, _, function = tick.test.partition("::")
    file = ROOT / "tests" / path
    if not file.exists() or f"def {function}(" not in file.read_text():
        return f"its test {tick.test} does not exist"
    return ""


def check_ticks(package: Path = PACKAGE, table: dict[str, Tick] = TICKS) -> Iterator[str]:
    """One line a finding."""
    found = kept_ticks(package)
    for key, line in found.items():
        if key not in table:
            path, _, name = key.partition(": ")
            yield f"firmware/kline/{path}:{line}: {name} keeps a tick: tests/tick_table.py wants its rule and idle test"
    for key, tick in table.items():
        wrong = "" if key in found or tick.hidden else "no such tick is kept any more"
        wrong = wrong or ("" if tick.rule in RULES else f"there is no rule {tick.rule}") or _wrong_test(tick)
        if wrong:
            yield f"tests/tick_table.py: {key}: {wrong}"
