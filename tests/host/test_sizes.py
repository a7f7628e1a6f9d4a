"""What the firmware takes on a board: bytes on flash, heap. docs/sizes.md explains the method.

Printed by `make bench`; the budget is kept by `make test`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from openkline.device.sim import find_micropython
from openkline.firmware.modules import compile_modules

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "tests" / "bench"
FIRMWARE = ROOT / "firmware"

FREE_AFTER_BOOT = 165_000  # a plain ESP32 with MicroPython 1.27, emulated
BUDGET = 64 * 1024  # of it, with both handlers loaded
NAME_BYTES = 3  # of hash and length beside each name's text


@dataclass(frozen=True)
class Stage:
    """alloc: on the 64-bit unix port; fixed: of it, bytes that are as many on 32 bits."""

    name: str
    alloc: int
    fixed: int
    modules: list[str]

    @property
    def alloc_32(self) -> int:
        return (self.alloc + self.fixed) // 2

    @property
    def free(self) -> int:
        return FREE_AFTER_BOOT - self.alloc_32


def names_in(module: bytes) -> int:
    """Bytes that a .mpy file (version 6) spends on names: after 4 bytes of header two counts, then the names.

    A number is in groups of 7 bits, the highest first, all but the last with bit 7 set. A name is its length * 2, its
    text and a 00; or an odd number: one of MicroPython's own.
    """
    at = 4

    def number() -> int:
        nonlocal at
        value = 0
        while True:
            byte = module[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value

    count, _ = number(), number()
    begin = at
    for _ in range(count):
        length = number()
        if not length & 1:
            at += (length >> 1) + 1
    return at - begin


def _module_file(name: str) -> str:
    """Its path among the compiled files; a folder without __init__.py has none."""
    folder = FIRMWARE / name.replace(".", "/")
    return name.replace(".", "/") + ("/__init__.mpy" if folder.is_dir() else ".mpy")


@pytest.fixture(scope="module")
def compiled() -> dict[str, bytes]:
    return compile_modules()


@pytest.fixture(scope="module")
def stages(compiled: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """All paths are relative: a path is text on the heap, and the figures shall be the same in any folder."""
    folder = tmp_path_factory.mktemp("board")
    for path, data in compiled.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    for source in (*(BENCH / "bare").glob("*.py"), BENCH / "heap_probe.py", FIRMWARE / "main.py"):
        shutil.copy(source, folder)
    done = subprocess.run(
        [find_micropython(), "-X", "heapsize=4M", "heap_probe.py", "main.py"],
        env={"MICROPYPATH": ":.frozen"},
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    found: dict[str, Stage] = {}
    text_before = count_before = None
    for said, names in zip(lines[::2], lines[1::2], strict=True):
        fields = json.loads(said)
        count, text = map(int, re.findall(r"n_qstr=(\d+), n_str_data_bytes=(\d+)", names)[0])
        if fields["stage"] == "boot":
            count_before, text_before = count, text
        elif count_before is not None and text_before is not None:
            files = [compiled[path] for path in map(_module_file, fields["modules"]) if path in compiled]
            fixed = sum(len(file) - names_in(file) for file in files) + fields["buffers"]
            fixed += text - text_before + NAME_BYTES * (count - count_before)
            found[fields["stage"]] = Stage(fields["stage"], fields["alloc"], fixed, fields["modules"])
    return found


def test_bytes_on_flash(compiled: dict[str, bytes]) -> None:
    total = sum(map(len, compiled.values()))
    print(f"on flash: {total} bytes in {len(compiled)} modules, and main.py with {len(bytes_of_main())}")
    for path, data in sorted(compiled.items(), key=lambda item: -len(item[1]))[:5]:
        print(f"  {len(data):6} {path}")
    assert total < 128 * 1024


def bytes_of_main() -> bytes:
    return (FIRMWARE / "main.py").read_bytes()


def test_heap_after_start(stages: dict[str, Stage]) -> None:
    print("heap, estimated for 32 bits from the 64-bit unix port; not yet seen on a board:")
    print("| after the start of | modules | 64-bit port | of it not words | 32 bits | free of 165,000 |")
    print("|---|---|---|---|---|---|")
    for stage in stages.values():
        print(
            f"| {stage.name} | {len(stage.modules)} | {stage.alloc} | {stage.fixed} | {stage.alloc_32} | {stage.free} |"
        )
    both = stages["both handlers"]
    assert {"kline.device.app", "kline.device.obd.service"} <= set(both.modules)
    assert both.free >= BUDGET, f"{both.free} bytes of heap left, the budget is {BUDGET}"


def test_the_document_is_not_far_from_the_truth(stages: dict[str, Stage]) -> None:
    text = (ROOT / "docs" / "sizes.md").read_text()
    rows = re.findall(r"^\| (?!after|-).*\| ([\d,]+) \| [\d,]+ \| ([\d,]+) \|$", text, re.MULTILINE)
    assert len(rows) == len(stages)
    for (alloc_32, free), stage in zip(rows, stages.values(), strict=True):
        said, left = (int(number.replace(",", "")) for number in (alloc_32, free))
        assert said + left == FREE_AFTER_BOOT
        assert abs(said - stage.alloc_32) <= 0.05 * stage.alloc_32, f"docs/sizes.md: {stage.name}: {stage.alloc_32}"


def test_what_the_application_never_asks_for_is_not_on_the_heap(stages: dict[str, Stage]) -> None:
    people = {
        "kline.protocol.ibus.names",
        "kline.protocol.obd.pids",
        "kline.protocol.obd.dtc",
        "kline.protocol.obd.nrc",
    }
    assert not people & set(stages["both handlers"].modules)


def test_the_estimate_has_something_to_stand_on(compiled: dict[str, bytes]) -> None:
    for path, data in compiled.items():
        assert data[:2] == b"M\x06"
        assert 0 < names_in(data) < len(data), path
    assert names_in(b"M\x06\x00\x1f\x02\x00\x05\x06abc\x00rest") == 6
