"""How a message from the line is printed.

headers on    84 F1 10 41 0C 0D 20 FF        as it was on the line, with its checksum
headers off   41 0C 0D 20                    its data
damaged       the same, and <DATA ERROR behind it; DATA ERROR alone where it is too short to be a message

Without AT AL seven bytes of data are shown, but all where the message itself says how many they are: the KWP protocols
(ELM327DSJ, "NL").
"""

from __future__ import annotations

from kline.protocol.obd import kwp
from openkline.elm.state import NORMAL_DATA, Settings

_SHORTEST = 5  # three bytes of header, one of data, the checksum
DAMAGED = "<DATA ERROR"
TOO_SHORT = "DATA ERROR"


def head_size(message: bytes) -> int:
    """Bytes before the data."""
    return max(kwp.data_start(message, len(message)), 0)


def render(settings: Settings, message: bytes, good: bool) -> str:
    """One line, without its end."""
    if not good and len(message) < _SHORTEST:
        return TOO_SHORT
    head = head_size(message) if good else 3
    shown = message if settings.headers else message[head:-1]
    cut = not settings.long and kwp.address_mode(message[0]) == kwp.EXCEPTION
    if cut and len(message) - head - 1 > NORMAL_DATA:
        shown = message[: head + NORMAL_DATA] if settings.headers else shown[:NORMAL_DATA]
    text = hexadecimal(settings, shown)
    return text if good else text + DAMAGED


def hexadecimal(settings: Settings, data: bytes) -> str:
    return data.hex(" ").upper() + " " if settings.spaces else data.hex().upper()


def wanted(settings: Settings, message: bytes) -> bool:
    """Whether this message is for us: AT RA, or what the header that we send with makes of it (AT AR)."""
    mode = kwp.address_mode(message[0])
    if mode == kwp.NO_ADDRESS:
        return True
    if settings.receive is not None:
        return message[1] == settings.receive
    source = settings.header[2] if settings.header else settings.tester
    return mode == kwp.EXCEPTION or message[1] == source
