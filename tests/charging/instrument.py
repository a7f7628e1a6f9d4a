"""Source of the firmware in, the same source with calls of _charge(tenths of a microsecond) out.

Each run of statements is charged before it begins, and a run ends behind a statement that calls something: what a call
sees of time is what was executed before it. A loop over range() without calls in it is charged in front, for all turns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.charging.mpy import frames
from tests.charging.prices import FRAME_ON_STACK, TENTHS, UNITS, Prices, charge, of_tenths

_SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp,
)  # fmt: skip
_LEAVES = (ast.Return, ast.Break, ast.Continue, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await, ast.Call, ast.For)
_INLINE_US = 8.0  # an `if` without calls whose branches cost less is charged as one, with the dearer branch

Function = ast.FunctionDef | ast.AsyncFunctionDef


def instrument(path: Path, defined: frozenset[str]) -> str:
    """`defined`: the names of all functions and classes of the firmware; they charge for being called themselves."""
    tree = ast.parse(path.read_text(), filename=str(path))
    sizes = frames(path)[1:]
    nodes = list(scopes(tree))
    if len(sizes) != len(nodes):
        raise ValueError(f"{path}: expected {len(nodes)} functions and classes, mpy-cross has {len(sizes)}")
    defined -= _foreign(tree)
    for node, (name, size) in zip(nodes, sizes, strict=True):
        if isinstance(node, Function):
            if name not in ("", node.name):
                raise ValueError(f"{path}: expected {node.name}, mpy-cross has {name}")
            _Body(node, defined).charge_all(size)
    _add_import(tree)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def names_of(paths: list[Path]) -> frozenset[str]:
    """Names of the functions and classes defined in these files."""
    trees = [ast.parse(path.read_text()) for path in paths]
    return frozenset(
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, (Function, ast.ClassDef))
    )


def _foreign(tree: ast.Module) -> set[str]:
    """Names that this module takes from modules that aren't the firmware's: C functions."""
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not (n.module or "").startswith("kline")]
    return {alias.asname or alias.name for n in imports for alias in n.names}


def scopes(node: ast.AST) -> Iterator[ast.AST]:
    """In the order in which MicroPython numbers them: that of the source, the outer before the inner."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            yield child
        yield from scopes(child)


def _add_import(tree: ast.Module) -> None:
    at = 1 if ast.get_docstring(tree) is not None else 0
    tree.body.insert(at, ast.ImportFrom("sim.bytecode", [ast.alias("charge", "_charge")], 0))


def _has(node: ast.AST, kinds: tuple[type, ...]) -> bool:
    return any(isinstance(n, kinds) for n in ast.walk(node))


class _Body:
    """One function."""

    def __init__(self, node: Function, defined: frozenset[str]) -> None:
        self.node = node
        stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        globals_ = {name for n in ast.walk(node) if isinstance(n, ast.Global) for name in n.names}
        arguments = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        names = frozenset((stored | arguments) - globals_)
        self.apart = Prices(names, defined)
        self.prices = self.apart
        self.flat = Prices(names, defined, flat=True)

    def charge_all(self, frame: int) -> None:
        entry = UNITS["call"] + (UNITS["heap_frame"] if frame > FRAME_ON_STACK else 0.0)
        body = self.node.body
        docstring = body[:1] if ast.get_docstring(self.node) is not None else []
        self.node.body = docstring + self.block(body[len(docstring) :], entry)

    def block(self, body: list[ast.stmt], us: float) -> list[ast.stmt]:
        """The statements with their charges; `us` is charged at the beginning."""
        out: list[ast.stmt] = []
        run: list[ast.stmt] = []

        def close() -> None:
            nonlocal us
            if of_tenths(us):
                out.append(ast.Expr(charge(us)))
            out.extend(run)
            run.clear()
            us = 0.0

        for node in body:
            price = self.simple(node)
            if price is None:
                head, extra = self.compound(node)
                us += head
                close()
                out.extend(extra)
                out.append(node)
                continue
            calls = _has(node, (ast.Call, ast.Yield, ast.YieldFrom, ast.Await))
            us += price
            run.append(node)
            if calls:
                close()
        close()
        return out

    # -- statements without a body ------------------------------------------------------------------------------------

    def simple(self, node: ast.stmt) -> float | None:
        """Microseconds; None when it must be taken apart."""
        if isinstance(node, ast.If):
            return self.inline(node)
        if isinstance(node, (ast.For, ast.While, ast.Try, ast.With, ast.AsyncFor, ast.AsyncWith)):
            return None
        if isinstance(node, (Function, ast.ClassDef)):
            return UNITS["allocation"]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return UNITS["import"]
        us = UNITS["raise"] if isinstance(node, ast.Raise) else 0.0
        if isinstance(node, ast.Assign):
            return self.prices.of(node.value) + sum(self.stored(target, node.value) for target in node.targets)
        if isinstance(node, ast.AnnAssign):
            return 0.0 if node.value is None else self.prices.of(node.value) + self.stored(node.target, node.value)
        if isinstance(node, ast.AugAssign):
            place = self.prices.of(node.target) + self.stored(node.target, node.value)
            return place + UNITS["operation"] + self.prices.of(node.value)
        return us + sum(self.prices.of(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))

    def stored(self, target: ast.expr, value: ast.expr) -> float:
        """Storing to a local is part of the operation whose value it takes."""
        if isinstance(target, (ast.Tuple, ast.List)):
            return sum(UNITS["store"] + self.stored(element, value) for element in target.elts)
        if isinstance(target, ast.Name) and target.id in self.prices.local:
            return UNITS["store"] if isinstance(value, (ast.Name, ast.Constant)) else 0.0
        return self.prices.of(target)

    def inline(self, node: ast.If) -> float | None:
        if _has(node, _LEAVES) or _has(node, (ast.While, ast.Try, ast.With)):
            return None
        prices, self.prices = self.prices, self.flat
        branches = [[self.simple(s) for s in body] for body in (node.body, node.orelse)]
        head = self.test(node.test)
        self.prices = prices
        if any(us is None for branch in branches for us in branch):
            return None
        dearer = max(sum(us or 0.0 for us in branch) for branch in branches)
        return head + dearer if dearer < _INLINE_US else None

    def test(self, node: ast.expr) -> float:
        return self.prices.of(node) + UNITS["jump"]

    # -- statements with a body ---------------------------------------------------------------------------------------

    def compound(self, node: ast.stmt) -> tuple[float, list[ast.stmt]]:
        """Charges its inside. -> what its head costs, charges of its own to stand before it"""
        if isinstance(node, ast.If):
            head = self.test(node.test)
            node.body, node.orelse = self.block(node.body, 0.0), self.block(node.orelse, 0.0)
            return head, []
        if isinstance(node, ast.While):
            turn = self.test(node.test)
            node.body, node.orelse = self.block(node.body, turn), self.block(node.orelse, 0.0)
            return turn, []
        if isinstance(node, ast.For):
            return self.loop(node)
        if isinstance(node, ast.Try):
            self.attempts(node)
            return UNITS["try"], []
        if isinstance(node, ast.With):
            head = sum(self.prices.of(item.context_expr) for item in node.items) + 2 * UNITS["call"]
            node.body = self.block(node.body, 0.0)
            return head, []
        raise ValueError(f"line {node.lineno}: no price for {type(node).__name__}")

    def attempts(self, node: ast.Try) -> None:
        node.body = self.block(node.body, 0.0)
        for handler in node.handlers:
            handler.body = self.block(handler.body, UNITS["raise"])
        node.orelse, node.finalbody = self.block(node.orelse, 0.0), self.block(node.finalbody, 0.0)

    def loop(self, node: ast.For) -> tuple[float, list[ast.stmt]]:
        ranged = (
            isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name) and node.iter.func.id == "range"
        )
        if not ranged:
            head = self.prices.of(node.iter) + UNITS["iterate"]
            node.body = self.block(node.body, UNITS["turn"])
            return head, []
        assert isinstance(node.iter, ast.Call)
        limits = node.iter.args
        head = sum(self.prices.of(limit) for limit in limits) + UNITS["store"]
        turn = self.turn(node)
        if turn is None:
            node.body = self.block(node.body, UNITS["turn"])
            return head, []
        count = limits[0] if len(limits) == 1 else ast.BinOp(limits[1], ast.Sub(), limits[0])
        price = ast.BinOp(count, ast.Mult(), ast.Constant(of_tenths(turn)))
        return head, [ast.Expr(ast.Call(ast.Name("_charge"), [price], []))]

    def turn(self, node: ast.For) -> float | None:
        """What a turn costs, when that is the same for all and asking for their number changes nothing.

        An `if` without else in it is one for the end of a ring: as if never taken; of two branches the dearer counts.
        """
        assert isinstance(node.iter, ast.Call)
        plain = not any(_has(limit, (ast.Call, ast.Subscript)) and not _is_length(limit) for limit in node.iter.args)
        if not plain or len(node.iter.args) > 2 or node.orelse or any(_has(s, _LEAVES) for s in node.body):
            return None
        self.prices = self.flat
        prices = [self.in_a_turn(statement) for statement in node.body]
        self.prices = self.apart
        return None if None in prices else UNITS["turn"] + sum(price or 0.0 for price in prices)

    def in_a_turn(self, node: ast.stmt) -> float | None:
        price = self.simple(node)
        return self.test(node.test) if isinstance(node, ast.If) and not node.orelse and price is not None else price


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"


__all__ = ("TENTHS", "instrument", "names_of")
