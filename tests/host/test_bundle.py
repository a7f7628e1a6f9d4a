"""The bundle of an update: its bytes as written in the format, the same each time, within an upload's 16 bits."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from crccheck.crc import CrcModbus
from hypothesis import given
from hypothesis import strategies as st

from openkline.cli.bundle import bundle as command
from openkline.firmware import modules
from openkline.update import bundle

FILES = {"kline/b.mpy": b"M\x06 second", "kline/a.mpy": b"M\x06 first" * 100, "kline/protocol/c.mpy": b""}


@pytest.fixture(scope="module")
def real() -> bundle.Bundle:
    return bundle.build()


def parsed(raw: bytes) -> tuple[bytes, dict[str, bytes]]:
    """By hand, from the page: the header without the stream, and the files."""
    assert raw[:5] == b"OKB1\x01" and raw[8] == 6
    at = 11 + raw[10]
    count, unpacked = int.from_bytes(raw[at : at + 2], "little"), int.from_bytes(raw[at + 2 : at + 6], "little")
    stream = zlib.decompress(raw[at + 6 :], wbits=-raw[9])
    assert len(stream) == unpacked
    files = {}
    at_file = 0
    while at_file < len(stream):
        n = stream[at_file]
        path, rest = stream[at_file + 1 : at_file + 1 + n], at_file + 1 + n
        size = int.from_bytes(stream[rest : rest + 4], "little")
        data = stream[rest + 36 : rest + 36 + size]
        assert hashlib.sha256(data).digest() == stream[rest + 4 : rest + 36]
        files[path.decode()] = data
        at_file = rest + 36 + size
    assert len(files) == count
    return raw[: at + 6], files


def test_layout() -> None:
    made = bundle.pack(FILES, (1, 2, 3), ("ESP32_GENERIC", "SIM"))
    head, files = parsed(made.raw)
    assert files == FILES and list(files) == sorted(FILES)
    assert head[:11] == b"OKB1\x01\x01\x02\x03\x06\x09\x11"
    assert head[11:28] == b"ESP32_GENERIC,SIM"
    assert made.crc == CrcModbus.calc(made.raw)


def test_the_firmware_fits_and_is_whole(real: bundle.Bundle) -> None:
    assert len(real.raw) <= 65535
    _, files = parsed(real.raw)
    assert files == modules.compile_modules()
    assert real.boards == ()


def test_the_same_modules_give_the_same_bytes(real: bundle.Bundle) -> None:
    assert bundle.build().raw == real.raw
    backwards = dict(reversed(FILES.items()))
    assert bundle.pack(backwards, (1, 2, 3)).raw == bundle.pack(FILES, (1, 2, 3)).raw


def test_what_was_packed_is_read(real: bundle.Bundle) -> None:
    for made in (real, bundle.pack(FILES, (255, 0, 7), ("SIM",)), bundle.pack({}, (0, 0, 0))):
        assert bundle.read(made.raw) == made


def test_the_window_is_the_smallest_that_fits_and_a_bigger_bundle_is_refused_with_its_size() -> None:
    noise = random.Random(1).randbytes(20000)
    far = {"a/a": noise, "a/b": noise, "a/c": noise, "a/d": noise}  # the copies are found with a window of 32 KiB only
    assert bundle.pack({"a/a": noise}, (1, 0, 0)).wbits == 9
    assert bundle.pack(far, (1, 0, 0)).wbits == 15
    with pytest.raises(bundle.BundleError, match=r"has (\d{5,}) bytes, an update over the gateway carries 65535"):
        bundle.pack({"a/a": random.Random(2).randbytes(65536)}, (1, 0, 0))


def test_the_largest_that_fits() -> None:
    raw = random.Random(3).randbytes(65536)
    low, high = 60000, 65536  # the first fits, the second does not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            best = bundle.pack({"a/b": raw[:middle]}, (1, 0, 0))
            low = middle
        except bundle.BundleError as error:
            last, high = str(error), middle
    assert 65530 <= len(best.raw) <= 65535
    assert 65536 <= int(last.split()[3]) <= 65545, last
    assert bundle.read(best.raw).files == {"a/b": raw[:low]}
    with pytest.raises(bundle.BundleError, match="65536 bytes"):
        bundle.read(bytes(65536))


@given(st.data())
def test_a_broken_one_is_refused_or_nothing_of_what_counts_has_changed(data: st.DataObject) -> None:
    made = bundle.pack(FILES, (1, 2, 3), ("SIM",))
    raw = bytearray(made.raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = bundle.read(bytes(raw))
    except bundle.BundleError:
        return
    # A bit of a version, a board's or a file's name can change: the CRC that travels beside it is for that.
    assert list(found.files.values()) == list(made.files.values())


@given(st.binary(max_size=200))
def test_noise_is_no_bundle(raw: bytes) -> None:
    with pytest.raises(bundle.BundleError):
        bundle.read(raw)
    with pytest.raises(bundle.BundleError):
        bundle.read(b"OKB1\x01\x00\x01\x00\x06\x09" + raw)


def test_a_part_or_more_than_all_is_none() -> None:
    raw = bundle.pack(FILES, (1, 2, 3)).raw
    for broken in (*(raw[:n] for n in range(len(raw))), raw + b"\0", raw + bytes(65536)):
        with pytest.raises(bundle.BundleError):
            bundle.read(broken)


@pytest.mark.parametrize(
    ("version", "boards", "says"),
    [
        ((256, 0, 0), (), "each number must be 0..255"),
        ((1, 0, 0), ("A,B",), "'A,B'"),
        ((1, 0, 0), ("",), "must be a board's name"),
        ((1, 0, 0), ("A" * 32,) * 8, "263 bytes, there is room for 255"),
    ],
)
def test_what_has_no_place_in_it(version: tuple[int, int, int], boards: tuple[str, ...], says: str) -> None:
    with pytest.raises(bundle.BundleError, match=says):
        bundle.pack(FILES, version, boards)


@pytest.mark.parametrize("path", ["main.mpy", "/kline/a.mpy", "kline/../a.mpy", "kline/é.mpy", "", "a/" + "b" * 63])
def test_only_paths_that_the_board_takes(path: str) -> None:
    with pytest.raises(bundle.BundleError, match="can't be a file in a slot"):
        bundle.pack({path: b"M"}, (1, 0, 0))


def test_a_folder_without_a_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(bundle.BundleError, match=r"version\.py"):
        bundle.version_of(tmp_path)
    (tmp_path / "kline").mkdir()
    (tmp_path / "kline/version.py").write_text('VERSION = "one"\n')
    with pytest.raises(bundle.BundleError, match=r"has no line VERSION"):
        bundle.version_of(tmp_path)


def test_command_writes_shows_and_refuses(tmp_path: Path) -> None:
    runner = CliRunner()
    place = tmp_path / "new.okb"
    done = runner.invoke(command, ["-o", str(place), "--board", "SIM", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    made = bundle.read(place.read_bytes())
    assert told["file"] == str(place) and told["boards"] == ["SIM"] and told["bytes"] == len(made.raw)
    shown = runner.invoke(command, ["--show", str(place), "--json"])
    assert json.loads(shown.stdout) == told
    lines = runner.invoke(command, ["--show", str(place)]).stdout.splitlines()
    assert len(lines) == len(made.files) + 1
    assert f"CRC {made.crc:04X}" in lines[-1] and "for SIM" in lines[-1]
    assert runner.invoke(command, ["--show", str(place), "-o", "x"]).exit_code == 2
    place.write_bytes(made.raw[:-1])
    with pytest.raises(bundle.BundleError, match=r"new\.okb: no bundle that can be used"):
        runner.invoke(command, ["--show", str(place)], catch_exceptions=False)
    with pytest.raises(bundle.BundleError, match="cannot be written"):
        runner.invoke(command, ["-o", str(tmp_path / "none" / "x")], catch_exceptions=False)


def test_command_names_the_file_after_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, [])
    name = f"openkline-{'.'.join(map(str, bundle.version_of(modules.firmware_root())))}.okb"
    assert done.exit_code == 0 and done.stdout.startswith(f"{name}: version ")
    assert [path.name for path in tmp_path.iterdir()] == [name]
