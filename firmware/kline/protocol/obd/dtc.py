"""Diagnostic trouble codes: two bytes <-> `P0133`, and which part of the car a code speaks of.

    bits 15-14 system (P C B U) | 13-12 first digit (0..3) | 11-0 three hexadecimal digits      0000 = no code

On the K-line codes come three to a frame, filled up with 0000, without a count: `43 01 33 00 00 00 00` = P0133.
Sources: SAE J1979 (modes 03, 07, 0A), SAE J2012 (layout; systems and groups, in our own words). The PC has texts of
single codes: openkline/obd/trouble_codes.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

SYSTEMS = "PCBU"
_SYSTEM_TEXTS = ("powertrain", "chassis", "body", "network")
_HEX = "0123456789ABCDEF"

_POWERTRAIN_GROUPS = {
    0: "fuel and air metering, auxiliary emission controls",
    1: "fuel and air metering",
    2: "fuel and air metering, injectors",
    3: "ignition or misfire",
    4: "auxiliary emission controls",
    5: "speed, idle, auxiliary inputs",
    6: "computer and its outputs",
    7: "transmission",
    8: "transmission",
    9: "transmission",
    10: "hybrid drive",
    11: "hybrid drive",
    12: "hybrid drive",
}


def decode(high: int, low: int) -> str:
    """`P0133` of the two bytes 01 33; both must be 0..255."""
    return "%s%d%X%02X" % (SYSTEMS[high >> 6 & 3], high >> 4 & 3, high & 0x0F, low & 0xFF)


def encode(code: str) -> bytes:
    """The two bytes of `P0133` (either case). ValueError, with what was expected, for anything else."""
    text = code.strip().upper()
    if len(text) == 5 and text[0] in SYSTEMS and text[1] in "0123":
        digits = [_HEX.find(c) for c in text[2:]]
        if min(digits) >= 0:
            return bytes((SYSTEMS.find(text[0]) << 6 | int(text[1]) << 4 | digits[0], digits[1] << 4 | digits[2]))
    raise ValueError("%r is no trouble code: expected one of P C B U, a digit 0..3, three hexadecimal digits" % code)


def decode_all(data: "Buffer") -> list[str]:
    """The codes in the bytes after the service: pairs; 0000 and a last odd byte are left out."""
    return [decode(data[i], data[i + 1]) for i in range(0, len(data) - 1, 2) if data[i] or data[i + 1]]


def is_generic(code: str) -> bool:
    """The code means the same in all makes (else only the maker knows)."""
    first, second = code[1], code[2].upper()
    if first == "0":
        return True
    if code[0] in "Pp":
        return first == "2" or (first == "3" and second >= "4")
    return code[0] in "Uu" and first == "3"


def describe(code: str) -> str:
    """System and group of a code, as `powertrain: ignition or misfire`; ValueError as of encode()."""
    high = encode(code)[0]
    text = _SYSTEM_TEXTS[high >> 6]
    if not is_generic(code):
        return text + ": code of the manufacturer"
    group = None
    if high >> 4 == 0 or (high >> 4 == 2 and high & 0x0F < 8):
        group = _POWERTRAIN_GROUPS.get(high & 0x0F)
    elif high == 0x34:
        group = "cylinder deactivation"
    return text + ": " + group if group else text
