"""Builds openkline's Debian package: python build_deb.py OUTPUT_FOLDER [--work FOLDER]

The package carries openkline with all its Python dependencies in /usr/lib/openkline, for the system's own python3 of
the same minor version as the Python that builds it (the dependencies have compiled parts). Needs dpkg-deb and a network
to the package index; no debhelper. Built twice from one commit and the same dependencies it is the same file: times are
those of the commit ($SOURCE_DATE_EPOCH wins), and nothing in it names the place where it was built.
"""

from __future__ import annotations

import argparse
import email.message
import email.parser
import email.utils
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import build_pages

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIB = "usr/lib/openkline"
UNIT = "usr/lib/systemd/system/openkline-bridge.service"
CONFIG = "etc/openkline/bridge.toml"

# Debian's packages of the libraries that compiled parts of Python packages may need.
LIBRARIES = {"libgcc_s.so.1": "libgcc-s1", "libstdc++.so.6": "libstdc++6"}
# Installer's notes: where from, by which program, and sums of files whose text names the building computer's Python.
NOTES = ("direct_url.json", "RECORD", "INSTALLER", "REQUESTED")


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def version() -> str:
    found = re.search(r'^VERSION = "([^"]+)"', (ROOT / "firmware/kline/version.py").read_text(), re.MULTILINE)
    if found is None:
        sys.exit("build_deb: firmware/kline/version.py has no VERSION")
    return found.group(1)


def install_python(lib: Path) -> None:
    """openkline and what it needs, as pip would install it, without what would differ elsewhere."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--target", str(lib), str(ROOT)], check=True)
    shutil.rmtree(lib / "bin", ignore_errors=True)
    for note in NOTES:
        for path in lib.glob(f"*.dist-info/{note}"):
            path.unlink()
    for cache in list(lib.rglob("__pycache__")):
        shutil.rmtree(cache)
    write(lib / "bin/micropython", (HERE / "debian/micropython").read_text(), 0o755)


def bundled(lib: Path) -> list[email.message.Message]:
    """METADATA of each Python package in there, by name."""
    found = [email.parser.Parser().parsestr(path.read_text()) for path in lib.glob("*.dist-info/METADATA")]
    return sorted(found, key=lambda metadata: str(metadata["Name"]).lower())


def licence(metadata: email.message.Message) -> str:
    """One line: the licence's name as the package itself says it, or where to look."""
    given = metadata["License-Expression"] or metadata["License"] or ""
    first = str(given).strip().split("\n")[0].strip()
    classifiers = [str(line).split(" :: ")[-1] for line in metadata.get_all("Classifier", []) if "License ::" in line]
    return first if 0 < len(first) < 60 else ", ".join(classifiers) or "see its own files"


def copyright_text(packages: list[email.message.Message]) -> str:
    lines = [
        "openkline, and in /usr/lib/openkline the Python packages that it needs, unchanged.",
        "",
        (ROOT / "LICENSE").read_text().rstrip(),
        "",
        "The Python packages, each under its own licence; full texts are in their folders",
        "/usr/lib/openkline/*.dist-info. esptool is a program of its own that openkline starts;",
        "its licence, the GPL 2, is also /usr/share/common-licenses/GPL-2.",
        "",
    ]
    lines += [f"  {p['Name']} {p['Version']}: {licence(p)}" for p in packages if p["Name"] != "openkline"]
    return "\n".join(lines) + "\n"


def write_documents(doc: Path, lib: Path, epoch: int) -> None:
    write(doc / "README.md", (ROOT / "README.md").read_text())
    write(doc / "NEWS.md", (ROOT / "CHANGELOG.md").read_text())
    write(doc / "copyright", copyright_text(bundled(lib)))
    for page in sorted((ROOT / "docs").glob("*.md")):
        write(doc / "docs" / page.name, page.read_text())
    maintainer = re.search(r"^Maintainer: (.*)$", (HERE / "debian/control.in").read_text(), re.MULTILINE)
    assert maintainer is not None
    changelog = (
        f"openkline ({version()}) stable; urgency=low\n\n  * See NEWS.md.\n\n"
        f" -- {maintainer.group(1)}  {email.utils.formatdate(epoch)}\n"
    )
    (doc / "changelog.gz").write_bytes(gzip.compress(changelog.encode(), 9, mtime=0))


def elf_files(lib: Path) -> list[bytes]:
    files = [path.read_bytes() for path in sorted(lib.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [data for data in files if data[:4] == b"\x7fELF"]


def depends(elves: list[bytes]) -> str:
    """This Python's minor version, the newest C library that compiled parts name, and their other libraries."""
    major, minor = sys.version_info[:2]
    wanted = [f"python3 (>= {major}.{minor})", f"python3 (<< {major}.{minor + 1})"]
    versions = [int(found) for data in elves for found in re.findall(rb"\0GLIBC_2\.(\d+)(?=[.\0])", data)]
    if versions:
        wanted.append(f"libc6 (>= 2.{max(versions)})")
    wanted += [package for name, package in LIBRARIES.items() if any(b"\0%b\0" % name.encode() in d for d in elves)]
    return ", ".join(wanted)


def control(size_kib: int, wanted: str) -> str:
    text = (HERE / "debian/control.in").read_text()
    architecture = run("dpkg", "--print-architecture")
    values = {"VERSION": version(), "ARCHITECTURE": architecture, "SIZE": str(size_kib), "DEPENDS": wanted}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def fill(root: Path, epoch: int) -> None:
    """Put all files of the package below root."""
    lib = root / LIB
    install_python(lib)
    write(root / "usr/bin/openkline", (HERE / "debian/openkline").read_text(), 0o755)
    write(root / UNIT, (HERE / "openkline-bridge.service").read_text())
    write(root / CONFIG, (HERE / "bridge.toml").read_text())
    write_documents(root / "usr/share/doc/openkline", lib, epoch)
    build_pages.build(root / "usr/share", epoch)
    write(root / "usr/share/lintian/overrides/openkline", (HERE / "debian/lintian-overrides").read_text())
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files]
    debian = root / "DEBIAN"
    write(debian / "control", control(sum(path.stat().st_size for path in files) // 1024, depends(elf_files(lib))))
    write(debian / "conffiles", f"/{CONFIG}\n")
    write(debian / "md5sums", "".join(line for line in sums if CONFIG not in line))
    for name in ("postinst", "prerm", "postrm"):
        write(debian / name, (HERE / "debian" / name).read_text(), 0o755)


def make_alike(root: Path, epoch: int) -> None:
    """Modes that don't depend on who builds, times of the commit."""
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (epoch, epoch))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="folder for the .deb")
    parser.add_argument("--work", type=Path, default=ROOT / "build/deb", help="scratch folder (build/deb)")
    options = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.exit("build_deb: dpkg-deb is missing; this needs Debian, or one of its kin")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch)
    root = options.work / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    fill(root, epoch)
    make_alike(root, epoch)
    options.output.mkdir(parents=True, exist_ok=True)
    for old in options.output.glob("openkline_*.deb"):
        old.unlink()
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, options.output)
    print(*options.output.glob("openkline_*.deb"))


if __name__ == "__main__":
    main()
