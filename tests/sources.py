"""What stands in the tree, read and not imported: device modules need a board's `machine`, and texts are not modules.

Tree(ROOT).resolve("kline.device.obd.tester.KLineObd2.request")   # "": it exists; else what is missing
comments_and_docstrings(source)                                # [(line, text)]
"""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HOMES = {"kline": "firmware", "openkline": "host"}
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def files_of(root: Path = ROOT) -> list[Path]:
    """What git keeps or would keep, without what is built; relative to root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.decode().split("\0")
        return sorted({Path(name) for name in names if name and (root / name).is_file()})
    folders = ("boards", "docs", "firmware", "host", "packaging", "tests")  # an archive of the source, without .git
    found = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    found += [path for path in root.glob("*") if path.is_file()]
    return sorted(path.relative_to(root) for path in found if "__pycache__" not in path.parts)


def comments_and_docstrings(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each; the source has to parse."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, *_Function)):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield node.body[0].lineno, text


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    """What an assignment assigns to, tuples taken apart."""
    if isinstance(node, ast.Assign):
        waiting = list(node.targets)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        waiting = [node.target]
    else:
        waiting = []
    for target in waiting:
        yield from target.elts if isinstance(target, (ast.Tuple, ast.List)) else (target,)


class Scope:
    """Names of a module or a class: {name: Scope of a class, dotted name of an import, or ""}."""

    def __init__(self, module: str, body: list[ast.stmt], bases: list[str]) -> None:
        self.module = module
        self.bases = bases
        self.names: dict[str, Scope | str] = {}
        for statement in body:
            self._take(statement)

    def _take(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).split("[")[0] for base in node.bases]
            self.names[node.name] = Scope(self.module, node.body, bases)
        elif isinstance(node, _Function):
            self.names[node.name] = ""
            for inner in ast.walk(node):
                self._attributes_of_self(inner)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self.names[(alias.asname or alias.name).split(".")[0]] = alias.name if alias.asname else ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For)):
            for inner in (*node.body, *getattr(node, "orelse", ()), *getattr(node, "handlers", ())):
                for statement in inner.body if isinstance(inner, ast.ExceptHandler) else (inner,):
                    self._take(statement)
        for target in _targets(node):
            if isinstance(target, ast.Name):
                self.names[target.id] = ""
                if target.id == "__slots__" and isinstance(node, ast.Assign):
                    self.names |= dict.fromkeys(ast.literal_eval(node.value), "")

    def _attributes_of_self(self, node: ast.AST) -> None:
        for target in _targets(node):
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                self.names[target.attr] = ""


class Tree:
    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def files(self) -> list[Path]:
        return files_of(self.root)

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Dotted names below kline and openkline, folders without __init__.py among them: {name: file or folder}."""
        found = {}
        for package, home in _HOMES.items():
            for path in (self.root / home / package).rglob("*.py"):
                parts = path.relative_to(self.root / home).with_suffix("").parts
                found[".".join(parts).removesuffix(".__init__")] = path
                for end in range(1, len(parts)):
                    found.setdefault(".".join(parts[:end]), path.parents[len(parts) - 1 - end])
        return found

    @cached_property
    def scopes(self) -> dict[str, Scope]:
        return {
            name: Scope(name, ast.parse(path.read_text("utf-8")).body, [])
            for name, path in self.modules.items()
            if path.is_file()
        }

    @cached_property
    def classes(self) -> dict[str, list[Scope]]:
        """All classes of these packages by their bare name."""
        found: dict[str, list[Scope]] = {}
        for scope in self.scopes.values():
            for name, inner in scope.names.items():
                if isinstance(inner, Scope):
                    found.setdefault(name, []).append(inner)
        return found

    def resolve(self, dotted: str) -> str:
        """ "": it exists, or leads out of our packages. Else the part that does not."""
        words = dotted.split(".")
        if words[0] not in _HOMES:
            return ""
        end = len(words)
        while ".".join(words[:end]) not in self.modules:
            end -= 1
        module, rest = ".".join(words[:end]), words[end:]
        if not rest:
            return ""
        scope = self.scopes.get(module)
        return self.lacks(scope, rest) if scope else f"{module} has no {rest[0]}"

    def lacks(self, scope: Scope, words: list[str]) -> str:
        """As resolve(), for what follows a module or class."""
        if not words:
            return ""
        found = scope.names.get(words[0])
        if found is None:
            return self._bases_lack(scope, words)
        if isinstance(found, Scope):
            return self.lacks(found, words[1:])
        return self.resolve(".".join((found, *words[1:]))) if found else ""

    def _bases_lack(self, scope: Scope, words: list[str]) -> str:
        for base in scope.bases:
            place = self.scopes[scope.module].names.get(base.split(".")[0])
            if place is None or base.split(".")[0] in ("Protocol", "NamedTuple", "Enum", "IntEnum"):
                return ""  # a class of Python's: its members are not known here
            if isinstance(place, Scope) and not self.lacks(place, words):
                return ""
            if isinstance(place, str) and not self.resolve(f"{place}.{'.'.join(words)}"):
                return ""
        return f"{scope.module} has no {words[0]}"
