"""Integer constants of the board's modules, put as numbers where they are used. For the heap of the board.

A name at module level costs a board some 35 bytes, used or not: the interned text, its entries in the table of names
and in the module's dictionary, the code that stores it. There are 400 of them; and the table of names grows by
doubling, so that a few too many cost 9 KB at once (docs/sizes.md has the measurements). What is not compiled with the
others (tests, firmware/examples, a person at the prompt) sees no constants of kline.protocol on a flashed board.

A constant is a name in capitals that is assigned once in its whole module, at the top, to an expression of integers and
of other constants, and that fits a small int of the 32-bit port. Public ones of kline.device stay: people use them.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_SMALL = range(-(1 << 30), 1 << 30)
_KEPT_BELOW = "kline.device."
_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
    ast.LShift: lambda a, b: a << b,
}


@dataclass
class _Module:
    """aliases: {name here: module of ours}; imported: {name here: (module, name there)}."""

    name: str
    tree: ast.Module
    aliases: dict[str, str] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    candidates: dict[str, ast.expr] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)


def fold_constants(sources: dict[str, str]) -> dict[str, str]:
    """{path: source} of all modules that are compiled together -> the same without the constants. SyntaxError."""
    modules = {_name(path): _Module(_name(path), ast.parse(text, path)) for path, text in sources.items()}
    for module in modules.values():
        _survey(module, modules)
    for module in modules.values():
        for name, other in _stored_elsewhere(module):
            modules[other].candidates.pop(name, None)
    for module in modules.values():
        for name in list(module.candidates):
            _constant(modules, module, name)
    return {path: ast.unparse(_Folder(modules, modules[_name(path)]).fold()) + "\n" for path in sources}


def _name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _survey(module: _Module, modules: dict[str, _Module]) -> None:
    """Which names are bound to what, and which of them never change."""
    stored: Counter[str] = Counter()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stored[node.id] += 1
        elif isinstance(node, ast.arg):
            stored[node.arg] += 1
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            stored[node.name] += 1
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                here = alias.asname or alias.name
                if f"{node.module}.{alias.name}" in modules:
                    module.aliases[here] = f"{node.module}.{alias.name}"
                elif node.module in modules:
                    module.imported[here] = (node.module, alias.name)
    for table in (module.aliases, module.imported):
        for name in stored:
            table.pop(name, None)
    for statement in module.tree.body:
        for name, value in _assigned(statement):
            if name.isupper() and stored[name] == 1:
                module.candidates[name] = value


def _stored_elsewhere(module: _Module) -> list[tuple[str, str]]:
    """(name, module of ours) of what this module assigns there: such a name is no constant."""
    return [
        (node.attr, module.aliases[node.value.id])
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
        if isinstance(node.value, ast.Name) and node.value.id in module.aliases
    ]


def _assigned(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """A = 1, or A, B = 1, 2."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return []
    target, value = statement.targets[0], statement.value
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return [(one.id, v) for one, v in zip(target.elts, value.elts, strict=True) if isinstance(one, ast.Name)]
    return []


def _constant(modules: dict[str, _Module], module: _Module, name: str) -> int | None:
    """The number that a name of the module stands for; None when it is no constant."""
    if name in module.imported:
        other, there = module.imported[name]
        return _constant(modules, modules[other], there)
    if name in module.candidates:
        value = _value(modules, module, module.candidates.pop(name))
        if value is not None and value in _SMALL:
            module.constants[name] = value
    return module.constants.get(name)


def _value(modules: dict[str, _Module], module: _Module, node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.Name):
        return _constant(modules, module, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in module.aliases:
        return _constant(modules, modules[module.aliases[node.value.id]], node.attr)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(modules, module, node.operand)
        return None if value is None else -value
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(modules, module, node.left), _value(modules, module, node.right)
        return None if left is None or right is None else _BINARY[type(node.op)](left, right)
    return None


class _Folder(ast.NodeTransformer):
    """Puts the numbers in, and takes out what is not needed any more."""

    def __init__(self, modules: dict[str, _Module], module: _Module) -> None:
        self._modules, self._module = modules, module
        keeps = f"{module.name}.".startswith(_KEPT_BELOW)
        self._dropped = {name for name in module.constants if name.startswith("_") or not keeps}

    def fold(self) -> ast.Module:
        before = self._names()
        tree = self.visit(self._module.tree)
        idle = (before - self._names()) & set(self._module.aliases)
        tree = _Imports(idle).visit(tree)
        assert isinstance(tree, ast.Module)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.If | ast.For | ast.While | ast.With | ast.Try) and not node.body:
                node.body = [ast.Pass()]
        return ast.fix_missing_locations(tree)

    def _names(self) -> set[str]:
        return {
            node.id
            for node in ast.walk(self._module.tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = [kept for statement in node.body if (kept := self._top(statement)) is not None]
        return node

    def _top(self, statement: ast.stmt) -> ast.stmt | None:
        assigned = _assigned(statement)
        if assigned and all(name in self._dropped or name == "TYPE_CHECKING" for name, _ in assigned):
            return None
        visited = self.visit(statement)
        assert visited is None or isinstance(visited, ast.stmt)
        return visited

    def visit_If(self, node: ast.If) -> ast.If | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse:
            return None
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load):
            return _number(_constant(self._modules, self._module, node.id), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.ctx, ast.Load):
            number = _number(_value(self._modules, self._module, node), node)
            if number is not node:
                return number
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        node.names = [a for a in node.names if _constant(self._modules, self._module, a.asname or a.name) is None]
        return node if node.names else None


class _Imports(ast.NodeTransformer):
    """Takes out imports of modules that were used for their constants only."""

    def __init__(self, idle: set[str]) -> None:
        self._idle = idle

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        node.names = [alias for alias in node.names if (alias.asname or alias.name) not in self._idle]
        return node if node.names else None


def _number(value: int | None, node: ast.expr) -> ast.expr:
    if value is None:
        return node
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))
