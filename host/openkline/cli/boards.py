"""`openkline boards`: the supported boards, their pins and wiring."""

from __future__ import annotations

import json
from dataclasses import asdict

import rich_click as click

from openkline.boards import catalogue as boards_module
from openkline.boards.profile import Pins, Profile
from openkline.cli.common import json_option
from openkline.cli.markdown import plain
from openkline.terminal import echo


@click.command(epilog="Examples: openkline boards; openkline boards ESP32_GENERIC; openkline boards --json")
@click.argument("name", required=False)
@json_option
def boards(name: str | None, as_json: bool) -> None:
    """List the supported boards, their pins and wiring.

    With NAME, show that board's pins, interfaces, firmware image and wiring diagram. To add a board, see
    boards/README.md in the source tree.
    """
    found = [boards_module.find_profile(name)] if name else list(boards_module.load_profiles().values())
    for profile in found:
        if as_json:
            echo(json.dumps(_as_object(profile)), wrap=False)
        elif name:
            _show(profile)
        else:
            echo(f"{profile.name:<18} {_pins_in_words(profile.pins):<24} {profile.description}")
    if not name and not as_json:
        echo("for wiring and details: openkline boards NAME", err=True)


def _pins_in_words(pins: Pins) -> str:
    led = "none" if pins.led is None else pins.led
    return f"RX {pins.rx}, TX {pins.tx}, LED {led}"


def _show(profile: Profile) -> None:
    chip = f"{profile.chip.title}, flashed from 0x{profile.flash_offset:X}" if profile.chip else "none"
    echo(f"{profile.name}: {profile.description}\n")
    echo(f"chip          {chip}")
    echo(f"pins          {_pins_in_words(profile.pins)}")
    for one in profile.alternatives:
        echo(f"alternative   {one.name}: {_pins_in_words(one.pins)} ({one.when})")
    for interface in profile.interfaces:
        echo(f"interface     {interface.name}: {interface.description}")
    if profile.image is not None:
        unchecked = "" if profile.image.checked else " (download address not verified)"
        echo(f"MicroPython   {profile.image.file}{unchecked}")
    for sentence in (*map(str, profile.check()), *profile.notes):
        echo(f"note          {sentence}")
    echo()
    for line, may_wrap in plain((profile.folder / "board.md").read_text(encoding="utf-8").rstrip()):
        echo(line, wrap=may_wrap)


def _as_object(profile: Profile) -> dict[str, object]:
    image = profile.image
    return {
        "name": profile.name,
        "description": profile.description,
        "chip": profile.chip.key if profile.chip else None,
        "flash_offset": profile.flash_offset,
        "image": {"url": image.url, "sha256": image.sha256, "checked": image.checked} if image else None,
        "pins": _pins(profile.pins),
        "alternatives": {one.name: _pins(one.pins) for one in profile.alternatives},
        "interfaces": {
            one.name: {"tx_invert": one.tx_invert, "rx_invert": one.rx_invert, "mode": one.mode}
            for one in profile.interfaces
        },
        "findings": [
            {"use": f.use, "gpio": f.gpio, "severity": f.severity, "reason": f.reason} for f in profile.check()
        ],
        "notes": list(profile.notes),
    }


def _pins(pins: Pins) -> dict[str, object]:
    return asdict(pins)
