"""The AT commands, as a table: what a line may look like, and what is done with it.

Lines come in upper case and without spaces. A handler gets the chip and the groups of its pattern; it returns what is
printed (then the prompt), or Steps where the car's line is needed. What is in no row is answered with `?`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from openkline.elm import keeping, talk
from openkline.elm.chip import IDENTITY, OK, UNKNOWN, Chip, Reply, Steps
from openkline.elm.operations import KeepAlive
from openkline.elm.state import BAUDS, DEFAULT_TIMEOUT, J1939, K_LINE, KWP_FAST, NAMES, Bus

Handler = Callable[..., Reply]
_REQUEST = re.compile(r"[0-9A-F]{2,}")


def answer(chip: Chip, line: str) -> Reply:
    """What a line of the client leads to. line: upper case, without spaces."""
    if line.startswith("AT"):
        return _command(chip, line[2:])
    if _REQUEST.fullmatch(line):
        return _request(chip, line)
    return UNKNOWN


def _request(chip: Chip, line: str) -> Reply:
    """Hexadecimal digits; an odd one in the end is the number of answers that are waited for."""
    count = int(line[-1], 16) if len(line) % 2 else 0
    data = bytes.fromhex(line[: len(line) // 2 * 2])
    return talk.request(chip, data, count) if len(data) <= chip.settings.max_data() else UNKNOWN


def _command(chip: Chip, text: str) -> Reply:
    for pattern, handler in _TABLE:
        found = pattern.fullmatch(text)
        if found is not None:
            return handler(chip, *found.groups())
    return UNKNOWN


# -- settings


def _set(name: str, value: Callable[[str], Any]) -> Handler:
    def handler(chip: Chip, *groups: str) -> str:
        setattr(chip.settings, name, value(groups[0]) if groups else value(""))
        return OK

    return handler


def _switch(name: str) -> Handler:
    return _set(name, lambda digit: digit == "1")


def _hex(text: str) -> int:
    return int(text, 16)


def _accepted(chip: Chip, *groups: str) -> str:
    return OK


def _defaults(chip: Chip) -> Steps:
    """AT D. Echo and line feeds are of the serial line, and stay."""
    yield from chip.close_steps()
    before, chip.settings = chip.settings, chip.memory.parameters.settings()
    chip.settings.echo, chip.settings.linefeeds = before.echo, before.linefeeds
    chip.bus = Bus()
    chip.restore_protocol()
    chip.say_line(OK)


def _header(chip: Chip, digits: str) -> str:
    """Three bytes; three digits are the 11 bits of a CAN id, of eight digits the first two are CAN's."""
    chip.settings.header = bytes.fromhex(digits.rjust(6, "0")[-6:])
    return OK


def _wake(chip: Chip) -> Steps:
    if chip.bus.active:
        yield talk.keep_alive(chip)
    chip.say_line(OK)


def _wake_interval(chip: Chip, digits: str) -> Reply:
    chip.settings.wake = _hex(digits)
    return _wake(chip)


def _no_wake(chip: Chip) -> Steps:
    """AT SW 00: until the next initialisation, whose interval is the one before."""
    if chip.bus.active:
        yield KeepAlive(0)
    chip.say_line(OK)


def _wake_message(chip: Chip, digits: str) -> Reply:
    chip.settings.wake_message = bytes.fromhex(digits)
    return _wake(chip)


# -- protocols


def _protocol(save: bool) -> Handler:
    def handler(chip: Chip, before: str, digit: str, behind: str) -> Reply:
        if before and behind:
            return UNKNOWN
        number = _hex(digit)
        return _choose(chip, number, bool(before or behind) or number == 0, save)

    return handler


def _choose(chip: Chip, number: int, auto: bool, save: bool) -> Steps:
    settings, bus = chip.settings, chip.bus
    # The ECUs get no message: AT FI, AT SP 3, AT BI goes on in the session that there is (ELM327DSJ, "FI").
    if bus.active and number != bus.protocol:
        yield KeepAlive(0)
        bus.active = False
    if number != bus.protocol:
        chip.bus = Bus()
    settings.protocol, settings.auto = number, auto
    if save and number:  # AT SP 0 leaves the one that is saved (ELM327DSJ, "SP")
        chip.memory.saved, chip.memory.saved_auto = number, auto
    chip.say_line(OK)


def _erase(chip: Chip) -> Steps:
    chip.memory.saved, chip.memory.saved_auto, chip.memory.last = 0, True, 0
    return _choose(chip, 0, True, False)


def _describe(chip: Chip) -> str:
    number = chip.protocol()
    if chip.settings.auto and number:
        return f"{NAMES[0]}, {NAMES[number]}"
    return NAMES[number]


def _describe_number(chip: Chip) -> str:
    return f"{'A' if chip.settings.auto else ''}{chip.protocol():X}"


def _close(chip: Chip) -> Steps:
    yield from chip.close_steps()
    chip.say_line(OK)


def _initialise(kind: str) -> Handler:
    """AT SI for protocols 3 and 4, AT FI for 5."""

    def handler(chip: Chip) -> Reply:
        protocol = chip.protocol()
        if protocol not in K_LINE or (protocol == KWP_FAST) != (kind == "fast"):
            return UNKNOWN
        return _aloud(chip, kind)

    return handler


def _aloud(chip: Chip, kind: str) -> Steps:
    yield from talk.initialise_aloud(chip, kind)


def _bypass(chip: Chip) -> Reply:
    """Protocols without an initialisation have nothing to bypass; tests of adapters want OK there, too."""
    return talk.bypass(chip) if chip.settings.protocol in K_LINE else OK


def _key_bytes(chip: Chip) -> str:
    """Tests of adapters ask before there are any: a `?` would be a clone's that lacks the command."""
    keys = chip.bus.keys
    return OK if keys is None else f"1:{keys.first:02X} 2:{keys.second:02X}"


# -- the rest


def _reset(chip: Chip) -> Steps:
    return chip.reset_steps()


def _sleep(chip: Chip) -> Steps:
    """AT LP: no line end, no prompt; the next byte wakes it (ELM327DSJ, "LP"; ELM327DSH, page 63)."""
    yield from chip.close_steps()
    chip.say(OK)
    chip.asleep = True


def _flow_mode(chip: Chip, mode: str) -> str:
    """AT FC SM: modes 1 and 2 need what they send."""
    ready = {"0": True, "1": chip.settings.flow_data and chip.settings.flow_header, "2": chip.settings.flow_data}
    return OK if ready[mode] else UNKNOWN


def _truck_monitor(chip: Chip, *digits: str) -> Reply:
    """AT DM1, AT MP: only where SAE J1939 is set."""
    return _monitor(chip) if chip.settings.protocol == J1939 else UNKNOWN


def _monitor(chip: Chip) -> Reply:
    return talk.monitor(chip, lambda message: True)


def _monitor_byte(index: int) -> Handler:
    def handler(chip: Chip, digits: str) -> Reply:
        byte = _hex(digits)
        return talk.monitor(chip, lambda message: len(message) > index and message[index] == byte)

    return handler


_CAN_ONLY = (
    r"CAF[01]|CFC[01]|CEA(?:..)?|CER..|CF(?:...|.{8})|CM(?:...|.{8})|CP..|CRA(?:[.X]{3}|[.X]{8})?|CSM[01]|CTM[15]|D[01]|"
    r"PB....|V[01]|IFR[012HS]|JE|JS|JHF[01]|JTM[15]"
)
_ROWS: tuple[tuple[str, Handler], ...] = (
    (r"Z|WS", _reset),
    (r"D", _defaults),
    (r"I", lambda chip: IDENTITY),
    (r"@1", lambda chip: "OBDII to RS232 Interpreter"),
    (r"@2", keeping.identify),
    (r"@3([!-_]{12})", keeping.name),
    (r"E([01])", _switch("echo")),
    (r"L([01])", _switch("linefeeds")),
    (r"S([01])", _switch("spaces")),
    (r"H([01])", _switch("headers")),
    (r"R([01])", _switch("responses")),
    (r"AL", _set("long", lambda _: True)),
    (r"NL", _set("long", lambda _: False)),
    (r"AT([012])", _set("adaptive", int)),
    (r"ST(hh)", _set("timeout", lambda digits: _hex(digits) or DEFAULT_TIMEOUT)),
    (r"SH(hhh|hhhhhh|hhhhhhhh)", _header),
    (r"(?:RA|SR)(hh)", _set("receive", _hex)),
    (r"AR", _set("receive", lambda _: None)),
    (r"TA(hh)", _set("tester", _hex)),
    (r"SP00", _erase),
    (r"SP(A?)([0-9A-C])(A?)", _protocol(save=True)),
    (r"TP(A?)([0-9A-C])(A?)", _protocol(save=False)),
    (r"DP", _describe),
    (r"DPN", _describe_number),
    (r"PC", _close),
    (r"SI", _initialise("slow")),
    (r"FI", _initialise("fast")),
    (r"BI", _bypass),
    (r"KW", _key_bytes),
    (r"KW([01])", _switch("check_keys")),
    (r"IB(10|12|15|48|96)", _set("baud", lambda digits: BAUDS[digits])),
    (r"IIA(hh)", _set("init_address", _hex)),
    (r"SW00", _no_wake),
    (r"SW(hh)", _wake_interval),
    (r"WM((?:hh){1,6})", _wake_message),
    (r"MA", _monitor),
    (r"MR(hh)", _monitor_byte(1)),
    (r"MT(hh)", _monitor_byte(2)),
    (r"DM1|MPhhhh(?:hh)?h?", _truck_monitor),
    (r"BD", keeping.dump),
    (r"M([01])", _switch("memorise")),
    (r"SD(hh)", keeping.save_byte),
    (r"RD", keeping.saved_byte),
    (r"PPS", keeping.parameters),
    (r"PP(hh)(ON|OFF|SV(hh))", keeping.parameter),
    (r"FCSD(?:hh){1,5}", _set("flow_data", lambda _: True)),
    (r"FCSH(?:hhh|h{8})", _set("flow_header", lambda _: True)),
    (r"FCSM([012])", _flow_mode),
    (r"CS", lambda chip: "T:00 R:00"),
    (r"RV", keeping.voltage),
    (r"CV(\d{4})", keeping.calibrate),
    (r"IGN", lambda chip: "ON"),
    (r"LP", _sleep),
    (r"FE|SS|BRThh", _accepted),
    (_CAN_ONLY.replace(".", "h"), _accepted),
)  # fmt: skip
_TABLE = tuple((re.compile(pattern.replace("[hX]", "[0-9A-FX]").replace("h", "[0-9A-F]")), handler)
               for pattern, handler in _ROWS)  # fmt: skip
