"""Modules that a board loads together, joined into one: each file costs a start some 500 reads of the flash.

MicroPython looks for a module in three places, and each look reads all folders on the way to it; it looks for built-in
modules in files, too, each time one is imported. So what ENTRIES import at their top is compiled as one module with
their name, in the order in which it would have been loaded, each import of a neighbour resolved:

    from kline.protocol.link import records            (nothing)
    records.get_u16(buf, 3)                            get_u16(buf, 3)

A name that two modules have at their top, or that is a local one somewhere, gets a number in one of them. What the
others import of a joined module they import of the one that has it now. Modules in FOR_PEOPLE stay to be found under
their own name, for a person at the prompt: a list of names that no part of the firmware loads.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

from openkline.errors import OpenklineError
from openkline.firmware.scopes import SCOPES, Thing, bound, imported, local_names

ENTRIES = (
    "kline",
    "kline.device.app",
    "kline.device.obd.service",
    "kline.device.updater",
    "kline.device.wire_probe",
)
FOR_PEOPLE = ("kline.device.board", "kline.device.obd.errors", "kline.protocol.ibus.names", "kline.protocol.obd.pids")

_BUILTINS = frozenset(dir(builtins))


class JoinError(OpenklineError):
    """What can't be joined, and where it stands."""


@dataclass
class _Module:
    """means: {name at its top: what it stands for}; own: names that it makes itself."""

    name: str
    tree: ast.Module
    means: dict[str, Thing] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)


@dataclass
class _Group:
    """Modules of one file, in the order of loading.

    names: what a thing is called in it; imports: the same of what it takes from other files; needs: names of these
    """

    name: str
    members: list[str] = field(default_factory=list)
    names: dict[Thing, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    imports: dict[Thing, str] = field(default_factory=dict)
    needs: set[str] = field(default_factory=set)


def join_modules(sources: dict[str, str]) -> dict[str, str]:
    """{path: source} of all modules of a board -> the same program in fewer files. JoinError."""
    modules = {name: _Module(name, ast.parse(text, name)) for path, text in sources.items() for name in [_name(path)]}
    for module in modules.values():
        _survey(module, modules)
    return _Joiner(modules, sources).files()


def _name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _survey(module: _Module, modules: dict[str, _Module]) -> None:
    """What the names at its top stand for."""
    for name in bound(module.tree.body):
        module.means[name] = (module.name, name)
        module.own.add(name)
    for statement in module.tree.body:
        for here, thing in imported(statement, modules):
            module.means[here] = thing
            module.own.discard(here)


class _Joiner:
    def __init__(self, modules: dict[str, _Module], sources: dict[str, str]) -> None:
        self.modules = modules
        self._paths = {_name(path): path for path in sources}
        self.home: dict[str, _Group] = {}  # {module: the group it is in}
        self._groups: list[_Group] = []
        for name in [*(entry for entry in ENTRIES if entry in modules), *modules]:
            if name not in self.home:
                group = _Group(name)
                self._gather(group, name, joins=name in ENTRIES)
                self._groups.append(group)

    def _gather(self, group: _Group, name: str, joins: bool) -> None:
        """This module, behind those that it loads."""
        self.home[name] = group
        for statement in self.modules[name].tree.body if joins else ():
            for _, (other, _) in imported(statement, self.modules):
                if other in self.modules and other not in self.home:
                    self._gather(group, other, joins)
        group.members.append(name)

    def files(self) -> dict[str, str]:
        for group in self._groups:
            self._choose_names(group)
            meant = [module for name in group.members for module, _ in self.modules[name].means.values()]
            group.needs = {self.home[module].name for module in meant if module in self.home} - {group.name}
        found = {}
        for group in self._groups:
            body = [s for name in group.members for s in _Rewriter(self, group, self.modules[name]).statements()]
            if not all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in body):
                tree = ast.Module([*_imports(group.imports), *body], [])
                found[self._paths[group.name]] = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
        for name in FOR_PEOPLE:
            if name in self.modules and self.home[name].name != name:
                found[self._paths[name]] = self._face(self.modules[name])
        return dict(sorted(found.items()))

    def _face(self, module: _Module) -> str:
        group = self.home[module.name]
        names = [name for name in sorted(module.own) if not name.startswith("_")]
        pairs = [(group.names[module.name, name], name) for name in names]
        return f"from {group.name} import {', '.join(a if a == b else f'{a} as {b}' for a, b in pairs)}\n"

    def _choose_names(self, group: _Group) -> None:
        """Public ones come first, the entry's before all; behind what is not free stands a number."""
        members = [self.modules[name] for name in group.members]
        for module in members:
            for node in ast.walk(module.tree):
                if isinstance(node, SCOPES):
                    group.taken |= local_names(node)
        if len(members) == 1:
            group.names = {(group.name, name): name for name in members[0].own}
            group.taken |= members[0].own
        for private in (False, True):
            for module in reversed(members):
                for name in sorted(module.own):
                    if name.startswith("_") == private:
                        self.name_of(group, (module.name, name))

    def origin(self, thing: Thing) -> Thing:
        """Where it is made: modules pass on what they import."""
        module, name = thing
        while name and module in self.modules and name not in self.modules[module].own:
            if name not in self.modules[module].means:
                raise JoinError(f"{module} has no {name}")
            module, name = self.modules[module].means[name]
        return module, name

    def name_of(self, group: _Group, thing: Thing) -> str:
        """What a thing is called in this group; one from elsewhere is imported."""
        if thing not in group.names:
            module, name = thing
            group.names[thing] = free = _free(name or module, group.taken)
            group.taken.add(free)
            if module not in self.home:
                group.imports[self._lent(group, thing)] = free
            elif self.home[module] is not group:
                home = self.home[module]
                group.imports[home.name, home.names[thing]] = free
        return group.names[thing]

    def _lent(self, group: _Group, thing: Thing) -> Thing:
        """Something built in, from a file that is loaded anyway and has it: no look for files that could replace it."""
        for other in self._groups[: self._groups.index(group)]:
            if other.name in group.needs and thing in other.names:
                return other.name, other.names[thing]
        return thing


def _free(wanted: str, taken: set[str]) -> str:
    """The name itself, or with the first number that makes it one of its own."""
    found, number = wanted, 2
    while found in taken or found in _BUILTINS:
        found, number = f"{wanted}{number}", number + 1
    return found


def _imports(wanted: dict[Thing, str]) -> Iterator[ast.stmt]:
    """{what it is: its name here} -> one statement for each module: each costs a look for files."""
    for module in dict.fromkeys(module for module, _ in wanted):
        names = sorted((name, here) for (other, name), here in wanted.items() if other == module)
        if not names[0][0]:
            yield _import(module, *names.pop(0))
        if names:
            yield ast.ImportFrom(module, [ast.alias(name, here if here != name else None) for name, here in names], 0)


def _import(module: str, name: str, here: str) -> ast.stmt:
    if not name:
        return ast.Import([ast.alias(module, here if here != module else None)])
    return ast.ImportFrom(module, [ast.alias(name, here if here != name else None)], 0)


class _Rewriter(ast.NodeTransformer):
    """One module's statements with the names that its group has for what they mean."""

    def __init__(self, joiner: _Joiner, group: _Group, module: _Module) -> None:
        self._joiner = joiner
        self._group = group
        self._module = module
        self._scopes: list[tuple[set[str], bool]] = []  # (local names, whether a class's), the innermost last

    def statements(self) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in self._module.tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                if isinstance(statement, ast.Import) and any("." in alias.name for alias in statement.names):
                    raise self._fail(statement, "write `from .. import ..`")
                found += self._passed_on(statement)
            else:
                found.append(self.visit(statement))
        return found

    def _passed_on(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        """A name under which the file's own module gives out what it imports from a neighbour (__version__)."""
        if self._module.name == self._group.name and isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                thing = self._joiner.origin(self._module.means[alias.asname or alias.name])
                if alias.asname and thing in self._group.names and thing[1]:
                    yield ast.Assign(
                        [ast.Name(alias.asname, ast.Store())], ast.Name(self._group.names[thing], ast.Load())
                    )

    def _is_local(self, name: str) -> bool:
        if not self._scopes:
            return False
        (last, _), before = self._scopes[-1], self._scopes[:-1]
        return name in last or any(name in names for names, of_class in before if not of_class)

    def _thing(self, name: str) -> Thing | None:
        """What this name means here, if not something local or built in."""
        if self._is_local(name) or name not in self._module.means:
            return None
        return self._joiner.origin(self._module.means[name])

    def _fail(self, node: ast.AST, why: str) -> JoinError:
        return JoinError(f"{self._module.name}: `{ast.unparse(node)}`: {why}")

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if self._scopes and self._scopes[-1][1] and self._is_local(node.id) and node.id in self._module.means:
            raise self._fail(node, "a name of the class and of the module")
        thing = self._thing(node.id)
        if thing is None:
            return node
        if not thing[1] and thing[0] in self._joiner.home:
            raise self._fail(node, "a module of ours may only stand before a point")
        return ast.Name(self._joiner.name_of(self._group, thing), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        thing = self._thing(node.value.id) if isinstance(node.value, ast.Name) else None
        if thing is None or thing[1] or thing[0] not in self._joiner.home:
            self.generic_visit(node)
            return node
        if not isinstance(node.ctx, ast.Load):
            raise self._fail(node, "a module's name is changed from outside")
        whole = self._joiner.origin((thing[0], node.attr))
        return ast.Name(self._joiner.name_of(self._group, whole), node.ctx)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """A module's name as text, for __import__()."""
        home = self._joiner.home.get(node.value) if isinstance(node.value, str) else None
        return ast.Constant(home.name) if home is not None else node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        raise self._fail(node, "a name at the top that a function sets")

    def visit_Import(self, node: ast.Import) -> ast.Import:
        if not self._scopes or any(alias.name in self._joiner.home and alias.asname for alias in node.names):
            raise self._fail(node, "only at the top, or without `as`")
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        """In a function: of a module that is loaded then."""
        if not self._scopes:
            raise self._fail(node, "an import under a condition")
        found: list[ast.stmt] = []
        for here, (module, name) in imported(node, self._joiner.modules):
            if module not in self._joiner.home:
                found.append(_import(module, name, here))
                continue
            home = self._joiner.home[module]
            if home is self._group or (not name and len(home.members) > 1):
                raise self._fail(node, f"it is joined into {home.name}")
            if name:
                found.append(_import(home.name, home.names[self._joiner.origin((module, name))], here))
            else:
                package, last = module.rsplit(".", 1)
                found.append(_import(package, last, here))
        return found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        self._renamed(node)
        self.visit(node.args)
        node.returns = None
        self._scopes.append((local_names(node), False))
        node.body = [found for one in node.body for found in _list(self.visit(one))]
        self._scopes.pop()
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        """Their defaults belong outside; annotations are nothing to MicroPython."""
        for one in ast.walk(node):
            if isinstance(one, ast.arg):
                one.annotation = None
        node.defaults = [self.visit(one) for one in node.defaults]
        node.kw_defaults = [one and self.visit(one) for one in node.kw_defaults]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return ast.Pass()
        target = self.visit(node.target)
        return ast.Assign([target], self.visit(node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self._renamed(node)
        node.bases = [self.visit(one) for one in node.bases]
        self._scopes.append((bound(node.body), True))
        node.body = [found for one in node.body for found in _list(self.visit(one))]
        self._scopes.pop()
        return node

    def _renamed(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        if not self._scopes:
            node.name = self._joiner.name_of(self._group, (self._module.name, node.name))

    def _inner(self, node: ast.expr) -> ast.expr:
        self._scopes.append((local_names(node), False))
        self.generic_visit(node)
        self._scopes.pop()
        return node

    visit_Lambda = visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _inner


def _list(found: ast.stmt | list[ast.stmt]) -> list[ast.stmt]:
    return found if isinstance(found, list) else [found]
