"""The chip's dealings with the car: initialisation, search, requests, monitoring. Generators of operations.

Each is Interpreter's Steps: yields an Operation, is sent its Outcome, prints what the chip prints.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from kline.protocol.checksum import sum8
from kline.protocol.obd import kwp, requests
from kline.protocol.obd.keybytes import KeyBytes
from openkline.elm import lines
from openkline.elm.chip import Accept, Chip, Steps
from openkline.elm.operations import (
    NOT_CONNECTED,
    STOPPED,
    Bypass,
    Exchange,
    Initialise,
    KeepAlive,
    Monitor,
    Operation,
    Outcome,
)
from openkline.elm.state import (
    CAN,
    K_LINE,
    KWP_FAST,
    SEARCH_MIN_MS,
    WAKE_UNIT_MS,
    Bus,
    Settings,
    build_frame,
    protocol_of,
)

Asking = Generator[Operation, Outcome, bool]

# What the board's errors are called here (ELM327DSJ, "Error Messages and Alerts").
_WORDS = {
    "no_echo": "FB ERROR",
    "echo_wrong": "BUS ERROR",
    "stuck_low": "BUS BUSY",
    "busy": "BUS BUSY",
}
_IN_VAIN = (*_WORDS, "interrupted", "wrong_mode")  # the circuit, the board: another way would not help


def word_of(chip: Chip, error: str, other: str = "BUS ERROR") -> str:
    """What is printed for an operation that failed, or was interrupted."""
    return chip.stop_word() if error == STOPPED else _WORDS.get(error, other)


def start_frame(settings: Settings) -> bytes:
    """StartCommunication, with the header of AT SH."""
    return build_frame(settings, KWP_FAST, None, kwp.START_COMMUNICATION)


def keep_alive(chip: Chip) -> KeepAlive:
    return KeepAlive(round(chip.settings.wake * WAKE_UNIT_MS), chip.settings.wake_message)


def _initialise(chip: Chip, kind: str, header: bool = True) -> Generator[Operation, Outcome, Outcome]:
    """One initialisation; the session is noted where there is one now. header: with that of AT SH."""
    settings = chip.settings
    chip.bus.active = False
    outcome = yield keep_alive(chip)
    if outcome.error:
        return outcome
    frame = start_frame(settings if header else replace(settings, header=b"")) if kind == "fast" else b""
    outcome = yield Initialise(kind, settings.init_address, settings.baud, frame, settings.check_keys)
    if not outcome.error:
        keys = KeyBytes(outcome.key_bytes[0], outcome.key_bytes[1])
        found = protocol_of(keys, kind, settings.protocol)
        chip.bus = Bus(found, True, False, keys)
        chip.memory.last = found
        if settings.memorise and not _disagrees(chip):
            chip.memory.saved, chip.memory.saved_auto = found, settings.auto
    return outcome


def initialise_aloud(chip: Chip, kind: str) -> Asking:
    """`BUS INIT: ...OK`; the dots belong to the slow one."""
    chip.say("BUS INIT: " + ("..." if kind == "slow" else ""))
    outcome = yield from _initialise(chip, kind)
    if not outcome.error and _disagrees(chip):
        yield from chip.close_steps()
        chip.say_line("ERROR")
        return False
    chip.say_line(word_of(chip, outcome.error, "ERROR") if outcome.error else "OK")
    return not outcome.error


def _disagrees(chip: Chip) -> bool:
    """The key bytes belong to another protocol than the one that was set (AT KW1 looks)."""
    settings = chip.settings
    return settings.check_keys and not settings.auto and chip.bus.protocol != settings.protocol


def _search(chip: Chip) -> Asking:
    """SEARCHING...: the way that worked last first, then the others; the key bytes tell 3 from 4.

    A header of AT SH is for the protocol that was asked for; what else is tried, is tried with the standard's
    (ELM327DSJ, "SH").
    """
    first = chip.bus.protocol or chip.settings.protocol or chip.memory.last
    kinds = ("fast", "slow", "slow") if first == KWP_FAST else ("slow", "fast", "slow")
    chip.say("SEARCHING...")
    for kind in kinds:
        outcome = yield from _initialise(chip, kind, header=chip.settings.protocol == KWP_FAST)
        if not outcome.error:
            chip.say_end()
            return True
        if outcome.error == STOPPED:
            chip.say_end()
            chip.say_line(chip.stop_word())
            return False
        if outcome.error in _IN_VAIN:
            break
    chip.say_end()
    chip.say_line("UNABLE TO CONNECT")
    return False


def _awake(chip: Chip) -> Asking:
    """Whether a request may go out now; else it has been said why not."""
    protocol = chip.settings.protocol
    if chip.bus.active:
        return True
    if chip.settings.auto:
        return (yield from _search(chip))
    if protocol in K_LINE:
        return (yield from initialise_aloud(chip, "fast" if protocol == KWP_FAST else "slow"))
    chip.say_line("CAN ERROR" if protocol in CAN else "NO DATA")
    return False


def request(chip: Chip, data: bytes, count: int) -> Steps:
    """Send `data` and print what comes; count: so many answers, 0: all."""
    for _ in range(2):
        fresh = not chip.bus.active
        if not (yield from _awake(chip)):
            return
        outcome = yield _exchange(chip, data, count, fresh)
        if outcome.error != NOT_CONNECTED:
            break
        chip.bus.active = False  # it was lost meanwhile: initialise again
    if not outcome.alive and not chip.bus.bypassed:
        chip.bus.active = False
    if not outcome.error and chip.accepted:
        chip.bus.learn(data, outcome.gap_ms, not count or chip.accepted < count)
    if outcome.error:
        chip.say_line(word_of(chip, outcome.error))
    elif chip.settings.responses and not chip.accepted:
        chip.say_line("NO DATA")


def _exchange(chip: Chip, data: bytes, count: int, fresh: bool) -> Exchange:
    settings = chip.settings
    frame = build_frame(settings, chip.protocol(), chip.bus.keys, data)
    chip.keep(frame + bytes((sum8(frame, 0, len(frame)),)))
    answers = _any_but(frame) if chip.bus.bypassed else _answers_to(data)
    chip.listen_for(lambda message: lines.wanted(settings, message) and answers(message))
    if not settings.responses:
        return Exchange(frame, 0, 0, 0, not chip.bus.bypassed)
    first_ms = max(settings.timeout_ms(), SEARCH_MIN_MS if fresh else 0)
    # Which answers count is decided here: the board knows nothing of AT RA, and does not tell a refusal from data.
    counts_here = settings.receive is not None or chip.uncounted_refusals
    more_ms = settings.more_ms(chip.bus.gap_ms(data))
    return Exchange(frame, first_ms, more_ms, 0 if counts_here else count, not chip.bus.bypassed)


def _answers_to(data: bytes) -> Accept:
    """Which messages answer this request: what is late answers an earlier one, which is over."""
    assembly = requests.Assembly(data)

    def accept(message: bytes) -> bool:
        source = message[2] if kwp.address_mode(message[0]) else -1
        return assembly.add(kwp.Frame(0, 0, source, message[lines.head_size(message) : -1])) != requests.FOREIGN

    return accept


def _any_but(frame: bytes) -> Accept:
    return lambda message: message[:-1] != frame


def monitor(chip: Chip, accept: Accept) -> Steps:
    """Print everything that `accept` lets through, until the client sends something."""
    if chip.settings.protocol in CAN and not chip.bus.active:
        chip.say_line("CAN ERROR")
        return
    chip.listen_for(accept)
    outcome = yield Monitor(chip.settings.baud, chip.bus.active and not chip.bus.bypassed)
    chip.bus.active = chip.bus.active and (outcome.alive or chip.bus.bypassed)
    chip.say_line(word_of(chip, outcome.error))


def bypass(chip: Chip) -> Steps:
    """AT BI: the protocol counts as set up."""
    yield from chip.close_steps()
    outcome = yield Bypass(chip.settings.baud)
    if outcome.error:
        chip.say_line(word_of(chip, outcome.error))
        return
    chip.bus = Bus(chip.settings.protocol, True, True)
    chip.say_line("OK")
