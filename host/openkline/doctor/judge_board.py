"""What is wrong with the board: does it start, are its files whole, is there room. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from kline.protocol.link import probe
from kline.version import VERSION
from openkline.doctor.facts import BoardFacts
from openkline.doctor.finding import FAULT, OK, WARNING, Finding
from openkline.words import plural

# A board with both handlers loaded keeps 64 KiB free; below this, garbage collections come close together.
_LEAST_HEAP = 24_000
# Bytes of file system for an update: the bundle, and where the other slot is still empty its 60 modules, each of which
# takes whole blocks of 4 KiB (381 KB on the virtual board's littlefs).
_LEAST_ROOM, _ROOM_OF_A_SLOT = 100_000, 300_000
_QUOTED = 60  # characters of what another program says
_STRAY = 16  # bytes: fewer may be what a USB bridge makes of its opening


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
            "The board's firmware is too old to report on itself and its wires.",
            "update the board: openkline update, or openkline flash",
        )
        return
    named = board.described.get("named")
    if named in ("a", "b") and info.slot not in ("", named):
        yield Finding(
            "slot_skipped",
            "board",
            WARNING,
            f"boot.json names slot {named}, but slot {info.slot} runs: "
            f"slot {named} does not start, or boot.json can't be written.",
            f"install a version there: openkline update writes slot {named}",
        )
    if board.described:
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
    error = error_of(board.lines)
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
    if board.came > _STRAY and "rst:0x" not in text:
        said = [line for line in board.lines if line.strip() and line.isprintable()]
        words = f", for example {said[-1][:_QUOTED]!r}" if said else ""
        return Finding(
            "other_program",
            "board",
            FAULT,
            f"Something talks there, but it is neither openkline nor MicroPython's prompt{words}.",
            "is this the board's port? If it is, another program is on the board: openkline flash replaces it",
        )
    return Finding(
        "board_silent",
        "board",
        FAULT,
        "The port opens, but nothing answers there: neither openkline nor MicroPython's prompt.",
        "press the board's reset button and run doctor again; if it stays silent, is this the board's port, and is "
        "MicroPython flashed (openkline flash)?",
    )


def error_of(lines: tuple[str, ...]) -> str:
    """The last error that a program on the board ended with. Not those that our greeting makes at its prompt."""
    typed = [False, *('"<stdin>"' in line for line in lines)]
    errors = [line for line, at_prompt in zip(lines, typed, strict=False) if "Error:" in line and not at_prompt]
    return errors[-1] if errors else ""


_SIGNS = (
    (
        "Brownout",
        "brown_out",
        "The board's supply voltage collapses (its brown-out detector says so).",
        "another cable or USB port; connect nothing but the stage to the board's 3V3",
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
        "release BOOT and press reset; no wire of the stage belongs on GPIO 0",
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
            f"{len(broken)} of its {plural(len(files), 'file')} damaged or missing: {_some(broken)}.",
            "flash it again: openkline flash",
        )
    elif other:
        yield Finding(
            "files_differ",
            "board",
            WARNING,
            f"Different from this openkline's: {plural(len(other), 'file')}, though the version is the same: "
            f"{_some(other)}.",
            "openkline flash copies what differs",
        )
    else:
        yield Finding(
            "files",
            "board",
            OK,
            f"{plural(len(files), 'file has the digest it should have', 'files have the digests they should have')}.",
        )


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
            "restart it; if that does not help, remove programs of your own from it",
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
            f"The board's application has caught {plural(errors, 'error')} since its start.",
            "look at its messages (openkline monitor), and report them",
        )
