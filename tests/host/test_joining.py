"""Joined modules do what they did apart; what can't be joined is named."""

from __future__ import annotations

import builtins
import subprocess
import symtable
from collections.abc import Iterator
from pathlib import Path

import pytest

from openkline.device.sim import find_micropython
from openkline.firmware.constants import fold_constants
from openkline.firmware.joining import ENTRIES, FOR_PEOPLE, JoinError, join_modules
from openkline.firmware.modules import board_modules, firmware_root

APP = "kline/device/app.py"
SERVICE = "kline/device/obd/service.py"
LINK = "kline/protocol/link.py"
RING = "kline/protocol/ring.py"


def run(files: dict[str, str], folder: Path, code: str) -> str:
    """What MicroPython prints with these files."""
    for path, source in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source)
    done = subprocess.run(
        [find_micropython(), "-c", code],
        env={"MICROPYPATH": ":.frozen"}, cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# Each says the same whether joined or not.
PROGRAMS = {
    "a name that two modules have": {
        RING: "_SIZE = [4]\ndef size():\n    return _SIZE[0]\n",
        LINK: "_SIZE = [5]\ndef size():\n    return _SIZE[0]\n",
        APP: "from kline.protocol import link, ring\ndef run():\n    return link.size(), ring.size()\n",
    },
    "a name that is a local one elsewhere": {
        RING: "def size():\n    return 4\n",
        APP: "from kline.protocol import ring\ndef run(size=1):\n"
        "    return [size + ring.size() for size in (1, size)]\n",
    },
    "a method and an attribute with a function's name": {
        RING: "def size():\n    return 4\n",
        LINK: "def size():\n    return 5\n",
        APP: "from kline.protocol import link, ring\nclass Box:\n    size = ring.size()\n    def grow(self):\n"
        "        self.size += link.size()\n        return self.size\ndef run():\n    return Box().grow(), Box.size\n",
    },
    "a method that calls the function of its name": {
        RING: "def size():\n    return 4\n",
        APP: "from kline.protocol.ring import size\nclass Box:\n    width: int = 5\n    def size(self):\n"
        "        return size()\ndef run():\n    return Box.width, Box().size(), (lambda size: size)(9)\n",
    },
    "an import under another name": {
        RING: "from time import ticks_ms as clock\ndef size(of=len):\n    return of('four')\n",
        LINK: "from kline.protocol.ring import size as ring_size, clock\n",
        APP: "from kline.protocol.link import ring_size as n, clock\nimport os as time\n"
        "def run():\n    return n(), clock() >= 0, time.sep\n",
    },
    "a neighbour loaded later": {
        RING: "def size():\n    return 4\n",
        SERVICE: "from kline.protocol.ring import size\nfrom kline.device.app import Base\nclass Service(Base):\n"
        "    n = size()\n",
        APP: "from kline.protocol import ring\nclass Base:\n    width = ring.size() + 1\ndef run():\n"
        "    from kline.device.obd.service import Service\n    return Service.n, Service().width\n",
    },
    "a module by its name as text": {
        RING: "class Ring:\n    size = 4\n",
        APP: "from kline.protocol import ring\nHOME = {'Ring': 'kline.protocol.ring'}\ndef run():\n"
        "    module = __import__(HOME['Ring'], None, None, ('Ring',))\n    return module.Ring is ring.Ring\n",
    },
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_joined_as_apart(program: dict[str, str], tmp_path: Path) -> None:
    joined = join_modules(program)
    assert RING not in joined and len(joined) < len(program)
    code = "from kline.device.app import run; print(run())"
    apart = run(program, tmp_path / "apart", code)
    assert run(joined, tmp_path / "joined", code) == apart
    assert "(" in apart or "[" in apart or apart == "True\n"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("from kline.protocol import ring\nf = [ring]\n", "`ring`: a module of ours may only stand before a point"),
        ("from kline.protocol import ring\ndef f():\n    ring.N = 3\n", "`ring.N`: .*changed from outside"),
        ("N = 1\ndef f():\n    global N\n    N = 2\n", "`global N`"),
        ("try:\n    from kline.protocol import ring\nexcept ImportError:\n    pass\n", "an import under a condition"),
        ("import kline.protocol.ring\nf = kline\n", "`import kline.protocol.ring`: write `from"),
        ("from kline.protocol.ring import N\nclass A:\n    M = N\n    N = 2\n", "`N`: a name of the class and of"),
        (
            "from kline.protocol import ring\ndef f():\n    from kline.protocol import ring\n    return ring.N\n",
            "joined",
        ),
    ],
)
def test_what_cannot_be_joined_is_named(source: str, says: str) -> None:
    with pytest.raises(JoinError, match=rf"kline\.device\.app: .*{says}"):
        join_modules({RING: "N = [1]\n", "kline/__init__.py": "", APP: source})


@pytest.fixture(scope="module")
def firmware() -> dict[str, str]:
    root = firmware_root()
    return join_modules(fold_constants({path: (root / path).read_text() for path in board_modules(root)}))


def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from tables(child)


def test_every_name_of_the_firmware_is_bound_once(firmware: dict[str, str]) -> None:
    for path, source in firmware.items():
        top = symtable.symtable(source, path, "exec")
        bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        for table in tables(top):
            used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (s.is_global() or table is top)}
            assert used - bound - set(dir(builtins)) == set(), (path, table.get_name())
        names = [
            child.get_name()
            for child in top.get_children()
            if child.get_name() not in ("lambda", "listcomp", "genexpr")
        ]
        assert len(set(names)) == len(names), path


def test_each_mode_is_one_file(firmware: dict[str, str]) -> None:
    files = {
        name.replace(".", "/") + ("/__init__.py" if name == "kline" else ".py") for name in (*ENTRIES, *FOR_PEOPLE)
    }
    assert files <= firmware.keys()
    assert not [path for path in firmware if path.startswith("kline/protocol/link")]


def test_what_a_loaded_file_has_is_taken_from_it(firmware: dict[str, str]) -> None:
    """An import of a built-in module looks for files first."""
    updater = firmware["kline/device/updater.py"]
    assert "import json" not in updater and "import os" not in updater
    assert "json, " in next(line for line in updater.splitlines() if line.startswith("from kline.device.app import"))


def test_public_names_stay_where_they_are(firmware: dict[str, str], tmp_path: Path) -> None:
    names = "IbusEsp32, IbusHandler, KLineTransport, KLineConfig, KLineObd2, RingBuffer, __version__"
    root = Path(__file__).resolve().parents[2]
    for stub in (root / "tests/bench/bare").glob("*.py"):
        (tmp_path / stub.name).write_text(stub.read_text())
    code = f"""
from kline import {names}
from kline.device import board
from kline.device.app import run, Board
from kline.device.obd.errors import ObdError, NO_CAR
from kline.device.obd.diagnostics import Diagnostics
from kline.protocol.obd import pids
from kline.protocol.ibus.names import describe
assert board.Board is Board and issubclass(ObdError, Exception)
print({names.replace(", __version__", "")}, board.load)
"""
    said = run(firmware, tmp_path, code)
    for name in names.split(", ")[:-1]:
        assert f"<class '{name}'>" in said
