"""The steps of `openkline flash`, in their order. Each leaves the board so that a next run finishes the job."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from kline.version import VERSION
from openkline.boards.catalogue import board_json
from openkline.boards.profile import Interface, Profile
from openkline.device import ports
from openkline.device.port import port_for
from openkline.device.prompt import NoPrompt, reach_prompt
from openkline.device.welcome import GOOD_MICROPYTHON, OLDEST_MICROPYTHON
from openkline.firmware.modules import compile_modules
from openkline.flash import find, images, memory, plan, selftest
from openkline.flash.esp import BootLoader, Found
from openkline.flash.files import BoardFiles, Seen, sha256
from openkline.flash.plan import Choose, Wishes
from openkline.flash.progress import Progress
from openkline.flash.trouble import HOLD_BOOT, FlashError
from openkline.programs import find_tree
from openkline.update import passwords
from openkline.words import plural

STEPS = 10
_PROMPT_S = 30.0  # a new file system is made at the first start: seconds on a big flash
_BY_HAND_S = 120.0  # until somebody has pressed the button


@dataclass(frozen=True, slots=True)
class Done:
    """What there is now, for the words at the end."""

    port: str
    profile: Profile
    interface: Interface
    password: int
    unique_id: str


class Flasher:
    def __init__(self, wishes: Wishes, progress: Progress, choose: Choose) -> None:
        self.wishes = wishes
        self.progress = progress
        self._choose = choose

    def choose(self, question: str, lines: list[str]) -> int | None:
        with self.progress.paused():
            return self._choose(question, lines)

    def run(self) -> Done:
        plan.check(self.wishes)
        port, loader, found = self._find()
        profile, interface = self._wiring(port, found)
        image = self._image(profile, found)
        self._write(loader, profile, image)
        files = self._start(loader)
        seen = self._copy_modules(files, profile)
        password = self._settings(files, seen, profile, interface)
        self._self_test(files)
        return Done(port, profile, interface, password, seen.unique_id)

    def _find(self) -> tuple[str, BootLoader, Found]:
        with self.progress.step("board") as step:
            port, why = find.find_port(self.wishes.device, self.choose)
            step.result = f"{port} ({why})"
        loader = BootLoader(port, self.wishes.baud)
        with self.progress.step("chip") as step:
            if not loader.can_reset:
                step.say(f"over a TCP socket the board can't be reset from here. If this stops: {HOLD_BOOT}")
            step.wait("entering its boot loader")
            found = loader.detect()
            step.result = f"{found.chip}, id {found.mac}"
        return port, loader, found

    def _wiring(self, port: str, found: Found) -> tuple[Profile, Interface]:
        """Which board it is, and what hangs on it: from now on remembered."""
        with self.progress.step("interface") as step:
            known = memory.recall(found.mac)
            profile = plan.choose_profile(self.wishes, found.chip, port, known)
            if known is not None and known.board != profile.name:
                known = None
            profile, pins = plan.choose_pins(self.wishes, profile, known)
            interface, why = plan.choose_interface(self.wishes, profile, known, self.choose)
            board_json(profile, interface)  # refuses pins before anything is erased
            memory.remember(found.mac, memory.Choice(profile.name, interface.name, pins))
            words = f"RX {profile.pins.rx}, TX {profile.pins.tx}"
            step.result = f"{profile.name}, {interface.name} {why}, {words}{f' ({pins})' if pins else ''}"
            for note in () if pins else profile.notes:  # they are about the usual pins
                step.say(note)
        return profile, interface

    def _image(self, profile: Profile, found: Found) -> images.Whole:
        assert profile.image is not None
        with self.progress.step("MicroPython") as step:
            path, where = images.obtain(profile.image, self.wishes.firmware, self.wishes.mirror, step.bar)
            try:
                whole = images.verify(path, profile, step.bar)
            except FlashError as error:
                if self.wishes.firmware is not None:
                    raise
                path.unlink(missing_ok=True)
                raise FlashError(f"{error}. The bad file is removed: run this again to download it again") from error
            if found.flash_bytes is not None and whole.needs > found.flash_bytes:
                raise FlashError(
                    f"{path.name}: is for {_mib(whole.needs)} of flash, but the board has {_mib(found.flash_bytes)}. "
                    f"Name an image for that with --firmware; {profile.image.page} lists them"
                )
            step.result = f"{path.name}, {where}, digests are right"
        return whole

    def _write(self, loader: BootLoader, profile: Profile, image: images.Whole) -> None:
        chip, offset = profile.chip, profile.flash_offset
        assert chip is not None and offset is not None
        with self.progress.step("erase") as step:
            step.wait("comparing the flash with the image")
            there = not self.wishes.erase and loader.holds(chip, image.path, image.fixed)
            if there:
                step.result = "not needed: this MicroPython is there already"
            else:
                step.wait("up to a minute")
                loader.erase(chip)
                step.result = "the whole flash"
        with self.progress.step("write") as step:
            if there:
                step.result = "not needed"
            else:
                loader.write(chip, image.path, offset, step.bar)
                step.result = f"{image.size // 1024} KiB to 0x{offset:X}, compared"

    def _start(self, loader: BootLoader) -> BoardFiles:
        with self.progress.step("start") as step:
            if not loader.can_reset:
                step.say("press and release the board's EN (or RST) button now")
            step.wait("waiting for MicroPython's prompt")
            timeout_s = _PROMPT_S if loader.can_reset else _BY_HAND_S
            try:
                asyncio.run(reach_prompt(port_for(loader.port), timeout_s, comes_back=True, last_resort=HOLD_BOOT))
            except NoPrompt as error:
                raise FlashError(str(error)) from error
            step.result = "MicroPython's prompt is there"
        return BoardFiles(loader.port)

    def _copy_modules(self, files: BoardFiles, profile: Profile) -> Seen:
        """The active slot, slot.json as its last file."""
        with self.progress.step("modules") as step:
            step.wait("compiling")
            modules = compile_modules()
            step.wait("comparing")
            seen = files.look()
            _check_version(files.port, seen)
            slot = active_slot(seen)
            wanted = {f"{slot}/{path}": data for path, data in modules.items()}
            stale = [path for path in seen.sha256 if path.startswith(f"{slot}/kline/") and path not in wanted]
            label = f"{slot}/slot.json"
            wanted[label] = slot_json(profile.name, modules)
            changed = [path for path, data in wanted.items() if seen.sha256.get(path) != sha256(data)]
            if changed and label in seen.sha256:
                stale = [label, *stale]  # what is half new must not be started
            written = files.put(seen, wanted, stale, step.bar)
            if changed or stale:
                seen = files.look("comparing the copied files")
                wrong = [path for path, data in wanted.items() if seen.sha256.get(path) != sha256(data)]
                if wrong:
                    raise FlashError(
                        f"{files.port}: {wrong[0]} did not arrive as it was copied. Try another cable, "
                        "then run this again"
                    )
            step.result = f"{len(written)} of {plural(len(wanted), 'file')} copied to slot {slot}"
        return seen

    def _settings(self, files: BoardFiles, seen: Seen, profile: Profile, interface: Interface) -> int:
        with self.progress.step("settings") as step:
            password = self._password(seen)
            main = (find_tree() / "firmware" / "main.py").read_bytes()
            settings = _kept(seen, profile) | board_json(profile, interface, password)
            boot: dict[str, object] = {"slot": active_slot(seen)}
            passwords.remember(seen.unique_id, password)
            files.put(seen, {"main.py": main}, [], step.bar)
            for name, fields in (("board.json", settings), ("boot.json", boot)):
                if seen.json(name) != fields:
                    files.replace(name, _json(fields))
            step.result = f"main.py, board.json, boot.json; update password {passwords.written(password)}"
        return password

    def _password(self, seen: Seen) -> int:
        """As said; else the board's own, else what this computer remembers of it, else a new one."""
        if self.wishes.password is not None:
            return self.wishes.password
        there = seen.json("board.json").get("password")
        if isinstance(there, int) and not isinstance(there, bool) and 0 <= there < 2**32:
            return there
        remembered = passwords.find(seen.unique_id)
        return passwords.new() if remembered is None else remembered

    def _self_test(self, files: BoardFiles) -> None:
        with self.progress.step("self-test") as step:
            step.wait("waiting for openkline's HELLO")
            files.reset()
            result = asyncio.run(selftest.self_test(port_for(files.port)))
            step.result = (
                f"{result.info}; answers in {result.round_trip_ms:.0f} ms, {plural(result.counters, 'counter')}"
            )
            for name, count in result.errors.items():
                step.say(f"{count} {name} on the USB line: nothing is lost, but another cable is better")


def active_slot(seen: Seen) -> str:
    """The slot that the board starts from; "a" for a new one."""
    slot = seen.json("boot.json").get("slot")
    return slot if slot in ("a", "b") else "a"


def _kept(seen: Seen, profile: Profile) -> dict[str, object]:
    """What a person has put into board.json and no profile here knows: the pin that sees the supply voltage."""
    kept = {key: value for key, value in seen.json("board.json").items() if key in ("vin_pin", "vin_ratio")}
    pin, ratio = kept.get("vin_pin"), kept.get("vin_ratio", 1)
    can_be = isinstance(pin, int) and profile.chip is not None and profile.chip.check("vin", pin) is None
    used = (profile.pins.rx, profile.pins.tx, profile.pins.spare, profile.pins.led)
    return kept if can_be and pin not in used and isinstance(ratio, int | float) and 1 <= ratio <= 20 else {}


def slot_json(board: str, modules: dict[str, bytes]) -> bytes:
    return _json({"version": VERSION, "board": board, "files": {path: sha256(data) for path, data in modules.items()}})


def _mib(size: int) -> str:
    return f"{size / 2**20:.3g} MiB"


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _check_version(port: str, seen: Seen) -> None:
    if seen.micropython < OLDEST_MICROPYTHON:
        has, good = (".".join(map(str, version)) for version in (seen.micropython, GOOD_MICROPYTHON))
        raise FlashError(
            f"{port}: the image is MicroPython {has}, but {good} or later is needed. Name one with --firmware"
        )


def dry_run(wishes: Wishes) -> list[str]:
    """The plan, made without opening any port. OpenklineError: a name in the wishes is wrong."""
    plan.check(wishes)
    port, why = wishes.device or "auto", "as named"
    if port == "auto":
        found = [one.device for one in ports.list_ports() if one.is_candidate]
        port = found[0] if len(found) == 1 else "one of " + ", ".join(found) if found else "none is connected"
        why = "by USB id"
    return plan.describe(wishes, port, why, compile_modules())
