"""MicroPython's image: downloaded, resumed, cached, and looked at by the real esptool."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e import esp_image

from openkline.boards.catalogue import find_profile
from openkline.boards.profile import Image, Profile
from openkline.flash import images
from openkline.flash.trouble import FlashError


def nothing(share: float, words: str) -> None: ...


@pytest.fixture
def profile() -> Profile:
    return find_profile("ESP32_GENERIC")


@pytest.fixture
def image(profile: Profile) -> Image:
    assert profile.image is not None
    return profile.image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return images.cache_folder()


class Server(http.server.ThreadingHTTPServer):
    """Serves `data` under every name ending in .bin; closes the connection after `cut` bytes; ranges are honoured."""

    data = esp_image.merged("esp32", 0x1000)
    cut: int | None = None
    ranges = True
    tells_length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/images"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        wanted = self.headers.get("Range", "")
        server.asked.append(wanted)
        if not self.path.endswith(".bin"):
            self.send_error(404, "Not Found")
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(server.data):
            self.send_error(416, "Range Not Satisfiable")
            return
        self.send_response(206 if start else 200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(server.data) - start))
        self.end_headers()
        body = server.data[start:]
        self.wfile.write(body if server.cut is None else body[: server.cut])

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# -- getting it --------------------------------------------------------------------------------------------------------


def test_a_download_goes_to_the_cache_and_is_not_done_again(image: Image, server: Server) -> None:
    shares: list[float] = []
    path, where = images.obtain(image, None, server.url, lambda share, _: shares.append(share))
    assert where == "downloaded"
    assert path.name == image.file and path.read_bytes() == server.data
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert images.obtain(image, None, server.url, nothing) == (path, "from the cache")
    assert len(server.asked) == 1


def test_a_server_that_does_not_tell_the_length(image: Image, server: Server) -> None:
    """Nobody notices then that it was cut off, but by the image's digest."""
    server.tells_length = False
    said: list[tuple[float, str]] = []
    path, _ = images.obtain(image, None, server.url, lambda *shown: said.append(shown))
    assert path.read_bytes() == server.data
    assert said[-1] == (0.0, f"{len(server.data) // 1024} KiB")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_is_cut_off_goes_on_from_there(image: Image, server: Server, ranges: bool) -> None:
    """With a server that knows no ranges it begins again."""
    server.cut, server.ranges = 50_000, ranges
    with pytest.raises(FlashError, match=r"(stopped|cut off).*openkline flash --firmware FILE \(make flash FIRMWARE="):
        images.obtain(image, None, server.url, nothing)
    assert not (images.cache_folder() / image.file).exists(), "half an image is none"
    server.cut = None
    path, _ = images.obtain(image, None, server.url, nothing)
    assert path.read_bytes() == server.data
    assert server.asked == ["", "bytes=50000-"]


def test_a_part_longer_than_the_file_is_forgotten(image: Image, server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / f"{image.file}.part").write_bytes(bytes(len(server.data)))
    with pytest.raises(FlashError, match="416"):
        images.obtain(image, None, server.url, nothing)
    assert images.obtain(image, None, server.url, nothing)[0].read_bytes() == server.data


def test_failed_downloads_say_how_to_give_a_file(image: Image, server: Server) -> None:
    wrong = replace(image, url=f"{server.url}/none", file="none")
    for error in ("the server answers 404 Not Found", image.page, "--firmware FILE"):
        with pytest.raises(FlashError, match=re.escape(error)):
            images.obtain(wrong, None, None, nothing)
    with pytest.raises(FlashError, match=r"no download \(.*refused.*--firmware FILE"):
        images.obtain(image, None, "http://127.0.0.1:1", nothing)
    with pytest.raises(FlashError, match=r"unknown url type.*--firmware FILE"):
        images.obtain(image, None, "nothing", nothing)


def test_a_download_goes_through_the_proxy_of_the_environment(
    image: Image, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named when it does not answer, without its password."""

    def use(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(urllib.request, "_opener", None)  # made once in a process, with the proxies of that moment

    use(no_proxy="", http_proxy="http://me:secret@127.0.0.1:1/")
    with pytest.raises(FlashError, match=r"no download through the proxy 127\.0\.0\.1:1/ \(.*refused") as caught:
        images.obtain(image, None, "http://images.invalid", nothing)
    assert "secret" not in str(caught.value)
    use(http_proxy=f"http://127.0.0.1:{server.server_port}")
    assert images.obtain(image, None, "http://images.invalid", nothing)[0].read_bytes() == server.data
    use(no_proxy="127.0.0.1")
    with pytest.raises(FlashError, match=r"no download \("):
        images.obtain(replace(image, file="other.bin"), None, "http://127.0.0.1:1", nothing)


def test_a_given_file_wins(image: Image, tmp_path: Path) -> None:
    path = tmp_path / "mine.bin"
    assert images.obtain(image, path, None, nothing) == (path, "given")


# -- whether it is whole -----------------------------------------------------------------------------------------------


def verify(profile: Profile, folder: Path, data: bytes, name: str = "image.bin") -> images.Whole:
    path = folder / name
    path.write_bytes(data)
    return images.verify(path, profile, nothing)


def test_a_whole_image_passes_and_tells_what_a_running_board_leaves_alone(profile: Profile, tmp_path: Path) -> None:
    data = esp_image.merged("esp32", 0x1000)
    whole = verify(profile, tmp_path, data)
    assert whole.sha256 == hashlib.sha256(data).hexdigest()
    # NVS and radio calibration, 9000 to 10000, are not compared.
    assert whole.needs == 0x400000, "the end of its last partition"
    assert whole.fixed == (
        images.Part(0x1000, 0, 0x8000),
        images.Part(0x10000, 0xF000, len(data) - 0xF000),
    )


def test_an_image_longer_than_its_partitions_needs_its_length(profile: Profile, tmp_path: Path) -> None:
    data = esp_image.merged("esp32", 0x1000).ljust(5 << 20, b"\xff")
    assert verify(profile, tmp_path, data).needs == 0x1000 + (5 << 20)


DAMAGED = {
    "boot loader": (0x40, "its boot loader is damaged"),
    "application": (0xF000 + 0x5000, "its application is damaged"),
    "digest": (-1, "its application is damaged: its SHA-256 digest does not match"),
    "chip": (0x0C, "its boot loader is for the chip ESP32-S2"),
}


@pytest.mark.parametrize("what", list(DAMAGED))
def test_one_changed_byte_is_found(profile: Profile, tmp_path: Path, what: str) -> None:
    at, words = DAMAGED[what]
    data = bytearray(esp_image.merged("esp32", 0x1000))
    data[at] ^= 2
    with pytest.raises(FlashError, match=f"{words}.*--firmware FILE"):
        verify(profile, tmp_path, bytes(data))


def test_files_that_are_no_image_to_flash(profile: Profile, tmp_path: Path) -> None:
    whole = esp_image.merged("esp32", 0x1000)
    with pytest.raises(FlashError, match="its boot loader is not an image for an ESP32"):
        verify(profile, tmp_path, b"<html>404</html>" * 10)
    with pytest.raises(FlashError, match="its boot loader is not an image for an ESP32"):
        verify(profile, tmp_path, b"")
    with pytest.raises(FlashError, match=r"its application is (not an image|damaged)"):
        verify(profile, tmp_path, whole[:-20_000])
    with pytest.raises(FlashError, match=r"lacks the boot loader and partition table.*not \.app-bin"):
        verify(profile, tmp_path, esp_image.image("esp32", bytes(60_000)))
    with pytest.raises(FlashError, match="is for the chip ESP32-S3, but the board has an ESP32"):
        verify(profile, tmp_path, esp_image.merged("esp32s3", 0x1000))
    undigested = bytearray(whole)
    undigested[23] = 0
    with pytest.raises(FlashError, match="carries no digest"):
        verify(profile, tmp_path, bytes(undigested))
    with pytest.raises(FlashError, match="can't be read"):
        images.verify(tmp_path / "none.bin", profile, nothing)


def test_a_recorded_digest_counts_for_the_file_of_that_name(profile: Profile, image: Image, tmp_path: Path) -> None:
    data = esp_image.merged("esp32", 0x1000)
    with pytest.raises(FlashError, match=r"SHA-256 is .*not the file published"):
        verify(profile, tmp_path, data, image.file)
    recorded = replace(profile, image=replace(image, sha256=hashlib.sha256(data).hexdigest()))
    assert verify(recorded, tmp_path, data, image.file)
