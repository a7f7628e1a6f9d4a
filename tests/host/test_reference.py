"""docs/reference.md: every file, name and test of its tables is there, and nothing of the two pages is missing."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from tests.sources import ROOT, Tree

TEXT = (ROOT / "docs" / "reference.md").read_text("utf-8")
ROWS = [line.strip("|").split(" | ") for line in TEXT.splitlines() if line.startswith("| ") and "| here |" not in line]
tree = Tree()

# What the pages name: the C++ classes and their methods, the structure's fields, the messages and the options.
NAMES = """
    RingBuffer peek remove KLineTransport begin rxAvailable rxPeek rxRemove rxRead flushRx drainUart write sendRaw run
    trySend sendNextPacket serial txPin uartNum IbusHandler process IbusEsp32 onPacket KLineObd2 slowInit fastInit
    requestPid readResponse clearEcho parseFrameData reset _initialized _clearToSend _isTransmitting
    _lastRxTransitionUs KLineConfig baud framing idleTimeoutUs idleCheckUs packetGapMs txInvert checksumType
    Ping Hello Connect Disconnect GetFirmwareVersion InitFirmwareUpdate UploadFirmware -h -l -f -p -i
"""


def ids(row: list[str]) -> str:
    return row[0].strip()


def has(path: Path, name: str) -> bool:
    """A name of that module (dotted: of a class in it), or an option of that command."""
    dotted = ".".join(path.with_suffix("").parts[1:])
    if name.startswith("-"):
        command = getattr(import_module(dotted), path.stem)
        return any(name in parameter.opts for parameter in command.params)
    return not tree.resolve(f"{dotted.removesuffix('.__init__')}.{name}")


@cache
def names_of_tests(path: Path) -> set[str]:
    nodes = ast.parse((ROOT / path).read_text("utf-8")).body
    return {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_names_what_exists(row: list[str]) -> None:
    assert len(row) == 4, row
    file = None
    for word in re.findall(r"`([^`]+)`", row[1]):
        if "/" in word:
            file = Path(word)
            assert (ROOT / file).is_file(), word
        else:
            assert file is not None and has(file, word), f"{file} has no {word}"
    assert file is not None
    tests = re.findall(r"`([^`]+)`", row[2])
    assert tests
    for test in tests:
        place, name = test.split("::")
        assert name.startswith("test_") and name in names_of_tests(Path(place)), test


@pytest.mark.parametrize("name", re.findall(r"\S+", NAMES))
def test_what_the_pages_name_has_a_row(name: str) -> None:
    assert any(re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", row[0]) for row in ROWS)


def test_the_two_handlers_have_no_common_base() -> None:
    for module, name in (("ibus_handler", "IbusHandler"), ("obd.tester", "KLineObd2")):
        source = (
            (ROOT / "firmware" / "kline" / "device" / module.replace(".", "/")).with_suffix(".py").read_text("utf-8")
        )
        (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
        assert found.bases == []
