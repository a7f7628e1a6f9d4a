"""The compiled modules are complete: on a MicroPython that has nothing else of ours they load, and the board starts."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import OPEN
from openkline.device.sim import find_micropython
from openkline.firmware import modules

ROOT = Path(__file__).resolve().parents[2]
# Nothing on the board imports these.
PC_ONLY = {
    "kline/protocol/_types.py",
    "kline/protocol/ibus/commands.py",
    "kline/protocol/link/handshake.py",
    "kline/protocol/link/host_end.py",
    "kline/protocol/link/host_records.py",
    "kline/protocol/obd/results.py",
    "kline/protocol/obd/words.py",
    "kline/protocol/link/unpack.py",
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, bytes]:
    return modules.compile_modules()


@pytest.fixture
def folder(compiled: dict[str, bytes], tmp_path: Path) -> Path:
    """A folder with the compiled modules and main.py, and nothing else."""
    for path, data in compiled.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "main.py").write_bytes((ROOT / "firmware" / "main.py").read_bytes())
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    sim = ROOT / "boards" / "SIM"
    return dict(os.environ, MICROPYPATH=f"{sim / 'port'}:{sim}:{folder}:.frozen")


def test_the_same_source_gives_the_same_bytes(compiled: dict[str, bytes]) -> None:
    assert modules.compile_modules() == compiled
    assert list(compiled) == sorted(compiled)
    assert all(data[:2] == b"M\x06" for data in compiled.values())


def test_no_module_has_a_path_of_this_computer_in_it(compiled: dict[str, bytes]) -> None:
    for path, data in compiled.items():
        assert str(ROOT).encode() not in data, path
        assert path.removesuffix(".mpy").encode() + b".py" in data, path


def test_what_is_left_out_is_for_the_pc_only() -> None:
    all_modules = {path.relative_to(ROOT / "firmware").as_posix() for path in (ROOT / "firmware/kline").rglob("*.py")}
    assert all_modules - set(modules.board_modules()) == PC_ONLY


def test_all_modules_load_with_nothing_else_there(folder: Path, compiled: dict[str, bytes]) -> None:
    names = [path.removesuffix(".mpy").removesuffix("/__init__").replace("/", ".") for path in compiled]
    code = "\n".join(f"import {name}" for name in names) + "\nimport kline\nprint(kline.__file__)\nkline.IbusEsp32"
    done = subprocess.run(
        [find_micropython(), "-c", code], env=environment(folder), cwd=folder, capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip().endswith(".mpy")


def test_the_board_starts_from_them(folder: Path) -> None:
    words = [find_micropython(), str(ROOT / "boards/SIM/boot.py"), "--flash", str(folder / "flash"), "--for", "20"]
    with subprocess.Popen(
        words, env=environment(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    ) as board:
        assert board.stdin is not None and board.stdout is not None
        link = HostLink()
        link.open(1)
        stdin, stdout = board.stdin, board.stdout

        def write(buf: bytearray, n: int) -> None:
            stdin.write(bytes(buf[:n]))
            stdin.flush()

        now_us, text = 0, bytearray()
        while link.state != OPEN and (byte := stdout.read(1)):
            text += byte
            link.feed(byte, 1, now_us)
            if text.endswith(b"\r\n"):  # the boot window's line: HELLO waits in the pipe for the firmware
                now_us += 1_000_000
                link.pump(now_us, write, 4096)
        assert link.state == OPEN, bytes(text)
        board.kill()


def test_examples_find_their_modules(compiled: dict[str, bytes]) -> None:
    for example in (ROOT / "firmware" / "examples").glob("*.py"):
        for node in ast.walk(ast.parse(example.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kline."):
                path = node.module.replace(".", "/")
                files = {f"{path}.mpy", f"{path}/__init__.mpy", *(f"{path}/{name.name}.mpy" for name in node.names)}
                assert files & compiled.keys(), (example.name, node.module)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f(:\n", r"kline/device/broken\.py"),
        # Python, but not MicroPython's
        ("def f(x):\n    match x:\n        case 1:\n            pass\n", r"(?s)broken\.py.*SyntaxError"),
    ],
)
def test_a_module_that_is_none_is_named(tmp_path: Path, source: str, says: str) -> None:
    shutil.copytree(ROOT / "firmware" / "kline", tmp_path / "kline")
    (tmp_path / "kline/device/broken.py").write_text(source)
    with pytest.raises(modules.ModuleError, match=says):
        modules.compile_modules(tmp_path)


def test_a_folder_without_modules_is_named(tmp_path: Path) -> None:
    with pytest.raises(modules.ModuleError, match=f"{tmp_path} has no modules"):
        modules.compile_modules(tmp_path)
