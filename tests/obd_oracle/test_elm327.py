"""python-OBD, the real package, as the user of `openkline elm327` on the virtual cars: over TCP and over the pty.

Each test has a daemon of its own (the project's .venv; $OPENKLINE names another program), so that they can run side by
side. The freeze frame is not asked here: python-OBD asks without a number of the frame (tests/e2e/test_elm.py does it).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

obd = pytest.importorskip("obd", reason="python-OBD lives in an environment of its own: make test-obd")
ROOT = Path(__file__).parents[2]
PROGRAM = os.environ.get("OPENKLINE") or str(ROOT / ".venv" / "bin" / "openkline")
VIN = "1M8GDM9AXKP042788"


class Daemon:
    """`openkline elm327`: .url for python-OBD, .pty its path, .said what it wrote to stderr."""

    def __init__(self, car: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, "elm327", "-d", "sim", "--car", car, "--listen", "127.0.0.1:0", "--pty"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.pty = self.process.stdout.readline().strip()
        wait_for(lambda: any("Ctrl-C" in line for line in self.said), 30)
        found = re.search(r"127\.0\.0\.1:(\d+)", "".join(self.said))
        assert found is not None, self.said
        self.url = f"socket://127.0.0.1:{found[1]}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)

    def reset_board(self) -> None:
        """The virtual board dies, as if it had been unplugged, and is back soon."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(20) == 0
        finally:
            self.process.kill()
        self._reader.join(10)
        assert not any("Traceback" in line for line in self.said), "".join(self.said)


@contextmanager
def daemon(car: str) -> Iterator[Daemon]:
    running = Daemon(car)
    try:
        yield running
    finally:
        running.end()


def wait_for(condition: Callable[[], Any], timeout_s: float) -> Any:
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s, "the condition did not come true"
        time.sleep(0.02)
    return found


def value(connection: Any, name: str) -> Any:
    answer = connection.query(obd.commands[name], force=True)
    return None if answer.is_null() else getattr(answer.value, "magnitude", answer.value)


def watch(elm: Daemon, seconds: float) -> dict[str, list[Any]]:
    """Five PIDs in asynchronous mode for so long: what came, by name."""
    names = ("RPM", "SPEED", "COOLANT_TEMP", "ENGINE_LOAD", "THROTTLE_POS")
    got: dict[str, list[Any]] = {name: [] for name in names}
    connection = obd.Async(elm.url, protocol="5", timeout=1)
    try:
        assert connection.status() == obd.OBDStatus.CAR_CONNECTED, elm.said
        for name in names:
            connection.watch(obd.commands[name], callback=lambda answer, name=name: got[name].append(answer.value))
        connection.start()
        time.sleep(seconds)  # what it is asked for: so much time of watching
        connection.stop()
    finally:
        connection.close()
    return got


def check_watched(got: dict[str, list[Any]], seconds: float) -> None:
    counts = {name: len(values) for name, values in got.items()}
    # P3min, request, P2, answer: about 0.13 s each; python-OBD itself is not fast.
    assert min(counts.values()) >= seconds / (5 * 0.3), counts
    assert max(counts.values()) - min(counts.values()) <= 1, counts
    lost = sum(value is None for values in got.values() for value in values)
    assert lost <= sum(counts.values()) // 500, (lost, counts)
    assert len({value.magnitude for value in got["RPM"] if value is not None}) > 1


@pytest.mark.soak
def test_asynchronous_mode_for_minutes() -> None:
    with daemon("kwp_fast") as elm:
        check_watched(watch(elm, 300), 300)


def check_car(car: str, by_tcp: str | None, by_pty: str, found: str, rpm: range, codes: list[str]) -> None:
    """by_tcp, by_pty: the protocol that python-OBD is told (None: automatic); found: the one that it finds."""
    with daemon(car) as elm:
        for port, protocol in ((elm.url, by_tcp), (elm.pty, by_pty)):
            connection = obd.OBD(port, protocol=protocol, fast=port == elm.url, timeout=1)
            try:
                assert connection.status() == obd.OBDStatus.CAR_CONNECTED, elm.said
                assert connection.protocol_id() == found
                names = {command.name for command in connection.supported_commands}
                assert {"RPM", "SPEED", "COOLANT_TEMP", "ENGINE_LOAD", "GET_DTC"} <= names, names
                assert value(connection, "RPM") in rpm
                assert 0 <= value(connection, "SPEED") <= 70
                assert 30 <= value(connection, "COOLANT_TEMP") <= 90
                assert 11 < value(connection, "ELM_VOLTAGE") < 15
                # Its text loses digits 0, 1, 2 at both ends: it strips them like padding. The bytes are right.
                vin = connection.query(obd.commands.VIN, force=True)
                assert bytes(vin.messages[0].data).strip(b"\0").endswith(VIN.encode()), vin.messages[0].data
                assert VIN.lstrip("012") == vin.value.decode()
                assert sorted(code for code, _ in value(connection, "GET_DTC")) == (codes if port == elm.url else [])
                if port == elm.url:  # it drops the answers, as they carry no data; the next one sees the effect
                    connection.query(obd.commands.CLEAR_DTC, force=True)
            finally:
                connection.close()


# Three processes of xdist begin with two tests each, in this order: the long ones in pairs, the longest
# beside a short one.


def test_ignition_off_and_unplugging_are_survived(tmp_path: Path) -> None:
    script = "".join(re.sub(r"//.*", "", line) for line in (ROOT / "boards/SIM/cars/kwp_fast.json").open())
    car = json.loads(script)
    car["events"] = [{"at_s": 9, "ignition": False}, {"at_s": 13, "ignition": True}]
    path = tmp_path / "car.json"
    path.write_text(json.dumps(car))
    with daemon(str(path)) as elm:
        connection = obd.OBD(elm.url, protocol="5", timeout=1)
        try:
            assert value(connection, "RPM") is not None
            wait_for(lambda: value(connection, "RPM") is None, 20)
            wait_for(lambda: value(connection, "RPM") is not None, 30)
            elm.reset_board()
            wait_for(lambda: value(connection, "RPM") is None, 10)
            wait_for(lambda: value(connection, "RPM") is not None, 30)
            assert connection.status() == obd.OBDStatus.CAR_CONNECTED
            # Low power is acknowledged without a prompt, and left with a byte: then it begins anew.
            assert connection.interface.low_power() == ["OK"]
            assert connection.interface.normal_power() == ["ELM327 v1.5"]
        finally:
            connection.close()


def test_frames_that_come_late() -> None:
    """60 ms apart: the VIN is whole, and no later request gets a part of it."""
    with daemon(str(ROOT / "tests/vectors/vin_frames_60ms_late.json")) as elm:
        connection = obd.OBD(elm.url, protocol="5", timeout=1)
        try:
            for _ in range(3):
                vin = connection.query(obd.commands.VIN, force=True)
                assert bytes(vin.messages[0].data).strip(b"\0").endswith(VIN.encode()), vin.messages[0].data
                assert value(connection, "RPM") == 840
                assert value(connection, "SPEED") == 57
        finally:
            connection.close()


def test_kwp_with_fast_initialisation() -> None:
    check_car("kwp_fast", "5", "5", "5", range(840, 2300), ["P0133", "P0720"])


def test_iso_9141() -> None:
    check_car("iso9141", None, "3", "3", range(800, 3100), ["P0133", "P0301"])


def test_kwp_with_slow_initialisation() -> None:
    check_car("kwp_slow", None, "4", "4", range(840, 841), ["P0420", "P0442", "P0455", "U0100"])


def test_asynchronous_mode() -> None:
    with daemon("kwp_fast") as elm:
        check_watched(watch(elm, 20), 20)
