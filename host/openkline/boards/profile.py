"""One board's profile: a folder below boards/ with its board.toml, as classes, and how it is read and checked.

boards.py has which there are, and what becomes of one on a board.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openkline.boards.chips import Chip, Finding, find_chip
from openkline.documents import parse_toml, read_text
from openkline.errors import OpenklineError

MODES = ("ibus", "obd")
_NO_CHIP = "none"  # of the virtual board


class ProfileError(OpenklineError):
    """A board.toml that can't be used, or a name that is no board, interface or alternative."""


@dataclass(frozen=True, slots=True)
class Image:
    """Which MicroPython the board gets.

    board    MicroPython's name for it; that of a generic board with the same chip will do
    file     the image that the address below gives
    url      where it is downloaded from
    page     where a person finds all images of the board
    sha256   hex digits, or None when none is recorded
    checked  whether somebody of this project has downloaded and flashed exactly this image
    """

    board: str
    file: str
    url: str
    page: str
    sha256: str | None
    checked: bool

    def fits(self, name: str) -> bool:
        """Whether a file of this name is an image for this board: BOARD[-VARIANT]-YYYYMMDD-vX.Y.Z[..].bin."""
        return re.fullmatch(rf"{re.escape(self.board)}(-[A-Z0-9_]+)?-\d{{8}}-v\d+\.\d+.*\.bin", name) is not None


@dataclass(frozen=True, slots=True)
class Interface:
    """A kind of stage. mode: what the application does after its start."""

    name: str
    description: str
    tx_invert: bool
    rx_invert: bool
    mode: str


@dataclass(frozen=True, slots=True)
class Pins:
    """GPIO numbers and the UART's number; led_on: the level that lights the LED.

    vin_pin    sees the supply voltage through a divider; vin_ratio: supply voltage by voltage at that pin
    """

    uart: int
    rx: int
    tx: int
    spare: int | None
    led: int | None
    led_on: int
    vin_pin: int | None
    vin_ratio: float | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """Other pins for some modules. when: which."""

    name: str
    when: str
    pins: Pins


@dataclass(frozen=True, slots=True)
class Profile:
    """One folder below boards/. chip: None for the virtual board; notes: sentences that flash shows."""

    name: str
    description: str
    folder: Path
    chip: Chip | None
    flash_offset: int | None
    image: Image | None
    pins: Pins
    alternatives: tuple[Alternative, ...]
    interfaces: tuple[Interface, ...]
    notes: tuple[str, ...]

    @property
    def can_be_flashed(self) -> bool:
        return self.image is not None

    def alternative(self, name: str) -> Profile:
        """This board with the pins of an alternative. ProfileError: there is none of that name."""
        for one in self.alternatives:
            if one.name.lower() == name.lower():
                return replace(self, pins=one.pins)
        names = ", ".join(one.name for one in self.alternatives) or "none"
        raise ProfileError(f"{self.name}: no alternative is called {name!r}; there is: {names}")

    def check(self) -> list[Finding]:
        """What speaks against the pins on this chip, refused ones and warnings."""
        if self.chip is None:
            return []
        pins = self.pins
        uses = {"rx": pins.rx, "tx": pins.tx, "spare": pins.spare, "led": pins.led, "vin": pins.vin_pin}
        found = (self.chip.check(use, gpio) for use, gpio in uses.items() if gpio is not None)
        return [finding for finding in found if finding is not None]


# -- from TOML ---------------------------------------------------------------------------------------------------------


class _Table:
    """A table of a TOML file; errors name file and key; a key that has no meaning is an error."""

    def __init__(self, where: str, fields: Mapping[str, Any]) -> None:
        self.where = where
        self._fields = dict(fields)

    def take(self, key: str, kind: type, default: Any = ...) -> Any:
        if key not in self._fields:
            if default is ...:
                raise ProfileError(f"{self.where}: {key} is missing")
            return default
        value = self._fields.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ProfileError(f"{self.where}: {key}: {value!r} is not of type {kind.__name__}")
        return value

    def table(self, key: str) -> _Table:
        return _Table(f"{self.where} [{key}]", self.take(key, dict, {}))

    def tables(self, key: str) -> list[_Table]:
        """The named tables below `key`."""
        return [_Table(f"{self.where} [{key}.{name}]", {"name": name, **dict(fields)})
                for name, fields in self.take(key, dict, {}).items()]  # fmt: skip

    def end(self) -> None:
        if self._fields:
            raise ProfileError(f"{self.where}: unknown: {', '.join(self._fields)}")


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_text(path))
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ProfileError(f"{path}: {error}") from error


def read_profile(path: Path, common: Mapping[str, Any]) -> Profile:
    """The profile of a board.toml; common: what interfaces.toml says for all. ProfileError names file and key."""
    top = _Table(str(path), read_toml(path))
    name = top.take("name", str)
    if name != path.parent.name:
        raise ProfileError(f"{path}: name: {name!r} is not the folder's name")
    word = top.take("chip", str)
    chip = find_chip(word)
    if chip is None and word != _NO_CHIP:
        raise ProfileError(f"{path}: chip: {word!r} is not in host/openkline/boards/chips.py")
    offset = top.take("flash_offset", int, None)
    if chip is not None and offset != chip.flash_offset:
        raise ProfileError(f"{path}: flash_offset: an {chip.title} starts from 0x{chip.flash_offset:X}, not {offset}")
    board = top.table("board")
    if board.take("board", str) != name:
        raise ProfileError(f"{path} [board]: board is not {name!r}")
    pins = _pins(board, None)
    if chip is None:  # nobody chooses an interface for the virtual board: its stage is in its table
        for key in ("tx_invert", "rx_invert"):
            board.take(key, bool)
    shared = _Table("boards/interfaces.toml", common)
    interfaces = [_interface(table) for table in [*shared.tables("interfaces"), *top.tables("interfaces")]]
    profile = Profile(
        name=name,
        description=top.take("description", str),
        folder=path.parent,
        chip=chip,
        flash_offset=offset,
        image=_image(name, top.table("image")) if chip is not None else None,
        pins=pins,
        alternatives=tuple(_alternative(table, pins) for table in top.tables("alternatives")),
        interfaces=tuple({one.name: one for one in interfaces}.values()),
        notes=tuple(top.take("notes", list, [])),
    )
    for table in (top, board):
        table.end()
    return profile


def _pins(table: _Table, base: Pins | None) -> Pins:
    """Pins of a table; what it leaves out is as in `base`."""
    required: Any = ...
    pins = Pins(
        uart=table.take("uart", int, base.uart if base else 1),
        rx=table.take("rx", int, base.rx if base else required),
        tx=table.take("tx", int, base.tx if base else required),
        spare=table.take("spare", int, base.spare if base else None),
        led=table.take("led", int, base.led if base else None),
        led_on=table.take("led_on", int, base.led_on if base else 1),
        vin_pin=table.take("vin_pin", int, base.vin_pin if base else None),
        vin_ratio=table.take("vin_ratio", float, base.vin_ratio if base else None),
    )
    used = [gpio for gpio in (pins.rx, pins.tx, pins.spare, pins.led, pins.vin_pin) if gpio is not None]
    if len(set(used)) != len(used):
        raise ProfileError(f"{table.where}: rx, tx, spare, led and vin_pin: a GPIO is named twice among {used}")
    if (pins.vin_pin is None) != (pins.vin_ratio is None):
        raise ProfileError(f"{table.where}: vin_pin and vin_ratio: expected both, or none of them")
    return pins


def _alternative(table: _Table, base: Pins) -> Alternative:
    one = Alternative(name=table.take("name", str), when=table.take("when", str), pins=_pins(table, base))
    table.end()
    return one


def _interface(table: _Table) -> Interface:
    mode = table.take("mode", str)
    if mode not in MODES:
        raise ProfileError(f"{table.where}: mode: {mode!r} is not one of {', '.join(MODES)}")
    one = Interface(
        name=table.take("name", str),
        description=table.take("description", str),
        tx_invert=table.take("tx_invert", bool),
        rx_invert=table.take("rx_invert", bool, False),
        mode=mode,
    )
    table.end()
    return one


def _image(name: str, table: _Table) -> Image:
    board = table.take("board", str, name)
    url = table.take("url", str)
    sha256 = table.take("sha256", str, None)
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ProfileError(f"{table.where}: sha256: {sha256!r} is not 64 lower-case hex digits")
    image = Image(
        board=board,
        file=url.rsplit("/", 1)[-1],
        url=url,
        page=table.take("page", str),
        sha256=sha256,
        checked=table.take("checked", bool),
    )
    table.end()
    if not image.fits(image.file):
        raise ProfileError(
            f"{table.where}: url: {image.file!r} is not named like an image for {board}: which board of MicroPython's "
            "it is for can be said by board"
        )
    return image
