"""Builds openkline's Debian package: python build_deb.py OUTPUT_FOLDER [--work FOLDER]

The package carries openkline with all its Python dependencies in /usr/lib/openkline, for the system's own python3 of
the same minor version as the Python that builds it (the dependencies have compiled parts). Needs dpkg-deb and a network
to the package index. Times of files are those of the commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIB = "/usr/lib/openkline"

PROGRAM = f"""#!/usr/bin/python3
import os
import sys

sys.path.insert(0, "{LIB}")
os.environ.setdefault("MICROPYTHON", "{LIB}/bin/micropython")
from openkline.cli import main

sys.exit(main())
"""
MICROPYTHON = f"""#!/usr/bin/python3
import sys

sys.path.insert(0, "{LIB}")
from micropython import main

sys.exit(main())
"""
POSTINST = f"""#!/bin/sh
set -e
if [ "$1" = configure ]; then
    python3 -m compileall -q {LIB} >/dev/null 2>&1 || true
    if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
    if [ -z "$2" ]; then
        echo "openkline is installed; nothing runs yet. Without a board: openkline bridge -d sim"
        echo "With a board, as a service: systemctl enable --now openkline-bridge"
    elif [ -d /run/systemd/system ]; then
        systemctl try-restart openkline-bridge.service || true
    fi
fi
"""
PRERM = f"""#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop openkline-bridge.service || true; fi
find {LIB} -name __pycache__ -type d -prune -exec rm -rf {{}} + 2>/dev/null || true
"""
POSTRM = """#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
if [ "$1" = purge ]; then
    for folder in /var/lib /var/log; do rm -rf $folder/private/openkline $folder/openkline; done
fi
"""


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def control(version: str, size_kib: int) -> str:
    major, minor = sys.version_info[:2]
    return f"""Package: openkline
Version: {version}
Section: electronics
Priority: optional
Architecture: {run("dpkg", "--print-architecture")}
Maintainer: The openkline authors <maintainers@openkline.invalid>
Installed-Size: {size_kib}
Depends: python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})
Description: interface to a car's single-wire buses (BMW I/K-Bus, K-line)
 The PC side of openkline: a daemon that joins an ESP32 board to clients of the
 OpenBM gateway protocol, a bus logger, and tools. It also runs without a board,
 on a virtual one.
"""


def fill(root: Path) -> str:
    """Put all files of the package below root; returns the version."""
    lib = root / LIB[1:]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--target", str(lib), str(ROOT)], check=True)
    shutil.rmtree(lib / "bin", ignore_errors=True)
    # It names the folder that it was built in.
    for left_over in lib.glob("*.dist-info/direct_url.json"):
        left_over.unlink()
    for cache in list(lib.rglob("__pycache__")):
        shutil.rmtree(cache)
    write(lib / "bin/micropython", MICROPYTHON, 0o755)
    write(root / "usr/bin/openkline", PROGRAM, 0o755)
    write(root / "lib/systemd/system/openkline-bridge.service", (HERE / "openkline-bridge.service").read_text())
    write(root / "etc/openkline/bridge.toml", (HERE / "bridge.toml").read_text())
    doc = root / "usr/share/doc/openkline"
    write(doc / "README.md", (ROOT / "README.md").read_text())
    write(doc / "copyright", (ROOT / "LICENSE").read_text())
    for page in sorted((ROOT / "docs").glob("*.md")):
        write(doc / "docs" / page.name, page.read_text())
    namespace: dict[str, str] = {}
    exec((ROOT / "firmware/kline/version.py").read_text(), namespace)
    return namespace["VERSION"]


def same_times(root: Path, epoch: int) -> None:
    for path in (root, *root.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the .deb")
    parser.add_argument("--work", type=Path, default=ROOT / "build/deb", help="scratch folder (build/deb)")
    options = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.exit("build_deb: dpkg-deb is missing; this needs Debian, or one of its kin")
    root = options.work / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    version = fill(root)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    size_kib = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    write(root / "DEBIAN/control", control(version, size_kib))
    write(root / "DEBIAN/conffiles", "/etc/openkline/bridge.toml\n")
    for name, text in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
        write(root / "DEBIAN" / name, text, 0o755)
    same_times(root, epoch)
    options.output.mkdir(parents=True, exist_ok=True)
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, options.output)
    print(*sorted(options.output.glob(f"openkline_{version}_*.deb")))


if __name__ == "__main__":
    main()
