"""The service's unit under a systemd of its own, started in namespaces: with its user, its sandbox, its watchdog.

That systemd has its own processes, mounts, network, host name and a cgroup below ours; /sys and /proc/sys are read-only
for it, and it may neither load modules nor set the clock. All of it ends with the test.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from build_deb import CONFIG
from debian_root import CannotRun, Root, run

NAME = "openkline-bridge.service"
OVERRIDE = f"run/systemd/system/{NAME}.d/test.conf"
WATCHDOG_S = 3

BOOT = r"""
echo $$ > "$1/cgroup.procs"
exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child sh -ec '
mount --make-rprivate /
mount -t proc proc "$0/proc"
mount --bind "$0/proc/sys" "$0/proc/sys"
mount -o remount,bind,ro "$0/proc/sys"
mount -t sysfs -o ro sysfs "$0/sys"
mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
mount -t tmpfs tmpfs "$0/run"
cd "$0"
mkdir -p .old
pivot_root . .old
umount -l /.old
exec setpriv --bounding-set -sys_module,-sys_time,-sys_rawio,-syslog \
    env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init --show-status=no
' "$0"
"""
TALK = """
import socket
with socket.create_connection(("127.0.0.1", 4287), timeout=10) as client:
    client.sendall(bytes.fromhex("6869000000000000"))
    print(client.recv(8).hex(" "))
"""


def until(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {timeout_s} s in vain: {what}"
        time.sleep(0.1)


def cgroup_mount() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        words = line.split()
        if words[2] == "cgroup2" and "rw" in words[3].split(","):
            return Path(words[1])
    raise CannotRun("no cgroup2 that could be written to: no systemd can be started")


class Machine:
    """The booted root. with Machine(root) as machine: machine.run("systemctl", ..)"""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.cgroup = cgroup_mount() / f"openkline-test-{os.getpid()}"
        self.init = 0

    def __enter__(self) -> Machine:
        try:
            self.cgroup.mkdir()
        except OSError as error:
            raise CannotRun(f"no cgroup for a systemd ({error})") from error
        words = ["sh", "-ec", BOOT, str(self.root.path), str(self.cgroup)]
        self.log = (self.root / "srv/boot.log").open("w+")
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")

        def is_up() -> bool:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise CannotRun(f"systemd can't be started in a namespace here: {self.log.read()[-300:].strip()}")
            self.init = int((children.read_text().split() or ["0"])[0])
            state = ""
            if self.init and Path(f"/proc/{self.init}/exe").readlink().name == "systemd":
                state = self.ask("systemctl", "is-system-running")
            return state in ("running", "degraded")

        until(is_up, "systemd is up")

    def __exit__(self, *_: object) -> None:
        self.process.kill()  # unshare --kill-child: its systemd, and with that all of its processes, go too
        self.process.wait()
        for folder in sorted(self.cgroup.rglob("*"), reverse=True):
            if folder.is_dir():
                _remove(folder)
        _remove(self.cgroup)
        self.log.close()

    def words(self, *words: str) -> list[str]:
        return ["nsenter", "--target", str(self.init), "--all", *words]

    def run(self, *words: str) -> str:
        return run(*self.words(*words)).strip()

    def ask(self, *words: str) -> str:
        """What it prints, whatever its exit status."""
        done = subprocess.run(self.words(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.stdout.strip()

    def show(self, name: str) -> str:
        return self.run("systemctl", "show", "--property", name, "--value", NAME)

    def hello(self) -> str:
        return run("nsenter", "--target", str(self.init), "--net", sys.executable, "-c", TALK).strip()


def _remove(cgroup: Path) -> None:
    """Its last process may be on its way out still."""

    def is_gone() -> bool:
        try:
            cgroup.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    until(is_gone, f"{cgroup} is empty", 10)


def prepare(root: Root) -> None:
    root.install("systemd-sysv", "/srv/openkline.deb")
    assert not list((root / "etc/systemd/system").rglob("openkline*")), "enabled by installing"
    config = (root / CONFIG).read_text()
    config = (
        config.replace('device = "auto"', 'device = "sim"').replace("level = 0", "level = 4").replace("# file", "file")
    )
    (root / CONFIG).write_text(config)
    said = root.run("systemd-analyze", "verify", NAME)
    assert "openkline" not in said, said


def under_systemd(root: Root) -> None:
    prepare(root)
    with Machine(root) as machine:
        assert machine.ask("systemctl", "is-active", NAME) == "inactive", "started by installing"
        override = f"[Service]\nWatchdogSec={WATCHDOG_S}\n"
        machine.run("sh", "-c", f"mkdir -p /{Path(OVERRIDE).parent}; printf %s {shlex.quote(override)} > /{OVERRIDE}")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", NAME)  # returns after READY=1
        started(machine)
        reloaded(machine)
        restarted(machine)
        upgraded(machine)
        ended(machine)
        purged(machine)


def started(machine: Machine) -> None:
    answer = machine.hello()
    assert answer.startswith("63 74"), answer
    until(lambda: "ready" in machine.show("StatusText"), "the status line says that the board is there")
    status = machine.run("cat", f"/proc/{machine.show('MainPID')}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(facts["Uid"].split()[0]) >= 60000, facts["Uid"]  # systemd's range for DynamicUser
    dialout = machine.run("getent", "group", "dialout").split(":")[2]
    assert dialout in facts["Groups"].split(), facts["Groups"]
    assert int(facts["CapBnd"], 16) == 0 and facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2", facts
    until(lambda: log_size(machine) > 0, "frames are in the log file")
    security = machine.run("systemd-analyze", "security", NAME).splitlines()[-1]
    print(f"  started, Connect {answer}, status line: {machine.show('StatusText')}")
    print(f"  user {facts['Uid'].split()[0]}, no capabilities, system calls filtered; {security.strip(' →🙂')}")


def log_size(machine: Machine, name: str = "ibus.log") -> int:
    return int(machine.ask("stat", "--dereference", "--format", "%s", f"/var/log/openkline/{name}") or 0)


def reloaded(machine: Machine) -> None:
    machine.run("mv", "/var/log/openkline/ibus.log", "/var/log/openkline/ibus.log.old")
    machine.run("systemctl", "reload", NAME)
    until(lambda: log_size(machine) > 0, "a new log file after reload")
    print("  reload: the log file is a new one")


def restarted(machine: Machine) -> None:
    """A daemon that is killed, and one that hangs, are started again; one that is well stays."""
    pid = machine.show("MainPID")
    time.sleep(2 * WATCHDOG_S)
    assert machine.show("MainPID") == pid, "restarted although it was well"
    for what, number in (("killed", "KILL"), ("hanging", "STOP")):
        before, begun_s = machine.show("MainPID"), time.monotonic()
        machine.run("systemctl", "kill", "--kill-whom=main", f"--signal={number}", NAME)
        until(lambda b=before: machine.show("MainPID") not in ("0", b), f"a new process after {what}")  # type: ignore[misc]
        until(lambda: machine.show("SubState") == "running", "it runs again")
        assert machine.hello().startswith("63 74")
        print(f"  {what}: serves again after {time.monotonic() - begun_s:.1f} s")
    assert machine.show("NRestarts") == "2", machine.show("NRestarts")


def upgraded(machine: Machine) -> None:
    """Installing over a running service restarts it, with the settings that the administrator has changed."""
    before, settings = machine.show("MainPID"), (machine.root / CONFIG).read_text()
    machine.run("dpkg", "--install", "/srv/openkline.deb")
    assert machine.show("MainPID") not in ("0", before), "the old program still runs"
    assert machine.hello().startswith("63 74")
    assert (machine.root / CONFIG).read_text() == settings
    print("  upgraded while running: the new one serves")


def ended(machine: Machine) -> None:
    machine.run("systemctl", "stop", NAME)
    result, status = machine.show("Result"), machine.show("ExecMainStatus")
    assert (result, status) == ("success", "0"), (result, status)
    settings = (machine.root / CONFIG).read_text()
    (machine.root / CONFIG).write_text("level = 9\n")
    machine.run("sh", "-c", f"! systemctl start {NAME}")
    until(lambda: machine.show("ActiveState") == "failed", "wrong settings end it")
    assert machine.show("ExecMainStatus") == "2", machine.show("ExecMainStatus")
    (machine.root / CONFIG).write_text(settings)
    print("  stop: status 0; wrong settings: status 2, and no second try")


def purged(machine: Machine) -> None:
    """With the service enabled and running."""
    machine.run("systemctl", "enable", "--now", NAME)
    assert (machine.root / f"etc/systemd/system/multi-user.target.wants/{NAME}").is_symlink()
    pid = machine.show("MainPID")
    machine.run("dpkg", "--purge", "openkline")
    assert not machine.ask("sh", "-c", f"ls -d /proc/{pid}"), "it still runs"
    assert machine.show("LoadState") == "not-found", machine.show("LoadState")
    left = [path for path in machine.root.files() if "openkline" in path]
    assert not left, f"left behind: {left}"
    print("  purged while running: stopped, left behind: nothing")
