"""What flash does with the image and with the board's files, on stand-ins for both."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e import esp_image

from openkline.boards.catalogue import find_profile
from openkline.flash import flasher, images
from openkline.flash.esp import Found
from openkline.flash.files import BoardFiles, Seen, sha256
from openkline.flash.plan import Wishes
from openkline.flash.progress import Progress
from openkline.flash.trouble import FlashError


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def nobody(question: str, lines: list[str]) -> None:
    return None


def test_a_bad_image_in_the_cache_is_removed(tmp_path: Path) -> None:
    profile = find_profile("ESP32_GENERIC")
    assert profile.image is not None
    cached = images.cache_folder() / profile.image.file
    cached.parent.mkdir(parents=True)
    cached.write_bytes(esp_image.merged("esp32s3", 0x1000))
    work = flasher.Flasher(Wishes(), Progress(1), nobody)
    with pytest.raises(FlashError, match="bad file is removed: run this again to download it again"):
        work._image(profile, Found("ESP32", "240ac4e29526"))
    assert not cached.exists()


def test_an_image_for_more_flash_than_there_is_stops_before_anything_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image.bin"
    whole = images.Whole(image, "", 0, (), needs=4 << 20)
    monkeypatch.setattr(images, "verify", lambda *_: whole)
    work = flasher.Flasher(Wishes(firmware=image), Progress(1), nobody)
    profile = find_profile("ESP32_GENERIC")
    said = r"^image.bin: is for 4 MiB of flash, but the board has 2 MiB\. Name an image for that with --firmware; https"
    with pytest.raises(FlashError, match=said):
        work._image(profile, Found("ESP32", "240ac4e29526", 2 << 20))
    for enough in (4 << 20, 16 << 20, None):
        assert work._image(profile, Found("ESP32", "240ac4e29526", enough)) is whole


def seen(**fields: object) -> Seen:
    given: dict[str, object] = {
        "sha256": {}, "sizes": {}, "folders": (), "texts": {}, "free": 2**20, "unique_id": "1",
        "micropython": (1, 28, 0),
    }  # fmt: skip
    return Seen(**(given | fields))  # type: ignore[arg-type]


def test_not_enough_room_is_found_before_copying() -> None:
    files = BoardFiles("/dev/none")
    with pytest.raises(FlashError, match=r"has 8 KiB free, the modules need 12 KiB"):
        files.put(seen(free=8192), {"a/x": bytes(8193)}, [], lambda *_: None)


def test_an_old_micropython_is_refused() -> None:
    with pytest.raises(FlashError, match=r"the image is MicroPython 1.24.1, but 1.27.0 or later is needed"):
        flasher._check_version("/dev/x", seen(micropython=(1, 24, 1)))
    flasher._check_version("/dev/x", seen(micropython=(1, 27, 0)))


class CountedFiles:
    """The board's file system, as flasher uses it: what it has at each look, and what was asked of it."""

    def __init__(self, *looks: Seen) -> None:
        self.port = "/dev/x"
        self.looks = list(looks)
        self.puts: list[tuple[list[str], list[str]]] = []

    def look(self, doing: str = "") -> Seen:
        return self.looks.pop(0)

    def put(self, before: Seen, wanted: dict[str, bytes], stale: list[str], on_share: object) -> list[str]:
        self.puts.append((list(wanted), stale))
        return list(wanted)


def test_a_slot_is_no_slot_while_it_changes_and_what_arrived_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flasher, "compile_modules", lambda: {"kline/x.mpy": b"new"})
    profile = find_profile("ESP32_GENERIC")
    label = flasher.slot_json(profile.name, {"kline/x.mpy": b"new"})
    old = seen(sha256={"a/kline/x.mpy": "0", "a/kline/gone.mpy": "0", "a/slot.json": "0"})
    right = seen(sha256={"a/kline/x.mpy": sha256(b"new"), "a/slot.json": sha256(label)})
    files = CountedFiles(old, right)
    work = flasher.Flasher(Wishes(), Progress(9), nobody)
    assert work._copy_modules(files, profile) is right  # type: ignore[arg-type]
    assert files.puts == [(["a/kline/x.mpy", "a/slot.json"], ["a/slot.json", "a/kline/gone.mpy"])]
    with pytest.raises(FlashError, match=r"/dev/x: a/kline/x.mpy did not arrive as it was copied. Try another cable"):
        work._copy_modules(CountedFiles(old, old), profile)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        ('{"vin_pin": 34, "vin_ratio": 7.8, "rx": 5}', {"vin_pin": 34, "vin_ratio": 7.8}),
        ('{"vin_pin": 34}', {"vin_pin": 34}),
        ('{"vin_ratio": 7.8}', {}),
        ('{"vin_pin": 14}', {}),  # no ADC1
        ('{"vin_pin": "34"}', {}),
        ('{"vin_pin": 34, "vin_ratio": 0.5}', {}),  # the firmware would not start with it
        ('{"vin_pin": 34, "vin_ratio": "8"}', {}),
        ("", {}),
    ],
)
def test_the_pin_for_the_supply_voltage_that_a_person_has_added_is_kept(there: str, kept: dict[str, object]) -> None:
    assert flasher._kept(seen(texts={"board.json": there}), find_profile("ESP32_GENERIC")) == kept


def test_not_where_the_board_has_another_use_for_it() -> None:
    profile = find_profile("ESP32_GENERIC_C3")
    assert profile.pins.tx == 4
    assert flasher._kept(seen(texts={"board.json": '{"vin_pin": 4}'}), profile) == {}
    assert flasher._kept(seen(texts={"board.json": '{"vin_pin": 3}'}), profile) == {"vin_pin": 3}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"slot": "c"}', '{"slot": 1}'])
def test_a_damaged_boot_json_means_slot_a(text: str) -> None:
    assert flasher.active_slot(seen(texts={"boot.json": text})) == "a"
