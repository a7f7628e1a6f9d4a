"""Bundles: what the PC packs is what the board takes out, with its own decompressor; what is broken is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.update import bundle
from openkline.update import bundle as builder

ROOT = Path(__file__).parents[2]
NAME = st.text("abcXYZ019_-", min_size=1, max_size=8)
PATH = st.lists(NAME, min_size=2, max_size=4).map(lambda parts: "/".join(parts) + ".mpy")
FILES = st.dictionaries(PATH, st.binary(max_size=300), max_size=6)
BOARDS = st.lists(st.from_regex(r"[A-Z0-9_]{1,32}", fullmatch=True), max_size=4, unique=True)


def header_of(raw: bytes) -> bundle.Header:
    return bundle.parse_header(raw[: bundle.MAX_HEADER])


def unpack(raw: bytes, piece: int = 64) -> dict[str, bytes]:
    """As the board does it, with memory for `piece` bytes."""
    header = header_of(raw)
    try:
        stream = zlib.decompressobj(-15).decompress(raw[header.size :])
    except zlib.error as error:
        raise bundle.BundleError("the compressed data is damaged") from error
    return take(stream, header, piece)


def take(stream: bytes, header: bundle.Header, piece: int = 64) -> dict[str, bytes]:
    found = {}
    unpacker = bundle.Unpacker(io.BytesIO(stream), header)
    buf = bytearray(piece)
    while unpacker.next_file():
        data = bytearray()
        while n := unpacker.read(buf):
            data += buf[:n]
        assert len(data) == unpacker.size
        if hashlib.sha256(data).digest() != unpacker.digest:
            raise bundle.BundleError(unpacker.path)
        found[unpacker.path] = bytes(data)
    return found


@given(FILES, st.tuples(*[st.integers(0, 255)] * 3), BOARDS, st.integers(1, 400))
def test_what_the_pc_packs_the_board_takes_out(
    files: dict[str, bytes], version: tuple[int, int, int], boards: list[str], piece: int
) -> None:
    raw = builder.pack(files, version, boards).raw
    header = header_of(raw)
    assert (header.version, list(header.boards), header.files) == (version, boards, len(files))
    assert unpack(raw, piece) == files
    for name in boards:
        assert header.fits(name)
        assert not header.fits(name + "_X") or name + "_X" in boards
    assert header.fits("ANYTHING") == (not boards)


@given(st.binary(max_size=600))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes) -> None:
    for raw in (noise, b"OKB1\x01" + noise, b"OKB1\x01\x00\x01\x00\x06\x09\x00" + noise):
        with pytest.raises(bundle.BundleError):
            unpack(raw)


@given(FILES.filter(bool), st.data())
def test_a_changed_byte_or_an_early_end_never_gives_other_contents(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    raw = bytearray(builder.pack(files, (0, 1, 0)).raw)
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = unpack(bytes(raw))
    except bundle.BundleError:
        return
    # Each file's contents have a digest; names, version and boards only the CRC of the whole.
    assert sorted(found.values()) == sorted(files.values())


def entry(path: bytes, data: bytes = b"x", size: int | None = None) -> bytes:
    n = len(data) if size is None else size
    return bytes((len(path),)) + path + n.to_bytes(4, "little") + hashlib.sha256(data).digest() + data


@pytest.mark.parametrize(
    "path",
    [b"a", b"ab", b"slot.json", b"/a/b", b"a/", b"a//b", b"../a", b"a/../b", b"a/./b", b"a/.b", b"a/b\\c", b"a/b c",
     b"a/\x00", b"a/\xc3\xa9", b"", b"a/" + b"b" * 63],
)  # fmt: skip
def test_paths_that_lead_elsewhere_are_refused(path: bytes) -> None:
    stream = entry(path)
    with pytest.raises(bundle.BundleError):
        take(stream, bundle.Header((0, 1, 0), 9, (), 1, len(stream), 17))


@pytest.mark.parametrize("path", [b"a/b", b"kline/device/app.mpy", b"a-1/_b.c", b"a/" + b"b" * 62])
def test_paths_of_modules_are_taken(path: bytes) -> None:
    stream = entry(path)
    assert take(stream, bundle.Header((0, 1, 0), 9, (), 1, len(stream), 17)) == {path.decode(): b"x"}


def test_counts_and_lengths_must_agree() -> None:
    stream = entry(b"a/b", b"12") + entry(b"a/c", b"")
    n = len(stream)
    assert len(take(stream, bundle.Header((0, 1, 0), 9, (), 2, n, 17))) == 2
    for files, unpacked, changed in (
        (1, n, stream),
        (3, n, stream),
        (2, n - 1, stream),
        (2, n + 1, stream),
        (2, n, stream + b"x"),
        (2, n, stream[:-1]),
        (2, n, entry(b"a/b", b"12", size=3) + entry(b"a/c", b"")),
        (2, n, entry(b"a/b", b"12", size=0xFFFFFFFF) + entry(b"a/c", b"")),
        (2, n + 2, entry(b"a/b", b"12") + entry(b"a/b", b"34")),
        (0xFFFF, 0xFFFFFFFF, stream),
    ):
        with pytest.raises(bundle.BundleError):
            take(changed, bundle.Header((0, 1, 0), 9, (), files, unpacked, 17))


def test_other_formats_are_told_from_broken_ones() -> None:
    raw = bytearray(builder.pack({"a/b.mpy": b"x"}, (1, 2, 3), ["SIM"]).raw)
    for at, value in ((4, 0), (4, 2), (8, 5), (8, 7)):
        changed = bytearray(raw)
        changed[at] = value
        with pytest.raises(bundle.UnsupportedError):
            header_of(bytes(changed))
    for at, value in ((0, 0x20), (3, 0x32), (9, 7), (9, 16), (11, 0), (11, 0x2C), (11, 0x80)):
        changed = bytearray(raw)
        changed[at] = value
        with pytest.raises(bundle.BundleError) as caught:
            header_of(bytes(changed))
        assert not isinstance(caught.value, bundle.UnsupportedError)
    for n in range(header_of(bytes(raw)).size):
        with pytest.raises(bundle.BundleError):
            header_of(bytes(raw[:n]))


UNPACK = """
import deflate, hashlib, json
from kline.protocol.update.bundle import MAX_HEADER, Unpacker, parse_header
found = {}
with open("bundle", "rb") as file:
    header = parse_header(file.read(MAX_HEADER))
    file.seek(header.size)
    unpacker = Unpacker(deflate.DeflateIO(file, deflate.RAW, header.wbits), header)
    piece = bytearray(1000)
    while unpacker.next_file():
        sha = hashlib.sha256()
        n = unpacker.read(piece)
        while n:
            sha.update(memoryview(piece)[:n])
            n = unpacker.read(piece)
        assert sha.digest() == unpacker.digest, unpacker.path
        found[unpacker.path] = unpacker.size
print(json.dumps(found))
"""


def test_the_boards_own_decompressor_takes_out_the_whole_firmware(tmp_path: Path) -> None:
    """Compressed with a window as small as it may be: what it refers to must still be in the board's memory."""
    plain = builder.build()
    for packed in (plain, builder.pack({**plain.files, "kline/noise.bin": os.urandom(3000)}, (9, 9, 9))):
        (tmp_path / "bundle").write_bytes(packed.raw)
        program = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
        env = {**os.environ, "MICROPYPATH": f"{ROOT / 'firmware'}:.frozen"}
        done = subprocess.run([program, "-c", UNPACK], cwd=tmp_path, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {path: len(data) for path, data in packed.files.items()}
