"""The firmware's own checks find what they are there for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lint_firmware", Path(__file__).parents[1] / "lint_firmware.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lint = load()
HERE = Path("x.py")


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from machine import Pin",
        "from kline.device import board",
        "from . import ring",
        "import array, os",
        "def f():\n    import select",
        "print(1)",
        "__import__('os')",
    ],
)
def test_impure_is_found(source: str) -> None:
    assert len(list(lint.check_purity(HERE, source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from array import array",
        "from kline.protocol.ring import RingBuffer",
        "from kline.protocol import ring",
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Protocol",
    ],
)
def test_pure_passes(source: str) -> None:
    assert not list(lint.check_purity(HERE, source))


@pytest.mark.parametrize("source", ["A = 0x40000000", "A = 1 << 30", "def f(x):\n    return x & 0xFFFFFFFF"])
def test_big_ints_are_found(source: str) -> None:
    assert len(list(lint.check_big_ints(HERE, source))) == 1


@pytest.mark.parametrize("source", ["A = 0x3FFFFFFF", "A = (1 << 30) - 1", "A = 1 << n", "A = 1 << 31  # big int: ok"])
def test_small_or_excused_ints_pass(source: str) -> None:
    assert not list(lint.check_big_ints(HERE, source))


def test_what_mpy_cross_refuses_is_found_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("x = 1\nmatch x:\n    case 1: pass\n")
    (finding,) = lint.check_compile([bad])
    assert finding.startswith("bad.py:2: mpy-cross: SyntaxError")


def test_without_the_stubs_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    with pytest.raises(lint.CheckerFailed, match="make lint"):
        list(lint.check_types([HERE], sys.executable))
    assert lint.main([]) == 2
    assert "STUBS_PYTHON" in capsys.readouterr().err


def test_every_board_file_is_looked_at() -> None:
    names = {path.name for path in lint.board_files()}
    assert {"main.py", "transport.py", "frames.py"} <= names
    assert "manifest.py" not in names
