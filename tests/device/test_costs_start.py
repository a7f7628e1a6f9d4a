"""How often a start reads the flash, and what that makes of the time to HELLO: model beside measured.

Measured with the real port on an emulated ESP32 (E2), with the modules in the folders that they had in November 2026
(tests/vectors/old_layout.json): 20,100 reads for kline.device.app and 30,000 with OBD mode, of at most 64 bytes, and
HELLO after 1.9 s + reads x time of one + 0.4 s. Nothing here was fitted to that.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.conftest import ROOT, micropython

from openkline.firmware.modules import compile_modules

VECTOR = json.loads((ROOT / "tests/vectors/old_layout.json").read_text())
OUTSIDE_S = 1.9 + 0.4  # the port's own start and the boot window; begin and HELLO (E2: given, not predicted)
READS = (20_100, 30_000)  # E2: I-Bus mode, OBD mode
HELLO_S = {100: (4.3, 5.3), 310: (8.5, 11.6)}  # E2, by microseconds a read


def reads(modules: Path, lookups: str) -> tuple[int, int]:
    """Of kline.device.app alone, and with OBD mode."""
    path = f"{ROOT / 'boards/SIM/port'}:{ROOT / 'boards/SIM'}:.frozen"
    done = subprocess.run(
        [micropython(), "-X", "heapsize=16M", str(ROOT / "tests/device/flash_reads.py"), str(modules), lookups],
        env=dict(os.environ, MICROPYPATH=path), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    app, obd = json.loads(done.stdout)
    return app, app + obd


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    files = {path: bytes(size) for path, size in VECTOR["files"].items()}
    lookups = tmp_path_factory.mktemp("lookups") / "lookups.json"
    lookups.write_text(json.dumps([VECTOR["app"], VECTOR["obd"]]))
    return reads(write(tmp_path_factory.mktemp("old"), files), str(lookups))


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    return reads(write(tmp_path_factory.mktemp("today"), compile_modules()), "import")


@pytest.mark.parametrize("mode", [0, 1], ids=["ibus", "obd"])
def test_the_old_layout_is_predicted(old: tuple[int, int], mode: int) -> None:
    rows = [("reads", float(old[mode]), float(READS[mode]))]
    for read_us, measured in HELLO_S.items():
        rows.append((f"HELLO, s, {read_us} us a read", OUTSIDE_S + old[mode] * read_us / 1e6, measured[mode]))
    for name, model, known in rows:
        print(f"{name:30} model {model:8.1f}  measured {known:8.1f}  ratio {model / known:.2f}")
    assert all(abs(model / known - 1) <= 0.25 for _, model, known in rows)


def test_todays_layout(today: tuple[int, int]) -> None:
    for name, count in zip(("I-Bus mode", "OBD mode"), today, strict=True):
        seconds = [f"{OUTSIDE_S + count * read_us / 1e6:.1f} s at {read_us} us" for read_us in HELLO_S]
        print(f"{name}: {count} flash reads, HELLO after {' and '.join(seconds)} a read")
    assert today[0] < today[1] < 2 * READS[1]
