"""What systemd would hear, on a socket like its own; and that a bridge which is not well falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openkline.bridge.bridge import Bridge, BridgeSettings
from openkline.bridge.notify import SystemdNotifier, notify, status_line, watchdog_s
from openkline.bus import BusFrame
from openkline.device.state import State
from openkline.gateway.options import GatewayOptions
from openkline.log.files import FrameLog, LogFile

from .fake_device import FAST, FakePort, frames, until

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(name)
        self.sock.setblocking(False)
        self.heard: list[str] = []

    def lines(self) -> list[str]:
        """All so far, datagrams split."""
        try:
            while True:
                self.heard += self.sock.recv(4096).decode().split("\n")
        except BlockingIOError:
            return self.heard


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    path = tmp_path / "notify"
    manager = Manager(str(path))
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    yield manager
    manager.sock.close()


def test_lines_of_one_call_are_one_datagram(manager: Manager) -> None:
    assert notify("READY=1", status_line("two\nlines "))
    assert manager.sock.recv(100) == b"READY=1\nSTATUS=two lines"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="abstract sockets are Linux's")
def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"openkline-test-{os.getpid()}"
    abstract = Manager("\0" + name)
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
    assert notify("READY=1")
    assert abstract.lines() == ["READY=1"]
    abstract.sock.close()


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234", "/nobody/there", "/" + "x" * 300])
def test_nobody_to_tell_is_no_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify("READY=1")


def test_without_unix_sockets_nothing_happens(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    assert not notify("READY=1")
    assert manager.lines() == []


def test_a_manager_that_does_not_read_does_not_block_us(manager: Manager) -> None:
    began_s = time.monotonic()
    told = [notify("STATUS=" + "x" * 1000) for _ in range(2000)]
    assert not told[-1]
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("environment", "period_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "me"}, None),
    ],
)
def test_the_watchdogs_period(environment: dict[str, str], period_s: float | None) -> None:
    assert watchdog_s(environment) == period_s


async def test_well_then_in_trouble_then_well(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    trouble = ""
    systemd = SystemdNotifier(lambda: trouble, lambda: "one client")
    systemd.start()
    await until(lambda: manager.lines().count("WATCHDOG=1") >= 3)
    assert manager.heard[:2] == ["READY=1", "STATUS=one client"]
    assert manager.heard.count("STATUS=one client") == 1  # told when it changes
    trouble = "the log's thread has ended"
    await until(lambda: "STATUS=" + trouble in manager.lines())
    pets = manager.lines().count("WATCHDOG=1")
    await asyncio.sleep(0.1)  # five periods: silence can't be waited for in any other way
    assert manager.lines().count("WATCHDOG=1") == pets
    trouble = ""
    await until(lambda: manager.lines().count("WATCHDOG=1") > pets)
    systemd.stop()
    pets = manager.lines().count("WATCHDOG=1")
    await asyncio.sleep(0.05)
    assert manager.lines()[-1] == "STOPPING=1"
    assert manager.heard.count("WATCHDOG=1") == pets


async def test_a_state_that_cannot_be_had_is_trouble(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")

    def broken() -> str:
        raise ZeroDivisionError

    systemd = SystemdNotifier(broken, lambda: "fine")
    systemd.start()
    await until(lambda: any("ZeroDivisionError" in line for line in manager.lines()))
    assert "WATCHDOG=1" not in manager.lines()
    systemd.stop()


async def test_a_loop_that_hangs_is_silent(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    systemd = SystemdNotifier(lambda: "", lambda: "")
    systemd.start()
    await until(lambda: "WATCHDOG=1" in manager.lines())
    pets = manager.heard.count("WATCHDOG=1")
    time.sleep(0.1)
    assert manager.lines().count("WATCHDOG=1") == pets
    await until(lambda: manager.lines().count("WATCHDOG=1") > pets)
    systemd.stop()


async def test_without_a_manager_there_is_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd = SystemdNotifier(lambda: "", lambda: "")
    systemd.start()
    assert systemd._timer is None
    systemd.stop()


def make_bridge(port: FakePort) -> Bridge:
    return Bridge(port, BridgeSettings(FAST, GatewayOptions(port=0)))


async def test_a_bridge_without_its_board_is_well_and_says_why_it_waits() -> None:
    port = FakePort()
    port.plugged = False
    bridge = make_bridge(port)
    assert bridge.trouble()  # not started: nothing listens
    await bridge.start()
    await bridge.device.wait_for(State.WAITING, timeout_s=10)
    assert bridge.trouble() == ""
    assert bridge.status_line() == f"fake: there is no such port; 0 clients on port {bridge.server.port}"
    port.plugged = True
    await bridge.device.wait_for(State.READY, timeout_s=10)
    assert bridge.status_line().startswith("fake: ready;")
    await bridge.close()
    assert "listen" in bridge.trouble()


async def test_a_connection_that_ended_by_our_own_error_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    port = FakePort()

    async def broken(factory: object) -> asyncio.WriteTransport:
        raise ZeroDivisionError

    monkeypatch.setattr(port, "connect", broken)
    bridge = make_bridge(port)
    await bridge.start()
    await until(lambda: "ZeroDivisionError" in bridge.trouble())
    with contextlib.suppress(ZeroDivisionError):
        await bridge.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_log_that_ended_by_our_own_error_is_trouble(tmp_path: Path) -> None:
    def broken(frame: BusFrame) -> bytes:
        raise ZeroDivisionError

    bridge = make_bridge(FakePort())
    bridge.add_log(FrameLog(LogFile(tmp_path / "log"), broken, "the file"))
    await bridge.start()
    assert bridge.trouble() == ""
    bridge.logs.writers[0](BusFrame(0.0, frames(1)[0]))
    await until(lambda: "the file" in bridge.trouble())
    await bridge.close()
