"""What Python costs on a board, beside what the virtual board believes. Not yet run on a board. See README.md here.

.venv/bin/pytest tests/hardware/cost_test.py --device /dev/ttyUSB0 -s
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.charging import ROOT, charged_firmware
from tests.conftest import micropython
from tests.hardware.jumper_test import IDENTIFY, to_the_prompt

PROBE = Path(__file__).with_name("cost_probe.py")
# The slots' modules are where main.py finds them.
PATH = "import sys\nsys.path[0:0] = ['a', 'b']\n"


def figures(said: str) -> dict[str, float]:
    """{what: microseconds} in the order of the lines."""
    rows = [line.split("\t") for line in said.splitlines() if line.count("\t") == 1]
    return {what: float(us) for what, us in rows}


def of_the_model(chip: str = "160") -> dict[str, float]:
    """The same probe on the virtual board."""
    path = [ROOT / "boards/SIM/port", ROOT / "boards/SIM", charged_firmware(ROOT / ".pytest_cache/charged")]
    done = subprocess.run(
        [micropython(), "-X", "heapsize=16M", "-c", "import sim; sim.World(); import cost_probe; cost_probe.probe()"],
        env=dict(os.environ, MICROPYPATH=":".join([*map(str, path), ".frozen"]), OPENKLINE_CHIP=chip),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return figures(done.stdout)


def of_the_board(port: str, spare: int, folder: Path) -> tuple[str, dict[str, float]]:
    """What board it is, and its figures."""
    script = folder / "probe.py"
    script.write_text(f"{IDENTIFY}\n{PATH}\n{PROBE.read_text()}\nprobe(spare={spare})\n")
    command = [sys.executable, "-m", "mpremote", "connect", port, "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.fail(f"the probe stopped:\n{done.stdout}{done.stderr}")
    board = next((line for line in done.stdout.splitlines() if line.startswith("board\t")), "")
    return board.replace("\t", " "), figures(done.stdout)


def table(model: dict[str, float], board: dict[str, float]) -> str:
    lines = ["| what | model us | board us | board / model |", "|---|---|---|---|"]
    for (what, ours), (_, theirs) in zip(model.items(), board.items(), strict=True):
        lines.append(f"| {what} | {ours} | {theirs} | {theirs / ours if ours else 0:.2f} |")
    return "\n".join(lines)


def test_costs(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port: str | None = request.config.getoption("--device")
    if not port:
        pytest.skip("needs a board that openkline was flashed to: --device PORT")
    to_the_prompt(port)
    spare = int(request.config.getoption("--pins").split(",")[2])
    name, board = of_the_board(port, spare, tmp_path)
    with capsys.disabled():
        print(f"\n\nPlease send in this table:\n\n{name}\n\n{table(of_the_model(), board)}\n")
    assert "done" in board
