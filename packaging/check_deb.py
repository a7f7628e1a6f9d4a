"""Installs the .deb in a clean Debian root and starts the daemon there: python check_deb.py FILE.deb [--root FOLDER]

Needs root (for chroot) and Debian's debootstrap; the packages come from where this computer's apt gets them. What is
checked: the package installs with its dependencies, `openkline --version` works, the daemon of the unit's ExecStart
says READY=1 and serves Hello and Connect, SIGTERM ends it with status 0, and purging leaves nothing behind. systemd
itself does not run there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HELLO = bytes.fromhex("6869000000000000")
SUITE = "bookworm"
PORT = 14287
UNIT = "lib/systemd/system/openkline-bridge.service"


def chroot(root: Path, *words: str) -> str:
    done = subprocess.run(["chroot", str(root), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"check_deb: {' '.join(words)} failed with {done.returncode}:\n{done.stdout}")
    return done.stdout


def bootstrap(root: Path) -> None:
    """A minimal Debian with its own python3, kept for the next time."""
    if (root / "usr/bin/python3").exists():
        return
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    sites = [site for site, release in (line.split() for line in lines) if release == SUITE]
    if not sites:
        sys.exit(f"check_deb: this computer's apt has no source of Debian {SUITE}")
    words = ["debootstrap", "--variant=minbase", "--include=python3", SUITE, str(root), sites[0]]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def exec_start(root: Path) -> list[str]:
    """The unit's own command, on the virtual board and another TCP port."""
    for line in (root / UNIT).read_text().splitlines():
        if line.startswith("ExecStart="):
            return [*line.removeprefix("ExecStart=").split(), "-d", "sim", "-p", str(PORT)]
    sys.exit("check_deb: the unit has no ExecStart")


def serve(root: Path) -> None:
    notify = root / "run/notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(notify))
        sock.settimeout(60)
        env = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": "/run/notify", "HOME": "/tmp", "TMPDIR": "/tmp"}
        chroot_program = shutil.which("chroot") or "/usr/sbin/chroot"
        daemon = subprocess.Popen([chroot_program, str(root), *exec_start(root)], env=env, stdout=subprocess.DEVNULL)
        try:
            said = sock.recv(1000)
            assert b"READY=1" in said, said
            print("ready:", said.decode())
            with socket.create_connection(("127.0.0.1", PORT), timeout=10) as client:
                client.sendall(HELLO)
                answer = client.recv(8)
            assert answer[:2] == b"ct", answer
            print("Connect:", answer.hex(" "))
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0, daemon.returncode
            print("ended by SIGTERM with status 0")
        finally:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()
    notify.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deb", type=Path)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1] / "build/debian-root")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("check_deb: needs root (try sudo) and debootstrap (apt-get install debootstrap)")
    root = options.root.resolve()
    begun_s = time.monotonic()
    bootstrap(root)
    if not (root / "dev/urandom").exists():
        subprocess.run(["mknod", "-m", "666", str(root / "dev/urandom"), "c", "1", "9"], check=True)
    shutil.copy(options.deb, root / "tmp/openkline.deb")
    kinds = (("devpts", "dev/pts"), ("proc", "proc"))
    mounts = [["mount", "-t", kind, kind, str(root / folder)] for kind, folder in kinds]
    for words in mounts:
        subprocess.run(words, check=True)
    try:
        chroot(root, "dpkg", "--install", "/tmp/openkline.deb")
        print(chroot(root, "openkline", "--version").strip())
        chroot(root, "openkline", "bridge", "--config", "/etc/openkline/bridge.toml", "--check-config")
        serve(root)
        chroot(root, "dpkg", "--purge", "openkline")
        ours = ("usr/lib/openkline", "etc/openkline", UNIT, "usr/bin/openkline")
        left = [path for path in ours if (root / path).exists()]
        assert not left, f"left behind: {left}"
    finally:
        for words in reversed(mounts):
            subprocess.run(["umount", words[-1]], check=False)
    print(f"1 passed, 0 failed in {time.monotonic() - begun_s:.0f} s")


if __name__ == "__main__":
    main()
