"""Constants become numbers, and nothing else changes: what is left does the same, on both Pythons."""

from __future__ import annotations

import ast

import pytest

from openkline.firmware.constants import fold_constants
from openkline.firmware.modules import board_modules, firmware_root


def folded(**modules: str) -> dict[str, str]:
    """Modules of the package kline, by their last name."""
    sources = {f"kline/{name.replace('__', '/')}.py": text for name, text in modules.items()}
    return {path[6:-3].replace("/", "__"): text.strip() for path, text in fold_constants(sources).items()}


def value(source: str, name: str) -> object:
    names: dict[str, object] = {}
    exec(source, names)
    return names[name]


def test_private_and_public_constants_are_put_in() -> None:
    text = "_A = 2\nB = 1 << _A | 0x10\nC, D = 3, -4\ndef f(x=B):\n    return x + C * D + _A\n"
    assert folded(one=text)["one"] == "def f(x=20):\n    return x + 3 * -4 + 2"


def test_a_negative_number_keeps_its_place_in_an_expression() -> None:
    text = "A = -2\nf = A ** 2, 2 - A, (A).bit_length(), -A\n"
    assert value(folded(one=text)["one"], "f") == value(text, "f") == (4, 4, 2, 2)


def test_other_modules_constants_are_put_in_and_imports_for_them_alone_go() -> None:
    got = folded(
        numbers="X = 7\nWORDS = ('a',)\n",
        user="from kline import numbers\nfrom kline.numbers import X, WORDS\nf = (numbers.X, X, WORDS)\n",
        other="from kline import numbers as n, user\nf = [n.WORDS, n.X, user]\n",
        third="def f():\n    from kline.numbers import X\n    return X\n",
    )
    assert got["numbers"] == "WORDS = ('a',)"
    assert got["user"] == "from kline.numbers import WORDS\nf = (7, 7, WORDS)"
    assert got["other"] == "from kline import numbers as n, user\nf = [n.WORDS, 7, user]"
    assert got["third"] == "def f():\n    return 7"


def test_an_import_that_was_never_used_for_constants_stays() -> None:
    text = "from kline import wanted\n"
    assert folded(one=text, wanted="print('loaded')\n")["one"] == text.strip()


def test_a_function_of_which_nothing_is_left_is_still_one() -> None:
    got = folded(one="def f():\n    from kline.two import X\n", two="X = 1\n")["one"]
    ast.parse(got)
    assert "pass" in got


def test_what_the_package_device_shows_to_people_stays() -> None:
    got = folded(device__config="_MIN = 1\nMOD256 = 1\nf = MOD256 + _MIN\n")["device__config"]
    assert got == "MOD256 = 1\nf = 1 + 1"


def test_type_checking_blocks_go() -> None:
    text = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from kline.types import Y\nx = 1.5\n"
    assert folded(one=text, types="Y = 1\n")["one"] == "x = 1.5"


@pytest.mark.parametrize(
    "text",
    [
        "A = 1\nA = 2\nf = A",  # assigned twice
        "A = 1\ndef g():\n    global A\n    A = 2\nf = A",
        "A = 1\ndef f(A):\n    return A",  # a parameter of that name
        "A = 1\nfor A in (2, 3):\n    pass\nf = A",
        "if True:\n    A = 1\nf = A",  # not at the top
        "A = 1\nA += 1\nf = A",
        "A = True\nf = A",  # shown as True, not as 1
        "A = 1.5\nf = A",
        "A = 1073741824\nf = A",  # no small int on 32 bits
        "A = int('3')\nf = A",
        "a = 1\nf = a",  # no capitals
    ],
)
def test_what_is_no_constant_stays(text: str) -> None:
    assert folded(one=text)["one"] == ast.unparse(ast.parse(text))


def test_a_name_that_another_module_assigns_is_none() -> None:
    got = folded(one="A = 1\nf = A\n", two="from kline import one\none.A = 5\ng = one.A\n")
    assert got["one"] == "A = 1\nf = A"
    assert got["two"] == "from kline import one\none.A = 5\ng = one.A"


def test_the_smallest_and_largest_small_int() -> None:
    text = "A = (1 << 30) - 1\nB = -(1 << 30)\nf = (A, B)"
    assert folded(one=text)["one"] == "f = (1073741823, -1073741824)"


def test_a_circle_of_constants_ends() -> None:
    assert folded(one="A = B\nB = A\n")["one"] == "A = B\nB = A"


def references(tree: ast.Module, sources: dict[str, str]) -> set[tuple[str, str]]:
    """(path of a module of ours, name there) of what is imported from it or looked up in it."""
    found, aliases = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                base = node.module.replace(".", "/")
                if f"{base}/{alias.name}.py" in sources:
                    aliases[alias.asname or alias.name] = f"{base}/{alias.name}.py"
                elif f"{base}.py" in sources:
                    found.add((f"{base}.py", alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            found.add((aliases[node.value.id], node.attr))
    return found


def defined(source: str) -> set[str]:
    """Names at a module's top level."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in node.names)
        else:
            found.update(one.id for one in ast.walk(node) if isinstance(one, ast.Name))
    return found


def test_the_firmware_keeps_no_reference_to_what_was_taken_out() -> None:
    root = firmware_root()
    sources = {path: (root / path).read_text() for path in board_modules(root)}
    result = fold_constants(sources)
    assert sum(map(len, result.values())) < sum(map(len, sources.values()))
    assert "FRAME = " not in result["kline/protocol/link/records.py"]
    for path, text in result.items():
        tree = ast.parse(text)
        plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in plain if name.startswith("kline.")], f"{path}: `from .. import` is what is folded"
        known = set(dir(__builtins__)) | set(__builtins__ if isinstance(__builtins__, dict) else ())
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                known.add(node.id)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                known.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                known.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                known.add(node.name)
        ours = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - known
        assert not ours - {"const", "__file__"}, (path, ours)
        for module, name in references(tree, result):
            assert name in defined(result[module]), (path, module, name)
