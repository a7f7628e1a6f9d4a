"""Board profiles: pins, image and wiring of each board that the firmware is flashed to, and what may be chosen.

    boards/NAME/board.toml     chip, flash offset, MicroPython image, pins, alternatives
    boards/NAME/board.md       the wiring, for people
    boards/interfaces.toml     kinds of stage between board and wire: inversion, and the mode that the board starts in

    profiles = load_profiles()                    # {"ESP32_GENERIC": Profile, ..}, "SIM" among them
    profile = find_profile("esp32_generic")       # ProfileError with the names there are
    profile = profile_for_chip("ESP32-S3")        # what esptool says, or its --chip word
    profile = profile.alternative("WROVER")       # the same board with other pins
    interface = find_interface(profile, "kline-transistor")
    profile.check()                               # [Finding]: chips.refused() of it must be empty
    board_json(profile, interface, password=None) # the fields of board.json, as the firmware reads them

A profile on which a pin is refused can be loaded and checked; board_json() raises ProfileError for it. The password is
the 32-bit one of updates through the gateway; without it they are refused. `profile.image` is None for the virtual
board, which can't be flashed.
"""

from __future__ import annotations

from pathlib import Path

from openkline.boards.chips import find_chip, refused
from openkline.boards.profile import Interface, Profile, ProfileError, read_profile, read_toml
from openkline.programs import find_tree

_PASSWORDS = range(2**32)


def load_profiles(root: Path | None = None) -> dict[str, Profile]:
    """All boards below root/boards, by name; root: the source tree or the installed package's data."""
    boards = (root or find_tree()) / "boards"
    common = read_toml(boards / "interfaces.toml") if (boards / "interfaces.toml").exists() else {}
    found = [read_profile(path, common) for path in sorted(boards.glob("*/board.toml"))]
    return {profile.name: profile for profile in found}


def find_profile(name: str, root: Path | None = None) -> Profile:
    """The board of that name, whatever the case. ProfileError: there is none."""
    profiles = load_profiles(root)
    for profile in profiles.values():
        if profile.name.lower() == name.lower().replace("-", "_"):
            return profile
    raise ProfileError(f"no board is called {name!r}; there are {', '.join(profiles)}")


def profile_for_chip(name: str, root: Path | None = None) -> Profile:
    """The generic board with that chip (a name of esptool's). ProfileError: none has it."""
    chip = find_chip(name)
    having = [p for p in load_profiles(root).values() if p.chip is not None and p.chip == chip]
    generic = [p for p in having if p.name.startswith("ESP32_GENERIC")]
    for profile in generic or having:
        return profile
    titles = sorted({p.chip.title for p in load_profiles(root).values() if p.chip is not None})
    raise ProfileError(f"no board here has the chip {name}; supported are {', '.join(titles)}")


def find_interface(profile: Profile, name: str) -> Interface:
    """The kind of stage of that name. ProfileError: there is none."""
    for interface in profile.interfaces:
        if interface.name.lower() == name.lower():
            return interface
    names = ", ".join(interface.name for interface in profile.interfaces)
    raise ProfileError(f"no interface is called {name!r}; {profile.name} knows {names}")


def board_json(profile: Profile, interface: Interface, password: int | None = None) -> dict[str, object]:
    """The fields of board.json. ProfileError: a pin is refused, or the password is no 32-bit number."""
    bad = refused(profile.check())
    if bad:
        raise ProfileError(f"{profile.name}: {'; '.join(map(str, bad))}")
    pins = profile.pins
    fields: dict[str, object] = {
        "board": profile.name,
        "uart": pins.uart,
        "rx": pins.rx,
        "tx": pins.tx,
        "spare": pins.spare,
        "led": pins.led,
        "led_on": pins.led_on,
        "tx_invert": interface.tx_invert,
        "rx_invert": interface.rx_invert,
        "mode": interface.mode,
    }
    if pins.vin_pin is not None:
        fields |= {"vin_pin": pins.vin_pin, "vin_ratio": pins.vin_ratio}
    if password is not None:
        if password not in _PASSWORDS:
            raise ProfileError(f"the password must be from 0 to {_PASSWORDS[-1]}, not {password}")
        fields["password"] = password
    return fields
