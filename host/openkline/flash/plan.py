"""What is to be done with which board: decided before anything is changed, and printed by --dry-run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openkline.boards.catalogue import find_interface, find_profile, load_profiles, profile_for_chip
from openkline.boards.profile import Interface, Profile, ProfileError
from openkline.flash import images, memory
from openkline.flash.trouble import FlashError
from openkline.words import plural

Choose = Callable[[str, list[str]], int | None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person said; None: nothing. mirror: address of a folder of images; erase: even if nothing needs it."""

    device: str | None = None
    board: str | None = None
    firmware: Path | None = None
    interface: str | None = None
    pins: str | None = None
    password: int | None = None
    mirror: str | None = None
    baud: int | None = None
    erase: bool = False


def check(wishes: Wishes) -> None:
    """What is known without a board. FlashError, ProfileError: a name in the wishes has no meaning."""
    if wishes.device == "sim":
        raise FlashError(
            "the virtual board has its firmware already, and can't be flashed. Try: openkline bridge -d sim"
        )
    if wishes.firmware is not None:
        try:
            wishes.firmware.open("rb").close()
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            why = "there is no such file" if gone else f"can't be read ({error.strerror})"
            raise FlashError(f"{wishes.firmware}: {why}. Name the MicroPython image that you have") from error
    every = [profile for profile in load_profiles().values() if profile.can_be_flashed]
    profiles = [choose_profile(wishes, None)] if wishes.board else every
    if wishes.interface is not None:
        _known(profiles, lambda profile: find_interface(profile, wishes.interface or ""))
    if wishes.pins is not None:
        _known(profiles, lambda profile: choose_pins(wishes, profile, None))


def _known(profiles: list[Profile], look: Callable[[Profile], object]) -> None:
    """Raises what `look` raises, when it does for each of them."""
    for profile in profiles:
        try:
            look(profile)
            return
        except ProfileError as error:
            trouble = error
    raise trouble


def choose_profile(wishes: Wishes, chip: str | None, port: str = "", known: memory.Choice | None = None) -> Profile:
    """The board that was named, or was it last time, or that has this chip. FlashError: it can't be flashed, or has
    another chip."""
    if wishes.board is None:
        assert chip is not None
        generic = profile_for_chip(chip)
        before = load_profiles().get(known.board) if known is not None else None
        return before if before is not None and before.chip == generic.chip else generic
    profile = find_profile(wishes.board)
    if profile.chip is None or not profile.can_be_flashed:
        raise FlashError(f"{profile.name} can't be flashed: it is the virtual board. Use it with -d sim")
    if chip is not None and chip.upper() != profile.chip.title.upper():
        raise FlashError(
            f"{port}: the chip is an {chip}, but {profile.name} has an {profile.chip.title}. "
            "Leave out --board (BOARD=): the board is then chosen by its chip"
        )
    return profile


def choose_pins(wishes: Wishes, profile: Profile, known: memory.Choice | None) -> tuple[Profile, str]:
    """-> the profile with these pins, and the alternative's name; "" for the usual ones."""
    name = wishes.pins if wishes.pins is not None else known.pins if known is not None else ""
    if name in ("", "usual"):
        return profile, ""
    return profile.alternative(name), name


def choose_interface(
    wishes: Wishes, profile: Profile, known: memory.Choice | None, choose: Choose
) -> tuple[Interface, str]:
    """-> the interface and who said so."""
    if wishes.interface is not None:
        return find_interface(profile, wishes.interface), "as named"
    if known is not None and known.board == profile.name:
        try:
            return find_interface(profile, known.interface), "as last time"
        except ProfileError:
            pass  # its name has changed: ask again
    lines = [f"{one.name:<17} {one.description}" for one in profile.interfaces]
    number = choose("What is between the board and the car's wire?", lines)
    if number is None:
        listed = "".join(f"\n  {line}" for line in lines)
        raise FlashError(f"which interface is connected to the board? Name it: --interface NAME, one of{listed}")
    return profile.interfaces[number], "as chosen"


def describe(wishes: Wishes, port: str, why: str, modules: dict[str, bytes]) -> list[str]:
    """The plan in lines, without asking the board anything."""
    profile = choose_profile(wishes, None) if wishes.board else None
    board = "as last time for this board, else the one with its chip (esptool finds it)"
    pins = f", pins {wishes.pins}" if wishes.pins is not None else ""
    image = "the one of that board"
    if profile is not None and profile.image is not None and profile.flash_offset is not None:
        board = f"{profile.name}, if the chip is an {profile.chip.title if profile.chip else '?'}"
        image = f"{image_words(profile, wishes)}, to 0x{profile.flash_offset:X}"
    elif wishes.firmware is not None:
        image = str(wishes.firmware)
    interface = wishes.interface or "as last time for this board, else you are asked"
    size = sum(map(len, modules.values()))
    erased = "whole, files included" if wishes.erase else "whole, files included, unless it holds the image already"
    return [
        f"board      {port} ({why})",
        "chip       enter its boot loader, ask for chip and id",
        f"profile    {board}",
        f"interface  {interface}{pins}",
        f"image      {image}; verified by its digests",
        f"erase      {erased}",
        "write      the image, compared by MD5 sums",
        "start      reset, wait for MicroPython's prompt",
        f"modules    {plural(len(modules), 'file')}, {plural(size, 'byte')}; those that differ by SHA-256",
        "settings   main.py, board.json, boot.json",
        "self-test  restart, HELLO, versions, round trips, counters",
    ]


def image_words(profile: Profile, wishes: Wishes) -> str:
    assert profile.image is not None
    if wishes.firmware is not None:
        return str(wishes.firmware)
    cached = images.cache_folder() / profile.image.file
    if cached.is_file():
        return str(cached)
    where = images.address(profile.image, wishes.mirror)
    return where if profile.image.checked or wishes.mirror else f"{where} (an address that we have not checked)"
