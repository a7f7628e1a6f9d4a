"""Every profile can be used; pins that can't carry the wire are refused with the reason, at every boundary."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from openkline.boards.catalogue import board_json, find_interface, find_profile, load_profiles, profile_for_chip
from openkline.boards.chips import CHIPS, REFUSED, WARNING, find_chip, refused
from openkline.boards.profile import Profile, ProfileError
from openkline.cli import main
from openkline.device.sim import find_micropython

ROOT = Path(__file__).resolve().parents[2]
PROFILES = load_profiles()
GENERIC = {"ESP32_GENERIC": (16, 17, 2), "ESP32_GENERIC_S3": (16, 15, 48), "ESP32_GENERIC_C3": (5, 4, 8)}

# Ranges of GPIOs, written down once more from Espressif's tables (ESP-IDF "GPIO Summary", datasheets): what is refused
# for TX, for RX, and what only warns there. All pins from -1 to 50 are tried; what is in no range is free.
TABLE = {
    "esp32": {
        "tx": "-1-3 5-12 15-15 20-20 24-24 28-31 34-50",
        "rx": "-1-3 5-12 15-15 20-20 24-24 28-31 40-50",
        "warned": "16-17",
    },
    "esp32s3": {"tx": "-1-0 3-3 19-20 22-32 43-46 49-50", "warned": "33-37"},
    "esp32c3": {"tx": "-1--1 2-2 8-9 11-50", "warned": ""},
}


def pins(ranges: str) -> set[int]:
    found: set[int] = set()
    for word in ranges.split():
        low, high = re.fullmatch(r"(-?\d+)-(-?\d+)", word).groups()  # type: ignore[union-attr]
        found.update(range(int(low), int(high) + 1))
    return found


@pytest.mark.parametrize("gpio", range(-1, 51))
@pytest.mark.parametrize("key", TABLE)
def test_pins_for_the_wire(key: str, gpio: int) -> None:
    chip, table = CHIPS[key], TABLE[key]
    for use in ("tx", "spare", "rx"):
        finding = chip.check(use, gpio)
        expected = None
        if gpio in pins(table["rx"] if use == "rx" and "rx" in table else table["tx"]):
            expected = REFUSED
        elif gpio in pins(table["warned"]):
            expected = WARNING
        assert (finding.severity if finding else None) == expected, (use, finding)
        if finding:
            assert str(gpio) in str(finding) and use.upper() in str(finding)


@pytest.mark.parametrize(
    ("key", "use", "gpio", "reason"),
    [
        ("esp32", "tx", 6, "flash"),
        ("esp32", "rx", 11, "flash"),
        ("esp32", "tx", 34, "input only"),
        ("esp32", "led", 39, "input only"),
        ("esp32", "tx", 12, "strapping"),
        ("esp32", "rx", 0, "strapping"),
        ("esp32", "tx", 1, "UART0"),
        ("esp32", "rx", 24, "no such pin"),
        ("esp32s3", "rx", 20, "USB"),
        ("esp32s3", "tx", 32, "flash"),
        ("esp32c3", "tx", 11, "flash"),
        ("esp32c3", "tx", 19, "USB"),
        ("esp32c3", "led", 22, "no such pin"),
        ("esp32c3", "led", 12, "flash"),
    ],
)
def test_the_reason_is_named(key: str, use: str, gpio: int, reason: str) -> None:
    finding = CHIPS[key].check(use, gpio)
    assert finding is not None and finding.severity == REFUSED and reason in finding.reason


def test_a_led_may_sit_on_a_strapping_pin_with_a_warning_and_rx_on_an_input() -> None:
    esp32 = CHIPS["esp32"]
    warning = esp32.check("led", 2)
    assert warning is not None and warning.severity == WARNING and "strapping" in warning.reason
    assert esp32.check("rx", 34) is None and esp32.check("rx", 39) is None


def test_chips_are_found_as_esptool_names_them() -> None:
    assert find_chip("ESP32-S3") is CHIPS["esp32s3"] is find_chip("esp32s3")
    assert find_chip("ESP8266") is None


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_profile_can_be_flashed_and_read_by_the_firmware(profile: Profile, tmp_path: Path) -> None:
    assert (profile.folder / "board.md").is_file()
    for one in (profile, *(profile.alternative(a.name) for a in profile.alternatives)):
        assert refused(one.check()) == []
        for interface in one.interfaces:
            fields = board_json(one, interface, 2**32 - 1)
            (tmp_path / "board.json").write_text(json.dumps(fields))
            code = (
                "from kline.device.board import load; b = load(); print(b.name, b.rx, b.tx, b.led, b.tx_invert, b.mode)"
            )
            done = subprocess.run(
                [find_micropython(), "-c", code],
                cwd=tmp_path,
                env={"MICROPYPATH": f"{ROOT}/boards/SIM/port:{ROOT}/boards/SIM:{ROOT}/firmware:.frozen"},
                capture_output=True,
                text=True,
                check=False,
            )
            mode = ("ibus", "obd").index(interface.mode)
            pins = one.pins
            read = f"{one.name} {pins.rx} {pins.tx} {pins.led} {interface.tx_invert} {mode}"
            assert done.stdout.strip() == read, done.stderr


@pytest.mark.parametrize("name", GENERIC)
def test_the_three_boards(name: str) -> None:
    profile = PROFILES[name]
    assert (profile.pins.rx, profile.pins.tx, profile.pins.led) == GENERIC[name]
    assert profile.can_be_flashed and profile.image is not None and not profile.image.checked
    inversion = {one.name: (one.tx_invert, one.mode) for one in profile.interfaces}
    assert inversion == {
        "ibus-pc817": (True, "ibus"),
        "kline-transistor": (False, "obd"),
        "kline-pc817": (True, "obd"),
    }
    assert profile.chip is not None and profile_for_chip(profile.chip.title) == profile


def test_a_wrover_has_other_pins() -> None:
    board = find_profile("esp32-generic")
    assert {f.gpio for f in board.check() if f.use in ("rx", "tx")} == {16, 17}
    wrover = board.alternative("wrover")
    assert (wrover.pins.rx, wrover.pins.tx, wrover.pins.led) == (26, 27, 2)
    assert not [f for f in wrover.check() if f.use in ("rx", "tx")]


def test_the_pictures_name_the_boards_pins_and_differ_in_nothing_else() -> None:
    pictures = set()
    for name in GENERIC:
        profile = PROFILES[name]
        text = (profile.folder / "board.md").read_text()
        text = text[text.index("## I/K-Bus") :]
        assert {int(n) for n in re.findall(r"GPIO (\d+)", text)} == {profile.pins.rx, profile.pins.tx}
        pictures.add(text.replace(f"RX (GPIO {profile.pins.rx})", "RX").replace(f"TX (GPIO {profile.pins.tx})", "TX"))
    assert len(pictures) == 1
    generic = (ROOT / "boards" / "ESP32_GENERIC" / "board.md").read_text()
    assert generic.split("```")[1] in (ROOT / "README.md").read_text()


def test_the_arithmetic_of_the_wiring_page() -> None:
    text = " ".join((ROOT / "docs" / "wiring.md").read_text().split())
    led_v = 1.2

    def line_ma(battery_v: float, line_v: float) -> float:
        return 1000 * ((battery_v - line_v) / 510 + (battery_v - led_v - line_v) / 4700)

    for battery_v in (12.0, 14.4):
        levels = (battery_v * 0.2, battery_v * 0.1)
        cells = " | ".join(f"{line_v:.1f} V | {line_ma(battery_v, line_v):.0f} mA" for line_v in levels)
        assert f"| {battery_v:.1f} V | {cells} |" in text
    led_ma = {ohm: 1000 * (3.3 - led_v) / (ohm + 30) for ohm in (220, 100)}
    assert f"/ 250 ohm = {led_ma[220]:.1f} mA, of which rank C passes on 200 %, {2 * led_ma[220]:.0f} mA" in text
    assert (
        f"/ 130 ohm = {led_ma[100]:.0f} mA at 200 %: {2 * led_ma[100]:.0f} mA, or {2 * 1000 * 1.9 / 130:.0f} mA" in text
    )
    worst_ma = led_ma[220] / 2
    worst = f"{worst_ma:.1f} mA x 510 ohm = {12 - 0.51 * worst_ma:.1f} V"
    assert worst in text and f"10 % of a bit, {100_000 / 10400:.1f} us" in text
    assert (
        "14.4 V into 1.85 V" in text and f"{14.4 / 7.8:.2f} V" == "1.85 V" and f"16 V becomes {16 / 7.8:.2f} V" in text
    )
    board = (ROOT / "boards" / "ESP32_GENERIC" / "board.md").read_text()
    assert f"takes {1000 * (12 - 2.4) / 510:.0f} mA through the 510 ohm" in board
    assert f"({worst_ma:.1f} mA)" in board and f"stands at {12 - 0.51 * worst_ma:.1f} V" in board


def test_the_password_is_written_only_when_there_is_one() -> None:
    board = PROFILES["ESP32_GENERIC"]
    interface = find_interface(board, "IBUS-PC817")
    assert "password" not in board_json(board, interface)
    assert board_json(board, interface, 0)["password"] == 0
    for wrong in (-1, 2**32):
        with pytest.raises(ProfileError, match="password"):
            board_json(board, interface, wrong)


def test_image_names() -> None:
    image = PROFILES["ESP32_GENERIC"].image
    assert image is not None
    for name in ("ESP32_GENERIC-20260406-v1.28.0.bin", "ESP32_GENERIC-SPIRAM-20251209-v1.27.0-preview.3.bin"):
        assert image.fits(name)
    for name in ("ESP32_GENERIC_S3-20260406-v1.28.0.bin", "ESP32_GENERIC-20260406-v1.28.0.elf", "firmware.bin"):
        assert not image.fits(name)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: find_profile("ESP99"), "no board is called 'ESP99'; there are ESP32_GENERIC,"),
        (lambda: profile_for_chip("ESP8266"), "no board here has the chip ESP8266; supported are ESP32,"),
        (lambda: PROFILES["SIM"].alternative("x"), "SIM: no alternative is called 'x'; there is: none"),
        (lambda: find_interface(PROFILES["SIM"], "rs232"), "no interface is called 'rs232'; SIM knows ibus-pc817,"),
    ],
)
def test_names_that_are_not_known(call: object, words: str) -> None:
    with pytest.raises(ProfileError, match=re.escape(words)):
        call()  # type: ignore[operator]


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """A tree with ESP32_GENERIC alone, one line of its board.toml changed."""
    shutil.copytree(ROOT / "boards" / "ESP32_GENERIC", tmp_path / "boards" / "ESP32_GENERIC")
    shutil.copy(ROOT / "boards" / "interfaces.toml", tmp_path / "boards")
    path = tmp_path / "boards" / "ESP32_GENERIC" / "board.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "ESP32_GENERIC"', 'name = "OTHER"', "'OTHER' is not the folder's name"),
        ('chip = "esp32"', 'chip = "esp8266"', "chip: 'esp8266' is not in"),
        ("flash_offset = 0x1000", "flash_offset = 0", "flash_offset: an ESP32 starts from 0x1000, not 0"),
        ("rx = 16\n", "", "rx is missing"),
        ("rx = 16", 'rx = "16"', "rx: '16' is not of type int"),
        ("rx = 16", "rx = true", "rx: True is not of type int"),
        ("rx = 16", "rx = 17", "a GPIO is named twice"),
        ("led_on = 1", "led_on = 1\nvin_pin = 34", "expected both, or none"),
        ("led_on = 1", "led_on = 1\nvin_pin = 16\nvin_ratio = 7.8", "a GPIO is named twice"),
        ("led_on = 1", "led_on = 1\ncolour = 3", "unknown: colour"),
        ('sha256 = "cd', 'sha256 = "xy', "is not 64 lower-case hex digits"),
        ("ESP32_GENERIC-20260406", "ESP32_GENERIC_S3-20260406", "is not named like an image for ESP32_GENERIC"),
        ('[alternatives.WROVER]\nwhen = "', '[alternatives.WROVER]\nwhy = "', "when is missing"),
        ("[board]\nboard", "[board\nboard", "board.toml:"),
    ],
)
def test_what_is_wrong_in_a_board_toml_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ProfileError, match=re.escape(words)) as told:
        load_profiles(edited(tmp_path, old, new))
    assert "board.toml" in str(told.value)


def test_another_board_is_one_folder_more(tmp_path: Path) -> None:
    """As boards/README.md says: the pattern with another name, other pins, and the image that it had."""
    tree = edited(tmp_path, "rx = 16", "rx = 16")
    mine = tree / "boards" / "MY_BOARD"
    shutil.copytree(tree / "boards" / "ESP32_GENERIC", mine)
    text = (mine / "board.toml").read_text().replace('"ESP32_GENERIC"', '"MY_BOARD"').replace("tx = 17", "tx = 21")
    (mine / "board.toml").write_text(text)
    with pytest.raises(ProfileError, match=r"MY_BOARD.board.toml \[image\]: url: .*can be said by board"):
        load_profiles(tree)
    (mine / "board.toml").write_text(text.replace("[image]", '[image]\nboard = "ESP32_GENERIC"'))
    profile = find_profile("my-board", tree)
    assert profile.image is not None and profile.image.board == "ESP32_GENERIC"
    assert board_json(profile, find_interface(profile, "ibus-pc817"))["tx"] == 21
    assert profile_for_chip("ESP32", tree).name == "ESP32_GENERIC", "who does not name a board has the generic one"


def test_a_board_may_bring_an_interface_of_its_own(tmp_path: Path) -> None:
    stage = (
        '[interfaces.own]\ndescription = "on the board"\ntx_invert = false\nrx_invert = true\nmode = "obd"\n\n[board]'
    )
    board = load_profiles(edited(tmp_path, "[board]\nboard", stage + "\nboard"))["ESP32_GENERIC"]
    fields = board_json(board, find_interface(board, "own"))
    assert (fields["tx_invert"], fields["rx_invert"], fields["mode"]) == (False, True, "obd")
    assert find_interface(board, "ibus-pc817")


def test_a_refused_pin_is_shown_and_never_written(tmp_path: Path) -> None:
    board = load_profiles(edited(tmp_path, "tx = 17", "tx = 34"))["ESP32_GENERIC"]
    assert [str(f) for f in refused(board.check())] == ["TX on GPIO 34: is an input only on the ESP32"]
    with pytest.raises(ProfileError, match="TX on GPIO 34: is an input only"):
        board_json(board, board.interfaces[0])


def test_a_pin_that_sees_the_supply_voltage(tmp_path: Path) -> None:
    board = load_profiles(edited(tmp_path, "led_on = 1", "led_on = 1\nvin_pin = 34\nvin_ratio = 7.8"))["ESP32_GENERIC"]
    fields = board_json(board, board.interfaces[0])
    assert (fields["vin_pin"], fields["vin_ratio"]) == (34, 7.8)
    assert "vin_pin" not in board_json(PROFILES["ESP32_GENERIC"], board.interfaces[0])


@pytest.mark.parametrize(("key", "first", "last"), [("esp32", 32, 39), ("esp32s3", 1, 10), ("esp32c3", 0, 4)])
def test_only_adc1_sees_a_voltage(key: str, first: int, last: int) -> None:
    chip = CHIPS[key]
    free = {gpio for gpio in chip.exists if chip.check("vin", gpio) is None}
    assert free == set(range(first, last + 1)) - chip.strapping
    for gpio in (first - 1, last + 1):
        finding = chip.check("vin", gpio)
        assert finding is not None and finding.severity == REFUSED


def test_the_command_lists_shows_and_tells_json() -> None:
    listed = CliRunner().invoke(main, ["boards"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == sorted(PROFILES)
    shown = CliRunner().invoke(main, ["boards", "esp32_generic"])
    for words in ("RX 16, TX 17, LED 2", "WROVER: RX 26", "kline-transistor", "download address not verified", "BC337"):
        assert words in shown.stdout
    objects = [json.loads(line) for line in CliRunner().invoke(main, ["boards", "--json"]).stdout.splitlines()]
    pins = {one["name"]: one["pins"]["tx"] for one in objects if one["chip"]}
    assert {name: tx for name, (_, tx, _) in GENERIC.items()}.items() <= pins.items()
    wrong = CliRunner().invoke(main, ["boards", "ESP99"])
    assert wrong.exit_code == 1 and wrong.stdout == "" and "there are ESP32_GENERIC" in wrong.stderr
