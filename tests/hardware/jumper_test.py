"""Measures on a board with one wire from TX to RX and prints one table. See README.md here.

.venv/bin/pytest tests/hardware --device /dev/ttyUSB0 [--pins 16,17,4] -s
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial  # pyserial comes with mpremote

PROBE = Path(__file__).with_name("board_probe.py")
IDENTIFY = """
import sys, machine
print("board", sys.implementation, machine.freq() // 1000000, "MHz", sep="\\t")
"""
# Seen on the virtual board as 0; anything else on a board is worth a look before it goes near a car.
MUST_BE_ZERO = (
    "byte values that came back wrong",
    "edges when constructed on spare",
    "windows that were not silent",
    "pad not quiet after the release, of 10",
    "wrong echoes after it, of 10",
)


@pytest.fixture
def port(request: pytest.FixtureRequest) -> str:
    device: str | None = request.config.getoption("--device")
    if not device:
        pytest.skip("needs a board with a wire from TX to RX: --device PORT")
    return device


@pytest.fixture
def pins(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    rx, tx, spare = map(int, request.config.getoption("--pins").split(","))
    return rx, tx, spare


def to_the_prompt(port: str, patience_s: float = 6.0) -> None:
    """Reset the board by its RTS line and press Ctrl-C until MicroPython's prompt shows."""
    with serial.Serial(port, 115200, timeout=0.1) as line:
        line.dtr = False
        line.rts = True
        time.sleep(0.1)  # the reset line's RC wants its time; no condition to wait for
        line.rts = False
        seen = b""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            line.write(b"\x03")
            seen = (seen + line.read(256))[-1000:]
            if seen.endswith(b">>> "):
                return
    pytest.fail(f"no MicroPython prompt on {port}; last seen: {seen!r}. Press the board's reset and try again.")


def run_probe(port: str, pins: tuple[int, int, int], folder: Path) -> list[list[str]]:
    script = folder / "probe.py"
    rx, tx, spare = pins
    script.write_text(f"{IDENTIFY}\n{PROBE.read_text()}\nprobe(rx={rx}, tx={tx}, spare={spare})\n")
    command = [sys.executable, "-m", "mpremote", "connect", port, "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.fail(f"the probe stopped:\n{done.stdout}{done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]


def table(rows: list[list[str]]) -> str:
    """The rows as Markdown, which any issue tracker shows as a table."""
    lines = ["| stage | what | value | expected |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join((row + [''] * 4)[:4])} |" for row in rows])


def test_probe(port: str, pins: tuple[int, int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to_the_prompt(port)
    rows = run_probe(port, pins, tmp_path)
    with capsys.disabled():
        print("\n\nPlease send in this table:\n\n" + table(rows) + "\n")
    assert rows[-1][0] == "done"
    assert [row for row in rows if row[1] in MUST_BE_ZERO and row[2] != "0"] == []
