"""Which names a piece of Python binds, and where: for joining modules (joining.py)."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator

SCOPES = ast.FunctionDef | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
# What a name at a module's top stands for: (module, name in it), or (module, "") for the module itself.
Thing = tuple[str, str]


def imported(node: ast.AST, modules: Container[str]) -> Iterator[tuple[str, Thing]]:
    """(name here, what it stands for) of an import."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0], (alias.name, "")
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield alias.asname or alias.name, (whole, "") if whole in modules else (node.module, alias.name)


def bound(body: list[ast.stmt]) -> set[str]:
    """Names that these statements bind, those of functions and classes in them left out."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, SCOPES):
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return found


def local_names(node: ast.AST) -> set[str]:
    """Names that are local in this function, lambda or comprehension."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        a = node.args
        given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(one for one in (a.vararg, a.kwarg) if one)]
        body = node.body if isinstance(node, ast.FunctionDef) else []
        return {one.arg for one in given} | bound(body)
    assert isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
    return {one.id for generator in node.generators for one in ast.walk(generator.target) if isinstance(one, ast.Name)}
