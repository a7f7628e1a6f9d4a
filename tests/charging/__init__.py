"""A copy of the firmware that tells the virtual board what its bytecode costs. See docs/virtual-board.md."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Beside the firmware: what a real board runs too, to say what that costs.
_PROBE = "tests/hardware/cost_probe.py"
_KEPT = 5  # copies of other states of the sources
_MADE_OF = ("firmware", "tests/charging", "boards/SIM/sim/costs.py", _PROBE)


def charged_firmware(cache: Path) -> Path:
    """A folder with the firmware whose functions charge for their bytecode; made in `cache` when it isn't there."""
    files = [f for part in _MADE_OF for f in _files(ROOT / part)]
    state = hashlib.sha256()
    for file in files:
        state.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    folder = cache / state.hexdigest()[:16]
    if not folder.is_dir():
        _make(folder)
    return folder


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _make(folder: Path) -> None:
    """Whole or not at all: other processes may do the same."""
    from tests.charging.instrument import instrument, names_of

    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    modules = sorted((ROOT / "firmware/kline").rglob("*.py"))
    defined = names_of(modules)
    for module in modules:
        copy = made / module.relative_to(ROOT / "firmware")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(instrument(module, defined))
    probe = ROOT / _PROBE
    (made / probe.name).write_text(instrument(probe, defined | names_of([probe])))
    shutil.copy(ROOT / "firmware/main.py", made / "main.py")
    try:
        made.rename(folder)
    except OSError:  # another was first
        shutil.rmtree(made)
    with suppress(FileNotFoundError):  # another process tidies up too
        for old in sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)[: -1 - _KEPT]:
            shutil.rmtree(old, ignore_errors=True)
