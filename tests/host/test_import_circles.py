"""No module imports one that imports it, not over others either: read from the source, wherever the import stands.

Imports below `if TYPE_CHECKING:` and in functions count: neighbours that need each other say what they need as a
Protocol instead (openkline.device.connection.User).
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / "host" / "openkline", ROOT / "firmware" / "kline", ROOT / "boards" / "SIM" / "sim"]

# Within functions, and known: (who, whom) -> why it is there.
KNOWN = {
    ("kline.device.obd.errors", "kline.device.obd.texts"): "the texts are loaded when an error is to be told",
}


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name -> file."""
    found: dict[str, Path] = {}
    for path in package.rglob("*.py"):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports_of(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules among `modules` that this one names in an import."""
    found: set[str] = set()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= (names & modules.keys()) or {base}
    return (found & modules.keys()) - {name}


def edges_of(package: Path) -> set[tuple[str, str]]:
    modules = modules_of(package)
    return {(name, other) for name, path in modules.items() for other in imports_of(name, path, modules)}


def circle(edges: set[tuple[str, str]]) -> list[str]:
    """The names along one circle, the first of them at its end again; [] without one."""
    graph: TopologicalSorter[str] = TopologicalSorter()
    for name, other in edges:
        graph.add(name, other)
    try:
        graph.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_there_is_no_circle(package: Path) -> None:
    edges = edges_of(package)
    assert len(edges) > len(modules_of(package)) > 20
    assert not circle(edges - KNOWN.keys()), "imports in a circle"


@pytest.mark.parametrize("known", KNOWN, ids=" -> ".join)
def test_what_is_known_is_still_there(known: tuple[str, str]) -> None:
    """Without it the list gets shorter."""
    assert any(known in edges_of(package) for package in PACKAGES)


@pytest.mark.parametrize(
    "line",
    [
        "import room.sub.b",
        "from room.sub import b",
        "from room.sub.b import thing",
        "from .sub import b",
        "from .sub.b import thing",
        "if TYPE_CHECKING:\n    from room.sub.b import thing",
        "def f():\n    from .sub import b",
    ],
)
def test_a_circle_is_seen_however_it_is_written(tmp_path: Path, line: str) -> None:
    room = tmp_path / "room"
    (room / "sub").mkdir(parents=True)
    for path, text in {"__init__": "", "a": line, "sub/b": "from ..c import x", "c": "import room.a"}.items():
        (room / f"{path}.py").write_text(text + "\n")
    assert sorted(set(circle(edges_of(room)))) == ["room.a", "room.c", "room.sub.b"]
    (room / "c.py").write_text("import sys\n")
    assert circle(edges_of(room)) == []
