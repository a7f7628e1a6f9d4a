"""Requests a second through the ELM327 beside those of `openkline obd live`, on the same virtual car, in real time.

The ELM327's client waits for each prompt before it asks again; `live` has its next request ready on the board.
With the number of answers (010C1, as python-OBD and most apps ask) the ELM327 ends with the answer, without it after
the silence that could hold another ECU's.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

COMMAND = (sys.executable, "-m", "openkline")
ROUNDS = 60


def live(car: str) -> float:
    """Requests a second of `obd live` with one value: a round is a request."""
    words = ("obd", "live", "-d", "sim", "--car", car, "--json", "-n", str(ROUNDS + 1), "RPM")
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        times = [time.monotonic() for line in process.stdout if b"RPM" in line]
    assert len(times) == ROUNDS + 1
    return ROUNDS / (times[-1] - times[0])


@contextlib.contextmanager
def elm(car: str) -> Iterator[Callable[[str], bytes]]:
    words = ("elm327", "-d", "sim", "--car", car, "--listen", "127.0.0.1:0")
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = 0
        while not port:
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
            port = int(found[1]) if found else 0
        with socket.create_connection(("127.0.0.1", port), 20) as sock:

            def ask(line: str) -> bytes:
                sock.sendall(line.encode() + b"\r")
                got = b""
                while not got.endswith(b">"):
                    got += sock.recv(4096)
                return got

            yield ask
    finally:
        process.terminate()
        process.communicate(timeout=20)


def through_elm(car: str, request: str) -> float:
    with elm(car) as ask:
        ask("ATE0")
        assert b"41 00" in ask("0100")
        ask(request)
        begun_s = time.monotonic()
        for _ in range(ROUNDS):
            assert b"41 0C" in ask(request)
        return ROUNDS / (time.monotonic() - begun_s)


@pytest.mark.parametrize("car", ["iso9141", "kwp_slow"])
def test_requests_a_second(car: str) -> None:
    direct = live(car)
    for request in ("010C1", "010C"):
        rate = through_elm(car, request)
        print(f"{car:8} {request:5}: {rate:5.2f} a second, obd live {direct:5.2f}: {rate / direct:.1%}")
        assert rate >= 0.9 * direct
