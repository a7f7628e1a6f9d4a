"""The firmware's own checks find what they are there for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tests import lint_ticks, tick_table
from tests.lint_frames import check_frames


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


TICK = """
class Kept:
    def begin(self, now_us):
        self._since_us = {value}
"""


@pytest.mark.parametrize(
    "value",
    [
        "ticks_us()",
        "ticks_ms()",
        "time.ticks_us()",
        "ticks_add(ticks_us(), 5)",
        "now_us",
        "self._ended_us",
        "link._now_us",
    ],
)
def test_a_new_tick_without_an_idle_test_is_found(tmp_path: Path, value: str) -> None:
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "kept.py").write_text(TICK.format(value=value))
    (finding,) = lint_ticks.check_ticks(tmp_path, {})
    assert "device/kept.py:4: _since_us keeps a tick" in finding


@pytest.mark.parametrize("value", ["ticks_diff(ticks_us(), now_us)", "5", "config.timeout_us", "self._limit_us"])
def test_a_duration_is_no_tick(tmp_path: Path, value: str) -> None:
    (tmp_path / "kept.py").write_text(TICK.format(value=value))
    assert list(lint_ticks.check_ticks(tmp_path, {})) == []


def test_a_tick_of_a_tick_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(TICK.format(value="ticks_us()"))
    (tmp_path / "b.py").write_text("def f(one, other):\n    one.copied = other._since_us\n")
    found = lint_ticks.kept_ticks(tmp_path)
    assert set(found) == {"a.py: _since_us", "b.py: copied"}


def test_the_table_is_held_against_the_source(tmp_path: Path) -> None:
    Tick = tick_table.Tick
    (tmp_path / "a.py").write_text(TICK.format(value="ticks_us()"))
    good = "host/test_lint_firmware.py::test_a_tick_of_a_tick_is_found"
    table = {"a.py: _since_us": Tick("turn", good)}
    assert list(lint_ticks.check_ticks(tmp_path, table)) == []
    for changed in (Tick("always", good), Tick("turn", "host/none.py::test_x"), Tick("turn", good + "_not")):
        assert len(list(lint_ticks.check_ticks(tmp_path, {"a.py: _since_us": changed}))) == 1
    assert len(list(lint_ticks.check_ticks(tmp_path, {**table, "gone.py: _x_us": Tick("turn", good)}))) == 1


def test_every_tick_of_the_firmware_is_in_the_table() -> None:
    assert list(lint_ticks.check_ticks()) == []


def test_a_function_whose_frame_is_allocated_is_found(tmp_path: Path) -> None:
    many = ", ".join(f"v{i}" for i in range(9))
    (tmp_path / "hot.py").write_text(f"def small(a):\n    return a\n\n\ndef large(a):\n    {many} = a\n    return v1\n")
    found = list(check_frames(tmp_path, {"hot.py": "small large gone"}))
    assert len(found) == 2
    assert found[0].startswith("hot.py:5: large: ")
    assert "gone" in found[1]
