"""MicroPython's image: given, from the cache, or downloaded; and whether it is whole and of the right chip.

Nothing is taken on trust: esptool recalculates the SHA-256 digest that each part of an image carries (boot loader,
application), and where board.toml records one for the whole file, that is compared too. The addresses in board.toml are
unchecked as long as they say so.

    partition table   at 0x8000 of the flash, 32 bytes an entry: AA 50 | type | subtype | offset u32 | size u32 |
                      label 16 | flags u32 (Espressif, ESP-IDF Programming Guide, "Partition Tables"; all little endian)
"""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from openkline.boards.chips import Chip
from openkline.boards.profile import Image, Profile
from openkline.flash import tools
from openkline.flash.trouble import FlashError
from openkline.userfiles import downloads_folder
from openkline.words import plural

OnShare = Callable[[float, str], None]

PARTITION_TABLE = 0x8000
_ENTRY = struct.Struct("<2sBBII16sI")
_APP, _DATA = 0, 1
# Data that the running program changes: OTA choice, radio calibration, NVS.
_CHANGING = (0x00, 0x01, 0x02)
_TABLE_BYTES = 0xC00
_CHUNK = 65536
_SILENCE_S = 30.0
_INFO_S = 60.0


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the image: where it begins in the flash and in the file, and its bytes."""

    flash: int
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Whole:
    """An image that has passed. fixed: the stretches that a running board leaves as they were written; needs: bytes of
    flash, with all partitions."""

    path: Path
    sha256: str
    size: int
    fixed: tuple[Part, ...]
    needs: int


def cache_folder() -> Path:
    return downloads_folder() / "images"


def address(image: Image, mirror: str | None) -> str:
    """Where the image is downloaded from: mirror is the address of a folder that has it under the same name."""
    return f"{mirror.rstrip('/')}/{image.file}" if mirror else image.url


# -- getting it --------------------------------------------------------------------------------------------------------


def obtain(image: Image, given: Path | None, mirror: str | None, on_share: OnShare) -> tuple[Path, str]:
    """-> the file and where it came from, in words. FlashError: it can't be had; the sentence says how to give one."""
    if given is not None:
        return given, "given"
    cached = cache_folder() / image.file
    if cached.is_file():
        return cached, "from the cache"
    _download(address(image, mirror), cached, image, on_share)
    return cached, "downloaded"


def _download(url: str, target: Path, image: Image, on_share: OnShare) -> None:
    """Goes on where an earlier try was cut off."""
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        done = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
        with urllib.request.urlopen(request, timeout=_SILENCE_S) as response:
            if response.status != 206:
                done = 0
            left = response.headers.get("Content-Length")
            total = done + int(left) if left else 0
            with part.open("ab" if done else "wb") as file:
                while chunk := response.read(_CHUNK):
                    done += file.write(chunk)
                    of_all = f" of {total // 1024}" if total else ""  # not every server tells
                    on_share(done / total if total else 0.0, f"{done // 1024}{of_all} KiB")
        if total and done < total:
            raise OSError(f"cut off after {done} of {plural(total, 'byte')}; run this again: it continues from there")
        part.replace(target)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == 416:  # all of it was there, or it has changed
            part.unlink(missing_ok=True)
        raise FlashError(f"{url}: {_reason(url, error)}. {by_hand(image)}") from error


def by_hand(image: Image) -> str:
    return (
        f"Or download an image for {image.board} from {image.page} with your browser and name it: "
        "openkline flash --firmware FILE (make flash FIRMWARE=FILE)"
    )


def _through(url: str) -> str:
    """The proxy that the environment names for this address; its password, if it has one, stays untold."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" through the proxy {proxy.rsplit('@', 1)[-1]}"


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no download{_through(url)} ({error.reason})"
    return f"the download stopped ({error})"


# -- whether it is whole -----------------------------------------------------------------------------------------------


def verify(path: Path, profile: Profile, on_share: OnShare) -> Whole:
    """FlashError: not whole, of another chip, or no image that can be flashed at the profile's offset."""
    chip, offset, image = profile.chip, profile.flash_offset, profile.image
    assert chip is not None and offset is not None and image is not None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlashError(f"{path}: can't be read ({error.strerror})") from error
    digest = hashlib.sha256(data).hexdigest()
    _info(path, data, chip, "its boot loader", image)
    table = list(_partitions(data, offset))
    apps = [(start, size) for kind, _, start, size in table if kind == _APP and start - offset < len(data)]
    if not apps:
        raise FlashError(
            f"{path.name}: lacks the boot loader and partition table that an image for the {chip.title} has. "
            f"Take the file ending in .bin (not .app-bin) from {image.page}"
        )
    for number, (start, size) in enumerate(apps):
        on_share((number + 1) / (len(apps) + 1), "")
        _info(path, data[start - offset : start - offset + size], chip, "its application", image)
    if path.name == image.file and image.sha256 is not None and digest != image.sha256:
        raise FlashError(
            f"{path.name}: SHA-256 is {digest[:16]}.., but should be {image.sha256[:16]}..: not the file "
            f"published under this name. {by_hand(image)}"
        )
    needs = max(offset + len(data), *(start + size for _, _, start, size in table))
    return Whole(path, digest, len(data), tuple(_fixed(len(data), offset, table)), needs)


def _info(path: Path, data: bytes, chip: Chip, which: str, image: Image) -> None:
    """What esptool says of one part."""
    with tempfile.NamedTemporaryFile(prefix="openkline-", suffix=".bin", delete=False) as file:
        file.write(data)
    try:
        done = tools.run("esptool", ["image-info", file.name], _INFO_S)
    finally:
        Path(file.name).unlink(missing_ok=True)
    trouble = _judge(done, chip)
    if trouble:
        raise FlashError(f"{path.name}: {which} {trouble}. {by_hand(image)}")


def _judge(done: tools.Finished, chip: Chip) -> str:
    text = done.text
    if not done.ok:
        said = [line for line in text.splitlines() if line.strip()]
        why = re.sub(r"^.*fatal error occurred: ", "", said[-1].strip()) if said else f"exit status {done.status}"
        return f"is not an image for an ESP32 ({why})"
    found = re.search(r"Detected image type: (\S+)", text)
    title = found.group(1) if found else "unknown"
    if title != chip.title.upper():
        return f"is for the chip {title}, but the board has an {chip.title}"
    if not re.search(r"Checksum: \S+ \(valid\)", text):
        return "is damaged: its checksum is wrong"
    hashed = re.search(r"Validation hash: [0-9a-f]+ \((\w+)\)", text)
    if hashed is None:
        return "carries no digest, so it can't be checked"
    return "" if hashed.group(1) == "valid" else "is damaged: its SHA-256 digest does not match"


def _partitions(data: bytes, offset: int) -> Iterator[tuple[int, int, int, int]]:
    """type, subtype, offset and size of each partition."""
    start = PARTITION_TABLE - offset
    for at in range(start, start + _TABLE_BYTES, _ENTRY.size):
        if len(data) < at + _ENTRY.size or data[at : at + 2] != b"\xaa\x50":
            return
        _, kind, subtype, where, size, _, _ = _ENTRY.unpack_from(data, at)
        yield kind, subtype, where, size


def _fixed(size: int, offset: int, table: list[tuple[int, int, int, int]]) -> Iterator[Part]:
    """The image without the partitions that the running board writes to."""
    at = offset
    end = offset + size
    changing = sorted((where, n) for kind, subtype, where, n in table if kind == _DATA and subtype in _CHANGING)
    for where, n in [*changing, (end, 0)]:
        if min(where, end) > at:
            yield Part(at, at - offset, min(where, end) - at)
        at = max(at, where + n)
