"""docs/overview.md: every folder has a row in the table at its head, which leads to the file that one looks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.sources import ROOT, Tree

TEXT = (ROOT / "docs" / "overview.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", TEXT.split("\n## ")[0], re.MULTILINE))
tree = Tree()


def test_every_folder_of_the_code_has_a_row() -> None:
    folders = {
        str(path.parent)
        for path in tree.files
        if path.suffix == ".py" and path.parts[:2] in (("host", "openkline"), ("firmware", "kline"))
    }
    # Their few files on the ground floor are what everybody may use; the picture and the sentence below it have them.
    folders -= {"host/openkline", "firmware/kline", "firmware/kline/protocol"}
    assert folders <= set(ROWS)
    assert all((ROOT / folder).is_dir() for folder in ROWS)


def test_files_in_a_row_are_in_its_folder() -> None:
    for folder, text in ROWS.items():
        for name in re.findall(r"`(\w+\.(?:py|toml|md))`", text):
            assert list((ROOT / folder).glob(name)) or list((ROOT / folder).glob(f"*/{name}")), f"{folder}: {name}"


def test_every_class_that_the_way_passes_exists() -> None:
    named = re.findall(r"`([A-Z][a-z]\w*)(?:\.(\w+))?[`(]", TEXT)
    assert len(named) > 10
    for name, attribute in named:
        classes = tree.classes.get(name, [])
        assert classes, name
        assert not attribute or any(not tree.lacks(scope, [attribute]) for scope in classes), f"{name}.{attribute}"


@pytest.mark.parametrize(
    ("words", "file", "has"),
    [
        ("deny rules", "host/openkline/gateway/rules.py", '"cautious"'),
        ("back-off after a collision", "firmware/kline/device/transmitter.py", "_BACKOFF_MIN_US"),
        ("names of modules and messages", "firmware/kline/protocol/ibus/names.py", "\n3B Steering wheel button"),
        ("update's password", "host/openkline/update/passwords.py", "def find("),
        ("picture", "boards/ESP32_GENERIC/board.md", "GPIO"),
    ],
)
def test_a_reader_of_the_table_finds(words: str, file: str, has: str) -> None:
    (folder,) = (folder for folder, text in ROWS.items() if words in text)
    path = Path(file)
    assert path.is_relative_to(folder)
    assert f"`{path.name}`" in ROWS[folder]
    assert has in (ROOT / path).read_text("utf-8")
