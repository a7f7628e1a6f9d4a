"""A wire without a pause: numbered frames back to back, made by the virtual board as they are needed, without end."""

from __future__ import annotations

from pathlib import Path

from kline.protocol.ibus.frames import encode

# Run by boards/SIM/boot.py --script on MicroPython: `sim` and `w` are there. Frames begin when the file GO exists.
_SCRIPT = """
import os
from kline.protocol.ibus.frames import encode

def frames():
    for n in range({count}):
        yield None, encode(0x80, 0xBF, bytes((n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255)) + bytes(range(n % 13)))

def look(_):
    try:
        os.stat({go!r})
    except OSError:
        w.at(w.now + 20_000, look)
    else:
        w.player = sim.Player(w.wire, frames(), gap_us=200)

w.at(0, look)
"""


def script(folder: Path, go: Path, count: int) -> Path:
    """The program for --script: `count` frames, from the moment that the file `go` exists. 100 of them take 1.6 s."""
    path = folder / "fullbus.py"
    path.write_text(_SCRIPT.format(count=count, go=str(go)))
    return path


def frame(n: int) -> bytes:
    return encode(0x80, 0xBF, n.to_bytes(4, "big") + bytes(range(n % 13)))


def number(data: bytes) -> int | None:
    """Which of these frames it is; None: none of them. AssertionError: one of them, but damaged."""
    if data[0] != 0x80 or data[2] != 0xBF:
        return None
    n = int.from_bytes(data[3:7], "big")
    if len(data) != len(frame(n)):  # a client's garbage may be a message from 80 to BF, too
        return None
    assert data == frame(n), data.hex(" ")
    return n
