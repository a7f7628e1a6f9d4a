"""Clean Debian roots for tests of the package: one made by debootstrap and kept, under it an overlay for each test.

Everything is mounted in a mount namespace of this process (enter_namespace()), so that nothing stays mounted however it
ends, and whoever removes build/ removes only files. What a test writes goes to memory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUITE = "bookworm"
_ENTERED = "OPENKLINE_OWN_MOUNTS"
_DEVICES = (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9))
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class CannotRun(Exception):
    """What is missing here."""


def run(*words: str | Path) -> str:
    """RuntimeError with all output when it fails."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def enter_namespace() -> None:
    """Start this program again where mounts are its own. CannotRun: not as root, or without Debian's tools."""
    if os.environ.get(_ENTERED):
        return
    missing = [name for name in ("debootstrap", "unshare", "nsenter", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        raise CannotRun(f"needs {' and '.join(missing)} (apt-get install debootstrap util-linux)")
    if os.geteuid() != 0:
        raise CannotRun("needs root, to make a Debian root and to mount there: sudo make deb-test")
    os.environ[_ENTERED] = "1"
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise CannotRun(f"cannot have a mount namespace ({error})") from error


def mirror() -> str:
    """Where this computer's apt gets SUITE from."""
    lines = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)").splitlines()
    sites = [words[0] for words in map(str.split, lines) if words[1:] == [SUITE, "main"]]
    if not sites:
        raise CannotRun(f"this computer's apt has no source of Debian {SUITE}: no idea where to get one")
    return sites[0]


def bootstrap(base: Path) -> None:
    """A minimal Debian in the folder `base`, unless it is there already. A half-made one never has that name."""
    if base.is_dir():
        return
    half = base.with_name(base.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    print(f"debootstrap {SUITE} into {base.name}, once ..", flush=True)
    run("debootstrap", "--variant=minbase", SUITE, half, mirror())
    half.rename(base)


class Root:
    """A running root: run programs in it, look at its files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def run(self, *words: str) -> str:
        environment = {**ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive"}
        environment |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        return run("env", "-i", *(f"{k}={v}" for k, v in environment.items()), "chroot", self.path, *words)

    def install(self, *packages: str) -> str:
        return self.run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages)

    def files(self) -> set[str]:
        """All paths but those where the package manager keeps its books, and those of the running system."""
        books = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log/apt", "tmp", "proc", "sys", "dev", "run", "srv")
        found = set()
        for folder, folders, names in os.walk(self.path):
            here = os.path.relpath(folder, self.path)
            folders[:] = [name for name in folders if os.path.normpath(f"{here}/{name}") not in books]
            found |= {os.path.normpath(f"{here}/{name}") for name in (*folders, *names)}
        return found


@contextmanager
def fresh(base: Path, cache: Path) -> Iterator[Root]:
    """An overlay over `base`, with /proc, /dev and downloads kept in `cache`; gone in the end."""
    bootstrap(base)
    (cache / "partial").mkdir(parents=True, exist_ok=True)
    top = Path(tempfile.mkdtemp(prefix="openkline-root-"))
    run("mount", "-t", "tmpfs", "tmpfs", top)
    try:
        for name in ("upper", "work", "root"):
            (top / name).mkdir()
        root = top / "root"
        layers = f"lowerdir={base},upperdir={top}/upper,workdir={top}/work"
        run("mount", "-t", "overlay", "overlay", "-o", layers, root)
        run("mount", "-t", "proc", "proc", root / "proc")
        run("mount", "--bind", cache, root / "var/cache/apt/archives")
        _devices(root / "dev")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        yield Root(root)
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", top], check=False)
        top.rmdir()


def _devices(dev: Path) -> None:
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", dev)
    for name, minor in _DEVICES:
        run("mknod", "-m", "666", dev / name, "c", "1", str(minor))
    run("mknod", "-m", "666", dev / "tty", "c", "5", "0")
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    run("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=666,mode=620,gid=5", "devpts", dev / "pts")
    (dev / "ptmx").symlink_to("pts/ptmx")
