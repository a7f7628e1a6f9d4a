"""A foreign package called kline is noticed when openkline is imported, wherever it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
OURS = (TREE / "firmware", TREE / "host")

FOREIGN = {
    "another package": 'VERSION = "3.1"\n',
    "with a module version of its own": "from kline.version import VERSION\n",
    "for an old Python": 'print "K-line"\n',
    "that fails": "raise RuntimeError\n",
    "that needs something else": "import no_such_module\n",
}


def python(*words: str, path: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=60)


def foreign(folder: Path, text: str) -> Path:
    package = folder / "kline"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text)
    (package / "version.py").write_text('VERSION = "3.1"\n')
    return package / "__init__.py"


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_package_that_comes_first_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    file = foreign(tmp_path, text)
    done = python("-c", "import openkline", path=(tmp_path, *OURS))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {file} is not the package kline that belongs to openkline")
    assert "pip uninstall kline" in last and "pipx install openkline" in last


def test_a_module_beside_the_users_own_script_is_noticed_too(tmp_path: Path) -> None:
    (tmp_path / "kline.py").write_text("def read(): ...\n")
    (tmp_path / "mine.py").write_text("import openkline.gateway.client\n")
    done = python(str(tmp_path / "mine.py"), path=OURS)
    assert f"ImportError: {tmp_path / 'kline.py'} is not" in done.stderr and "rename it" in done.stderr


def test_a_folder_without_init_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "kline").mkdir()
    done = python("-S", "-c", "import openkline", path=(tmp_path, TREE / "host"))
    assert f"ImportError: {tmp_path / 'kline'} is not" in done.stderr


def test_one_that_pip_has_installed_over_ours_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(TREE / "firmware" / "kline", tmp_path / "kline", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "kline" / "__init__.py").write_text("")
    done = python("-c", "import openkline", path=(tmp_path, TREE / "host"))
    assert f"ImportError: {tmp_path / 'kline' / '__init__.py'} is not" in done.stderr


def test_without_any_it_is_said_that_it_is_missing() -> None:
    done = python("-S", "-c", "import openkline", path=(TREE / "host",))
    assert "ImportError: the package kline, which is installed along with openkline, is missing" in done.stderr


def test_a_foreign_package_that_comes_second_does_no_harm(tmp_path: Path) -> None:
    foreign(tmp_path, "raise RuntimeError\n")
    done = python("-c", "import openkline; print(openkline.__version__)", path=(*OURS, tmp_path))
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.strip()


def test_the_command_line_ends_with_the_words_and_no_traceback(tmp_path: Path) -> None:
    file = foreign(tmp_path, FOREIGN["another package"])
    script = tmp_path / "bin" / "openkline"
    script.parent.mkdir()
    script.write_text("from openkline.cli import main\nmain()\n")
    for words in (("-m", "openkline", "-h"), (str(script), "-h")):
        done = python(*words, path=(tmp_path, *OURS))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"openkline: {file} is not the package kline"), done.stderr
        assert len(done.stderr.splitlines()) == 1
