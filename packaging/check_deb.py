"""Installs the .deb in a clean Debian root and runs the daemon there: python check_deb.py FILE.deb [--keep FOLDER]

Needs root, debootstrap, and a network to where this computer's apt gets its packages. Two parts:

without systemd   apt installs the package with what it depends on; the unit's own command, on the virtual board, says
                  READY=1 and that it is well, serves Hello and Connect, ends by SIGTERM with status 0; purging leaves
                  nothing
under systemd     (check_unit.py) the unit itself in all its restrictions; skipped, and said so, where no systemd can
                  be started in a namespace

Exit status 0: passed (or a part skipped); 1: failed; 77: nothing could be tried, and why.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import check_unit
from build_deb import CONFIG, UNIT
from debian_root import ENVIRONMENT, CannotRun, Root, enter_namespace, fresh

BUILD = Path(__file__).resolve().parents[1] / "build"
HELLO = bytes.fromhex("6869000000000000")
NOTHING_TRIED = 77


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def exec_start(root: Root, port: int) -> list[str]:
    """The unit's own command, on the virtual board and another TCP port."""
    lines = [line for line in (root / UNIT).read_text().splitlines() if line.startswith("ExecStart=")]
    assert len(lines) == 1, lines
    return [*lines[0].removeprefix("ExecStart=").split(), "-d", "sim", "-p", str(port)]


def hear(sock: socket.socket, wanted: str) -> None:
    """Wait until the daemon has said it, as systemd would."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        said = sock.recv(4096).decode().split("\n")
        if wanted in said:
            return
    raise AssertionError(f"never heard {wanted}")


def hello(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(HELLO)
        return client.recv(8)


def serve(root: Root) -> None:
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(root / "run/notify"))
        manager.settimeout(60)
        told = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1000000"}
        words = [shutil.which("chroot") or "/usr/sbin/chroot", str(root.path), *exec_start(root, port)]
        daemon = subprocess.Popen(words, env=ENVIRONMENT | told, stdout=subprocess.DEVNULL)
        try:
            hear(manager, "READY=1")
            hear(manager, "WATCHDOG=1")
            answer = hello(port)
            assert answer[:2] == b"ct", answer
            print("  READY=1, WATCHDOG=1, Connect", answer.hex(" "))
            daemon.send_signal(signal.SIGTERM)
            hear(manager, "STOPPING=1")
            assert daemon.wait(20) == 0, daemon.returncode
            print("  SIGTERM: STOPPING=1, status 0")
        finally:
            daemon.kill()
            daemon.wait()


def without_systemd(root: Root) -> None:
    before = root.files()
    root.install("/srv/openkline.deb")
    assert not (root / "usr/bin/systemctl").exists()
    print(" ", root.run("openkline", "--version").strip())
    root.run("openkline", "bridge", "--config", f"/{CONFIG}", "--check-config")
    serve(root)
    root.run("apt-get", "purge", "--yes", "--quiet", "--autoremove", "openkline")
    left = sorted(root.files() - before)
    assert not any("openkline" in path or "kline" in path for path in left), left
    print(f"  purged; left behind: {', '.join(left) or 'nothing'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("deb", type=Path)
    parser.add_argument("--keep", type=Path, default=BUILD, help="where the Debian root and downloads are kept (build)")
    options = parser.parse_args()
    begun_s = time.monotonic()
    passed = skipped = 0
    try:
        enter_namespace()
        keep = options.keep.resolve()
        for name, part in (("without systemd", without_systemd), ("under systemd", check_unit.under_systemd)):
            with fresh(keep / "deb-root", keep / "deb-downloads") as root:
                print(f"{name}:", flush=True)
                shutil.copy(options.deb, root / "srv/openkline.deb")
                root.run("apt-get", "update", "--quiet")
                try:
                    part(root)
                    passed += 1
                except CannotRun as why:
                    print(f"  SKIPPED: {why}")
                    skipped += 1
    except CannotRun as why:
        print(f"check_deb: NOTHING TRIED: {why}", file=sys.stderr)
        return NOTHING_TRIED
    except (AssertionError, RuntimeError, OSError) as error:
        print(f"check_deb: FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{passed} passed, {skipped} skipped, 0 failed in {time.monotonic() - begun_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
