"""From facts to findings. Pure: the same facts, the same words."""

from __future__ import annotations

from collections.abc import Iterator

from kline.protocol import probe
from kline.version import VERSION
from openkline.doctor.facts import BoardFacts, Facts, LinkFacts, PcFacts
from openkline.doctor.finding import FAULT, OK, WARNING, Finding
from openkline.doctor.judge_wire import judge_wire

_ESP_RULE = 'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor}", MODE="0660", GROUP="{group}", TAG+="uaccess"'
# A board with both handlers loaded keeps 64 KiB free; below this, garbage collections come close together.
_LEAST_HEAP = 24_000
# Bytes of file system for an update: the bundle, and where the other slot is still empty its 60 modules, each of which
# takes whole blocks of 4 KiB (381 KB on the virtual board's littlefs).
_LEAST_ROOM, _ROOM_OF_A_SLOT = 100_000, 300_000
# A board's loop turns every 10 ms; a USB bridge adds its latency timer (16 ms at most by default).
_SLOW_MS = 150.0


def judge(facts: Facts) -> list[Finding]:
    """All findings in the order of the way from the PC to the wire; within a part the likelier one first."""
    found = list(judge_pc(facts.pc))
    if facts.board is not None:
        found += judge_board(facts.board)
    if facts.link is not None:
        found += judge_link(facts.link)
    if facts.wire is not None:
        found += judge_wire(facts.wire)
    if facts.gone:
        found.append(
            Finding(
                "board_gone",
                "link",
                FAULT,
                f"The board could not be asked to the end: {facts.gone}.",
                "another cable, another USB port; and if it restarts when the bus is touched, check the stage's supply",
            )
        )
    return found


def cause(found: list[Finding]) -> Finding | None:
    """The most likely single cause: the first fault on the way from PC to wire; without one, the first warning."""
    for level in (FAULT, WARNING):
        for finding in found:
            if finding.level == level:
                return finding
    return None


def judge_pc(pc: PcFacts) -> Iterator[Finding]:
    if pc.kind in ("none", "several", "missing", "busy", "other", "simulator"):
        name = {"none": "no_board", "several": "several_boards", "missing": "port_missing", "busy": "port_busy"}
        yield Finding(name.get(pc.kind, "port_unusable"), "pc", FAULT, *_halves(pc.trouble))
    elif pc.kind == "forbidden":
        text, remedy = _halves(pc.trouble)
        vendor = pc.usb[:4].lower()
        if vendor:
            group = "dialout" if pc.group in ("", "root") else pc.group
            rule = _ESP_RULE.format(vendor=vendor, group=group)
            remedy += f"; or, for this kind of board, /etc/udev/rules.d/70-openkline.rules: {rule}"
        yield Finding("port_forbidden", "pc", FAULT, text, remedy)
    else:
        usb = f" ({pc.usb})" if pc.usb else ""
        yield Finding("port", "pc", OK, f"{pc.path or pc.device}{usb} opens.")
        if pc.users:
            yield Finding(
                "port_shared",
                "pc",
                WARNING,
                f"{pc.path} is also open in {pc.users}, which takes bytes of the board from us.",
                _keep_away(pc) if "ModemManager" in pc.users else "end that program",
            )


def _keep_away(pc: PcFacts) -> str:
    """ModemManager tries each new serial port for a modem, for some seconds."""
    vendor = pc.usb[:4].lower() or "...."
    return (
        "wait half a minute; for good, in /etc/udev/rules.d/70-openkline.rules: "
        f'ATTRS{{idVendor}}=="{vendor}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
    )


def _halves(text: str) -> tuple[str, str]:
    """A message of serial_io: what happened, and after its first full stop what to try."""
    text, _, remedy = text.partition(". ")
    return text.rstrip(".") + ".", remedy


def judge_board(board: BoardFacts) -> Iterator[Finding]:
    if board.refusal:
        yield Finding("versions", "board", FAULT, f"{board.refusal}.", "flash the board: openkline flash")
        return
    if board.info is None:
        yield _silence(board)
        return
    info = board.info
    woken = " (it was at MicroPython's prompt, and was started)" if board.prompts else ""
    version, python = ".".join(map(str, info.firmware)), ".".join(map(str, info.micropython))
    chip = str(board.described.get("machine", "")) or "chip unknown"
    yield Finding(
        "board", "board", OK, f"{info.board} ({chip}) runs openkline {version} on MicroPython {python}{woken}."
    )
    if version != VERSION:
        yield Finding(
            "other_version",
            "board",
            WARNING,
            f"The board's openkline is {version}, this one is {VERSION}.",
            "update the board: openkline update, or openkline flash",
        )
    if not board.can_probe:
        yield Finding(
            "no_probe",
            "board",
            WARNING,
            "The board's firmware is too old to be asked about itself and its wires.",
            "update the board: openkline update, or openkline flash",
        )
        return
    yield from _files(board, version == VERSION)
    yield from _room(board)


def _silence(board: BoardFacts) -> Finding:
    """No WELCOME came. What the board printed instead says why."""
    text = "\n".join(board.lines)
    for sign, name, words, remedy in _SIGNS:
        if sign in text:
            return Finding(name, "board", FAULT, words, remedy)
    if text.count("rst:0x") > 1:
        return Finding(
            "boot_loop",
            "board",
            FAULT,
            "The board restarts again and again.",
            "try another cable and another USB port, then flash it: openkline flash",
        )
    error = _error(board.lines)
    if error:
        return Finding(
            "firmware_fails",
            "board",
            FAULT,
            f"openkline on the board ends with an error: {error}",
            "flash it again: openkline flash",
        )
    if board.prompts:
        return Finding(
            "no_firmware",
            "board",
            FAULT,
            "MicroPython answers at its prompt, but openkline does not start there.",
            "flash the board: openkline flash",
        )
    return Finding(
        "board_silent",
        "board",
        FAULT,
        "The port opens, but nothing answers there: neither openkline nor MicroPython's prompt.",
        "press the board's reset button and run doctor again; if it stays silent, is this the board's port, and is "
        "MicroPython flashed (openkline flash)?",
    )


def _error(lines: tuple[str, ...]) -> str:
    """The last error that a program on the board ended with. Not those that our greeting makes at its prompt."""
    typed = [False, *('"<stdin>"' in line for line in lines)]
    errors = [line for line, at_prompt in zip(lines, typed, strict=False) if "Error:" in line and not at_prompt]
    return errors[-1] if errors else ""


_SIGNS = (
    (
        "Brownout",
        "brown_out",
        "The board's supply breaks down (its brown-out detector says so).",
        "another cable or USB port; nothing but the stage at the board's 3V3",
    ),
    (
        "invalid header: 0xffffffff",
        "no_micropython",
        "The board's flash is empty: its ROM finds nothing to start.",
        "flash it: openkline flash",
    ),
    (
        "waiting for download",
        "boot_mode",
        "The board waits for an image (its BOOT button, or the pin behind it, was low at the start).",
        "let BOOT go and press reset; nothing of the stage belongs on GPIO 0",
    ),
    (
        "board.json",
        "board_json",
        "The board's board.json is missing or wrong, so openkline does not start there.",
        "flash it again: openkline flash",
    ),
)


def _files(board: BoardFacts, same_version: bool) -> Iterator[Finding]:
    files = board.files
    if files is None:
        where = str(board.described.get("root", "")) or "the image"
        yield Finding("files", "board", OK, f"Its modules come from {where}: there are no digests to compare.")
        return
    broken = [file.path for file in files if file.state in (probe.FILE_WRONG, probe.FILE_MISSING)]
    other = [file.path for file in files if same_version and board.ours.get(file.path, file.digest) != file.digest]
    if broken:
        yield Finding(
            "files_damaged",
            "board",
            FAULT,
            f"{len(broken)} of its {len(files)} files are damaged or missing: {_some(broken)}.",
            "flash it again: openkline flash",
        )
    elif other:
        yield Finding(
            "files_differ",
            "board",
            WARNING,
            f"{len(other)} of its files are not those of this openkline, though the version is the same: "
            f"{_some(other)}.",
            "openkline flash copies what differs",
        )
    else:
        yield Finding("files", "board", OK, f"All its {len(files)} files have the digests they should have.")


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (" .." if len(paths) > 3 else "")


def _room(board: BoardFacts) -> Iterator[Finding]:
    heap = int(board.described.get("heap_free", 0))
    room, size = int(board.described.get("fs_free", 0)), int(board.described.get("fs_size", 0))
    if heap < _LEAST_HEAP:
        yield Finding(
            "heap_low",
            "board",
            WARNING,
            f"Only {heap // 1024} KiB of memory are free on the board.",
            "restart it; if it stays so, remove programs of your own from it",
        )
    needed = _LEAST_ROOM + (_ROOM_OF_A_SLOT if board.described.get("slots") == 1 else 0)
    if size and room < needed:
        yield Finding(
            "file_system_full",
            "board",
            WARNING,
            f"Only {room // 1024} of {size // 1024} KiB of its file system are free: an update takes {needed // 1024}.",
            "remove files of your own from it (openkline repl)",
        )
    elif heap >= _LEAST_HEAP:
        yield Finding(
            "room", "board", OK, f"{heap // 1024} KiB of memory and {room // 1024} KiB of its file system are free."
        )
    errors = int(board.described.get("errors", 0))
    if errors:
        yield Finding(
            "firmware_errors",
            "board",
            WARNING,
            f"The board's application has caught {errors} errors since its start.",
            "look at its messages (openkline monitor), and report them",
        )


def judge_link(link: LinkFacts) -> Iterator[Finding]:
    times = sorted(link.round_trips_ms)
    errors = {name: n for name, n in {**link.board, **link.pc}.items() if n > 0}
    cable = "another cable, another USB port, no hub"
    if link.lost or link.wrong:
        yield Finding(
            "link_broken",
            "link",
            FAULT,
            f"Of {len(times) + link.lost} records to the board {link.lost} got no answer, {link.wrong} a wrong one.",
            cable,
        )
    elif errors:
        told = ", ".join(f"{name} {n}" for name, n in errors.items())
        yield Finding("link_noisy", "link", WARNING, f"The link had to repair errors meanwhile: {told}.", cable)
    elif times and times[len(times) // 2] > _SLOW_MS:
        yield Finding(
            "link_slow",
            "link",
            WARNING,
            f"A round trip to the board takes {times[len(times) // 2]:.0f} ms.",
            "no hub, and no other program that loads this computer",
        )
    elif times:
        yield Finding(
            "link",
            "link",
            OK,
            f"{len(times)} records of all lengths came back right, in {times[0]:.0f} to {times[-1]:.0f} ms.",
        )
