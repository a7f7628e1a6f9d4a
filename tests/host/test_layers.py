"""The contracts of `lint-imports` see every module, and break where a module imports what its room may not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = {"kline": ROOT / "firmware" / "kline", "openkline": ROOT / "host" / "openkline"}

PURE = "protocol is pure: no device, no host, no I/O"
HOST = "host never reaches into the device"
DEVICE = "device never reaches into the host"
FLOORS = "the floors of openkline"
FAMILIES = "the families of kline.protocol"
HANDLERS = "neither handler knows the other"


def dotted(package: Path, path: Path) -> str:
    return ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")


def modules_on_disk(package: Path) -> set[str]:
    return {dotted(package, path) for path in package.rglob("*.py")}


def modules_below(folder: str) -> list[str]:
    """One module of the folder and of each one below it, by dotted name: the first in the alphabet."""
    name, *rest = folder.split(".")
    top = PACKAGES[name].joinpath(*rest)
    places = [sorted(place.glob("[!_]*.py")) for place in (top, *sorted(top.rglob("*")))]
    return [dotted(PACKAGES[name], files[0]) for files in places if files]


def test_every_module_of_the_tree_is_in_the_graph() -> None:
    graph = grimp.build_graph(*SETTINGS["root_packages"], cache_dir=None)
    for name, folder in PACKAGES.items():
        on_disk = modules_on_disk(folder)
        assert len(on_disk) > 60
        missing = on_disk - graph.modules
        assert not missing, f"name the folder in root_packages of pyproject.toml: {sorted(missing)}"
        assert name in graph.modules


def test_every_contract_is_tried_below() -> None:
    assert {contract["name"] for contract in SETTINGS["contracts"]} == {PURE, HOST, DEVICE, FLOORS, FAMILIES, HANDLERS}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES.values():
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def broken_contracts(copy: Path) -> tuple[set[str], str]:
    program = Path(sys.executable).with_name("lint-imports")
    environment = os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "200"}
    done = subprocess.run(
        [program, "--no-cache"], cwd=copy, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    verdicts = dict(re.findall(r"^(.*) (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, re.MULTILINE))
    assert len(verdicts) == len(SETTINGS["contracts"]), done.stdout + done.stderr
    broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert (done.returncode != 0) == bool(broken)
    return broken, done.stdout


WRONG = [
    *((module, "time", PURE) for module in modules_below("kline.protocol")),
    *((module, "openkline", DEVICE) for module in modules_below("kline.device")),
    *((module, "kline.device.config", HOST) for module in modules_below("openkline")),
    ("kline.protocol.link.framing", "kline.protocol.update.codes", FAMILIES),
    ("kline.protocol.ibus.frames", "kline.protocol.link.records", FAMILIES),
    ("kline.protocol.obd.kwp", "kline.protocol.ibus.frames", FAMILIES),
    ("kline.protocol.ring", "kline.protocol.obd.kwp", FAMILIES),
    ("kline.device.obd.line", "kline.device.ibus_handler", HANDLERS),
    ("openkline.bridge.bridge", "openkline.cli.common", FLOORS),
    ("openkline.gateway.rules", "openkline.bridge.config", FLOORS),
    ("openkline.gateway.rules", "openkline.elm.options", FLOORS),
    ("openkline.update.bundle", "openkline.gateway.wire", FLOORS),
    ("openkline.update.bundle", "openkline.obd.calls", FLOORS),
    ("openkline.device.queue", "openkline.obd.calls", FLOORS),
    ("openkline.firmware.modules", "openkline.device.sim", FLOORS),
    ("openkline.net.access", "openkline.device.port", FLOORS),
    ("openkline.net.access", "openkline.bus", FLOORS),
    ("openkline.errors", "openkline.programs", FLOORS),
    ("openkline.errors", "openkline.bus", FLOORS),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "imported", "contract"), WRONG)
def test_a_wrong_import_breaks_its_contract(copy: Path, module: str, imported: str, contract: str) -> None:
    path = copy.joinpath(*module.split(".")).with_suffix(".py")
    before = path.read_text()
    path.write_text(f"{before}\nimport {imported}\n")
    try:
        broken, said = broken_contracts(copy)
    finally:
        path.write_text(before)
    assert contract in broken
    assert f"{module} -> {imported} (l." in said


def test_the_copy_itself_breaks_none_and_a_room_without_a_place_does(copy: Path) -> None:
    assert broken_contracts(copy)[0] == set()
    for room, contract in (("openkline/new_room.py", FLOORS), ("kline/protocol/new_room.py", FAMILIES)):
        path = copy / room
        path.write_text("")
        broken, said = broken_contracts(copy)
        path.unlink()
        assert broken == {contract}
        assert "new_room" in said
