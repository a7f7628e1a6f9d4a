"""OBD cars on the virtual board as a program: --car obd, a name, a file; what it says of a wrong one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAYS = "import usys; usys.stderr.write(' '.join([e.setup.name for e in w.car.ecus]))"


def boot(folder: Path, car: str) -> subprocess.CompletedProcess[str]:
    path = [str(ROOT / "boards/SIM/port"), str(ROOT / "boards/SIM"), str(ROOT / "firmware"), ".frozen"]
    program = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
    script = folder / "says.py"
    script.write_text(SAYS)
    (folder / "own.json").write_text('{"name": "mine", "protocol": "kwp"} // no more')
    (folder / "wrong.json").write_text('{"protocol": "kwp", "dtcs": ["P01"]}')
    (folder / "broken.json").write_text('{"protocol": "kwp"')
    words = [program, str(ROOT / "boards/SIM/boot.py"), "--flash", str(folder / "flash"), "--clock", "virtual"]
    words += ["--for", "0.2", "--no-repl", "--script", str(script), "--car", car]
    return subprocess.run(
        words, cwd=folder, env=dict(os.environ, MICROPYPATH=":".join(path)), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("car", "names"), [("obd", "engine gearbox"), ("iso9141", "engine"), ("own.json", "mine"), ("./own.json", "mine")]
)
def test_cars(tmp_path: Path, car: str, names: str) -> None:
    done = boot(tmp_path, car)
    assert done.stderr == names and done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("car", "reason"),
    [("nonesuch", "or one of difficult, iso9141, kwp_fast, kwp_slow"), ("missing.json", "a file"),
     ("wrong.json", "expected one like P0133, not 'P01'"), ("broken.json", "broken.json: no JSON")],
)  # fmt: skip
def test_what_it_says_of_a_wrong_one(tmp_path: Path, car: str, reason: str) -> None:
    done = boot(tmp_path, car)
    assert done.returncode == 2 and f"--car {car}: " in done.stdout and reason in done.stdout
