"""What an expression costs on the chip: the units of boards/SIM/sim/costs.py, added up over Python's syntax tree."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

_COSTS = runpy.run_path(str(Path(__file__).parents[2] / "boards/SIM/sim/costs.py"))
UNITS: dict[str, float] = _COSTS["BYTECODE"]
FRAME_ON_STACK: int = _COSTS["FRAME_ON_STACK"]
TENTHS = 10  # charges are whole tenths of a microsecond
# A part of an expression that is evaluated only sometimes is charged by itself from this price on.
_APART_US = 3.0
# C functions and methods: each costs the price of its call; what it does inside is not modelled.
_C_FUNCTIONS = """
abs all any append bool bytearray bytes callable chr clear copy count decode dict digest encode endswith enumerate
extend find format from_bytes get getattr getrandbits hasattr hash hex hexdigest hexlify id index insert int
isinstance items iter join keys len list lower max mem_alloc mem_free memoryview min next ord pop popleft print range
remove replace repr reverse reversed round rsplit rstrip set setattr sort sorted split startswith str strip sum
ticks_add ticks_diff to_bytes tuple type unhexlify update upper urandom values zip
"""
_C_NAMES = frozenset(_C_FUNCTIONS.split())
_LAZY = (ast.BoolOp, ast.IfExp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def charge(us: float, of: ast.expr | None = None) -> ast.expr:
    """_charge(tenths), or with `of`: that expression's value with the charge before it."""
    price = of_tenths(us)
    call = ast.Call(ast.Name("_charge"), [ast.Constant(price)], [])
    if of is not None and not price:
        return of
    return call if of is None else ast.BoolOp(ast.Or(), [call, of])


def of_tenths(us: float) -> int:
    return round(us * TENTHS)


class Prices:
    """Of one function. `local`: its names; `defined`: names of Python functions that charge for their own call.

    flat: nothing is charged apart, and the tree stays as it is; what is evaluated only sometimes counts as always.
    """

    def __init__(self, local: frozenset[str], defined: frozenset[str], flat: bool = False) -> None:
        self.local = local
        self.defined = defined
        self.flat = flat

    def of(self, node: ast.expr | None) -> float:
        """Microseconds that it always costs. What it costs only sometimes gets a charge of its own, in place."""
        if node is None or isinstance(node, ast.Constant):
            return 0.0
        if isinstance(node, ast.Name):
            return 0.0 if node.id in self.local else UNITS["global"]
        if isinstance(node, _LAZY):
            return self._lazy(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        return self._own(node) + sum(
            self.of(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        )

    def _own(self, node: ast.expr) -> float:
        if isinstance(node, ast.Attribute):
            return UNITS["attribute"]
        if isinstance(node, ast.Subscript):
            return UNITS["allocation"] if isinstance(node.slice, ast.Slice) else UNITS["index"]
        if isinstance(node, ast.BinOp):
            formats = isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant)
            return UNITS["allocation"] if formats else UNITS["operation"]
        if isinstance(node, (ast.UnaryOp, ast.Compare)):
            return UNITS["compare"]
        if isinstance(node, (ast.Tuple, ast.List, ast.Dict, ast.Set, ast.JoinedStr)) and not _stores(node):
            return 0.0 if _constant(node) else UNITS["allocation"]
        if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)):
            return UNITS["call"] / 2
        return 0.0

    def _call(self, node: ast.Call) -> float:
        given = [*node.args, *[keyword.value for keyword in node.keywords]]
        us = UNITS["argument"] * (len(given) + len(node.keywords)) + sum(self.of(part) for part in given)
        if isinstance(node.func, ast.Attribute):
            us += UNITS["method"] + self.of(node.func.value)
            name = node.func.attr
        else:
            us += self.of(node.func)
            name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name[:1].isupper() or name in ("bytes", "bytearray", "list", "dict", "memoryview"):
            us += UNITS["allocation"]
        return us + (UNITS["builtin"] if name in _C_NAMES and name not in self.defined else 0.0)

    def _lazy(self, node: ast.expr) -> float:
        if isinstance(node, ast.BoolOp):
            us = self.of(node.values[0]) + UNITS["jump"]
            for i in range(1, len(node.values)):
                us += self._sometimes(node.values, i, UNITS["jump"])
            return us
        if isinstance(node, ast.IfExp):
            return self.of(node.test) + UNITS["jump"] + self._branches(node)
        if isinstance(node, ast.Lambda):
            inner = Prices(self.local | {a.arg for a in node.args.args}, self.defined, self.flat)
            us = inner.of(node.body) + UNITS["call"]
            if not self.flat:
                node.body = charge(us, node.body)
            return UNITS["allocation"]
        return self._comprehension(node)

    def _sometimes(self, values: list[ast.expr], i: int, more: float = 0.0) -> float:
        us = self.of(values[i]) + more
        if us < _APART_US or self.flat:
            return us
        values[i] = charge(us, values[i])
        return 0.0

    def _branches(self, node: ast.IfExp) -> float:
        body, other = self.of(node.body), self.of(node.orelse)
        if max(body, other) < _APART_US or self.flat:
            return max(body, other)
        node.body, node.orelse = charge(body, node.body), charge(other, node.orelse)
        return 0.0

    def _comprehension(self, node: ast.expr) -> float:
        assert isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
        first = node.generators[0]
        names = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        inner = Prices(self.local | names, self.defined, self.flat)
        us = UNITS["turn"] + sum(inner.of(test) for g in node.generators for test in g.ifs)
        if self.flat:
            us += inner.of(node.value if isinstance(node, ast.DictComp) else node.elt)
        elif isinstance(node, ast.DictComp):
            node.value = charge(us + inner.of(node.key) + inner.of(node.value) + UNITS["index"], node.value)
        else:
            node.elt = charge(us + inner.of(node.elt) + UNITS["builtin"], node.elt)
        return UNITS["allocation"] + UNITS["call"] + UNITS["iterate"] + self.of(first.iter)


def _stores(node: ast.expr) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store)


def _constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) and all(isinstance(e, ast.Constant) for e in node.elts)
