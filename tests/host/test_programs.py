"""Programs beside openkline are found where only a start script knows of them, as in the Debian package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openkline.errors import OpenklineError
from openkline.programs import python_program


def test_a_program_in_a_folder_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lib" / "only_here"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; print('here', *sys.argv[1:])")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    command, environment = python_program("only_here", "some", "words")
    assert command[0] == sys.executable
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "here some words\n"


@pytest.mark.parametrize("name", ["esptool", "mpremote"])
def test_the_real_ones(name: str) -> None:
    command, environment = python_program(name, "version")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert name in done.stdout.lower()


def test_one_that_is_missing_is_named() -> None:
    with pytest.raises(OpenklineError, match="no_such_program is not installed beside openkline: pip install"):
        python_program("no_such_program")
