"""Completion and man page (packaging/build_pages.py): whole, and of a form that shells and man take."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from openkline.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    subprocess.run([sys.executable, str(ROOT / "packaging/build_pages.py"), str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def page(share: Path) -> str:
    return gzip.decompress((share / "man/man1/openkline.1.gz").read_bytes()).decode()


def options(command: click.Command) -> list[str]:
    own = [parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            own += options(inner)
    return own


def test_the_man_page_has_every_option(page: str) -> None:
    missing = [name for name in options(main) if name.replace("-", "\\-") not in page]
    assert len(options(main)) > 80 and set(missing) <= {"--version"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff here")
def test_the_man_page_is_one(page: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=80n"], input=page, capture_output=True, text=True, check=True
    )
    assert done.stderr == "" and "OPENKLINE OBD SCAN" in re.sub(".\x08", "", done.stdout)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("openkline mon", {"monitor"}), ("openkline obd sc", {"scan"}), ("openkline send --pri", {"--priority"})],
)
def test_bash_completes(share: Path, tmp_path: Path, typed: str, offered: set[str]) -> None:
    program = tmp_path / "openkline"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m openkline "$@"\n')
    program.chmod(0o755)
    script = (
        f"source {share}/bash-completion/completions/openkline; COMP_WORDS=({typed}); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _openkline_completion openkline; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": path}
    )
    assert set(done.stdout.split()) == offered, done.stderr


def test_every_shell_has_its_own(share: Path) -> None:
    for name in ("bash-completion/completions/openkline", "zsh/vendor-completions/_openkline",
                 "fish/vendor_completions.d/openkline.fish"):  # fmt: skip
        assert "_OPENKLINE_COMPLETE" in (share / name).read_text()


def test_the_debian_package_brings_them() -> None:
    assert 'build_pages.build(root / "usr/share"' in (ROOT / "packaging/build_deb.py").read_text()
