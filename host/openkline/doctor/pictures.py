"""The stage as it should be: the drawing of boards/NAME/board.md, and where to look in it."""

from __future__ import annotations

import re

from kline.protocol.link import records
from openkline.doctor.facts import WireFacts
from openkline.errors import SimulatorError
from openkline.programs import find_tree

PLACES = {
    "supply": "the supply from +12 V, and the resistors connected to it",
    "bus": "the wire to the car's bus, and what else is on it",
    "rx_pull": "the 4k7 from RX to 3V3",
    "rx_wire": "the wire between the stage and RX",
    "rx_stage": "the receiving half: its LED the right way round between supply and bus, its transistor from RX to GND",
    "tx_stage": "the sending half: its LED the right way round and the resistor before it, its transistor to ground",
    "tx_wire": "the wire between TX and the stage",
    "tx_pull": "the 10k at TX",
}
_FALLBACK = "ESP32_GENERIC"  # of a board without drawings of its own: the stages are the same
_DRAWN_AS = {"kline-pc817": "ibus-pc817"}  # the same parts, other values: in words


def interface_of(wire: WireFacts) -> str:
    """The kind of stage (boards/interfaces.toml) that has the board's mode and inversion."""
    if wire.mode != records.MODE_OBD:
        return "ibus-pc817"
    return "kline-pc817" if wire.tx_invert else "kline-transistor"


def picture(board: str, wire: WireFacts, places: tuple[str, ...]) -> list[str]:
    """The stage's drawing with this board's pins, and the places to look at; without drawing where there is no file."""
    interface = interface_of(wire)
    section = _section(board, interface) or _section(_FALLBACK, interface)
    drawn = section if "```" in section else _section(_FALLBACK, _DRAWN_AS.get(interface, interface))
    lines = [*_drawing(drawn, wire), ""] if drawn else []
    if drawn != section:
        lines += [*section.split("\n\n")[0].split("\n"), ""]
    return lines + [f"  - {PLACES[place]}" for place in places]


def _section(board: str, interface: str) -> str:
    """What board.md says below the heading with this interface; "" when it has none."""
    try:
        text = (find_tree() / "boards" / board / "board.md").read_text("utf-8")
    except (OSError, SimulatorError):
        return ""
    found = re.search(rf"^## [^\n]*`{re.escape(interface)}`\n+(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def _drawing(section: str, wire: WireFacts) -> list[str]:
    found = re.search(r"^```\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    text = found.group(1) if found else ""
    for name, pin in (("RX", wire.rx_pin), ("TX", wire.tx_pin)):
        text = re.sub(rf"{name} \(GPIO \d+\)", f"{name} (GPIO {pin})", text)
    return text.split("\n") if text else []
