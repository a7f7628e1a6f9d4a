"""A name has one home: none is imported by way of a module that has it from elsewhere, and no module only hands on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.sources import ROOT, Tree

tree = Tree()
# Without what stands for MicroPython's own modules.
PYTHON = [path for path in tree.files if path.suffix == ".py" and path.parent != Path("boards/SIM/port")]

# The front doors: what they hand on is public. Importing sim also puts the board's modules in their places.
FRONT_DOORS = {
    "host/openkline/__init__.py": "openkline",
    "firmware/kline/__init__.py": "kline",
    "boards/SIM/sim/__init__.py": "sim",
}


def statements(path: Path) -> list[ast.stmt]:
    """Of the module, without its docstring."""
    module = ast.parse((ROOT / path).read_text("utf-8"))
    return module.body[ast.get_docstring(module) is not None :]


def imports(path: Path) -> Iterator[tuple[ast.ImportFrom, ast.alias]]:
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node, alias) for alias in node.names)


def test_no_module_consists_of_imports() -> None:
    for path in PYTHON:
        if str(path) in FRONT_DOORS:
            continue
        nodes = statements(path)
        own = [node for node in nodes if not isinstance(node, (ast.Import, ast.ImportFrom))]
        assert own or not nodes, f"{path} only hands on what others have"


def test_only_front_doors_say_what_they_hand_on() -> None:
    for path in PYTHON:
        if str(path) in FRONT_DOORS:
            continue
        for node in statements(path):
            if isinstance(node, ast.Assign):
                assert ast.unparse(node.targets[0]) != "__all__" or path.parts[0] == "tests", path
        for node, alias in imports(path):
            assert alias.name != "*", f"{path}:{node.lineno}"
            assert alias.asname != alias.name, f"{path}:{node.lineno}: {alias.name} is handed on"


def test_every_name_is_imported_from_where_it_is_made() -> None:
    wrong = []
    for path in PYTHON:
        for node, alias in imports(path):
            scope = tree.scopes.get(node.module or "")
            if scope is None or node.module in FRONT_DOORS.values():
                continue
            made_in = scope.names.get(alias.name, "")
            if isinstance(made_in, str) and made_in and f"{node.module}.{alias.name}" not in tree.modules:
                wrong.append(f"{path}:{node.lineno}: {alias.name} is {made_in}, not {node.module}.{alias.name}")
    assert not wrong, "\n".join(wrong)
