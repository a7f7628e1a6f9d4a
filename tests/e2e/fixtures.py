"""A drive of our own in the gateway's log format: bursts, a pause, frames of all sizes (made by this program)."""

from __future__ import annotations

from kline.protocol.ibus.frames import BYTE_US, encode
from openkline.log.formats import GatewayFormat, LogFrame

# Seconds between the end of one frame and the start of the next: back to back is what a bus of this kind can do.
_PAUSES_S = (0.0, 0.012, 0.012, 0.02, 0.3, 0.012, 0.05, 1.1, 0.012, 0.012)


def make_drive(count: int = 30, start_s: float = 1_279_884_055.920753) -> bytes:
    at_s = start_s
    out = b""
    write = GatewayFormat().write
    for n in range(count):
        size = 1 + (n * 7) % 40
        frame = encode(
            (0x80, 0xD0, 0x68, 0x50)[n % 4], (0xBF, 0xE7, 0x18)[n % 3], bytes((n + k) & 0xFF for k in range(size))
        )
        at_s += _PAUSES_S[n % len(_PAUSES_S)] + len(frame) * BYTE_US / 1e6
        out += write(LogFrame(at_s, frame))
    return out


VECTOR = make_drive()
