"""No test is left out: pytest is told folders that exist, and every folder with tests is run by some make target."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {  # make bench, make test-obd, a board at hand
    "tests/bench",
    "tests/hardware",
    "tests/obd_oracle",
}


def test_every_folder_with_tests_is_run() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    paths = settings["tool"]["pytest"]["ini_options"]["testpaths"]
    assert [path for path in paths if not (ROOT / path).is_dir()] == []
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "tests").rglob("mpy_*.py")]
    folders = {"/".join(path.relative_to(ROOT).parts[:2]) for path in files}
    assert folders - set(paths) - ELSEWHERE == set()
