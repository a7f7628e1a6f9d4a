"""Tries what `make dist` made, as a user gets it: python packaging/check_wheel.py DIST_FOLDER

The wheel goes into an environment of its own, away from the tree: the version is the tree's, and the bridge starts on
the virtual board, answers a client, and ends by SIGTERM with status 0. The source archive builds a wheel with the same
files. Needs a network to the package index. Exit status 1 with what failed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from build_deb import version
from check_deb import free_port, hear, hello


def one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"check_wheel: expected one {pattern} in {folder}, found {len(found)}: run make dist")
    return found[0]


def pip(python: Path, *words: str | Path) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words], check=True)


def files_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def environment(folder: Path, wheel: Path) -> Path:
    """An environment with the wheel in it; its folder of programs."""
    venv.create(folder, with_pip=True)
    pip(folder / "bin/python", "install", wheel)
    return folder / "bin"


def serve(bin_folder: Path, folder: Path) -> None:
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(60)
        environ = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "XDG_CONFIG_HOME": str(folder)}
        words = [str(bin_folder / "openkline"), "bridge", "-d", "sim", "-p", str(port)]
        bridge = subprocess.Popen(words, env=environ, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            hear(manager, "READY=1")
            answer = hello(port)
            assert answer[:2] == b"ct", answer
            bridge.send_signal(signal.SIGTERM)
            assert bridge.wait(20) == 0, bridge.returncode
        finally:
            bridge.kill()
            bridge.wait()
    print("  openkline bridge -d sim: ready, a client connected, ended with status 0")


def check(dist: Path, folder: Path) -> None:
    wheel = one(dist, "openkline-*.whl").resolve()
    print(f"{wheel.name}, in an environment of its own:", flush=True)
    bin_folder = environment(folder / "venv", wheel)
    command = [bin_folder / "openkline", "--version"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    assert version() in said.split(), f"expected {version()}, openkline --version says: {said}"
    print(f"  {said}")
    serve(bin_folder, folder)
    source = one(dist, "openkline-*.tar.gz")
    pip(bin_folder / "python", "wheel", "--no-deps", "--wheel-dir", folder / "again", source)
    different = set(files_of(wheel)) ^ set(files_of(one(folder / "again", "*.whl")))
    assert not different, f"{source.name} builds a wheel that differs in: {', '.join(sorted(different))}"
    print(f"{source.name}: builds a wheel with the same {len(files_of(wheel))} files")


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIST_FOLDER")
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(Path(sys.argv[1]), Path(folder))
        except (AssertionError, OSError, subprocess.CalledProcessError) as error:
            print(f"check_wheel: FAILED: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
