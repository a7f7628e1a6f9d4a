"""Ring and scanner on MicroPython (unix port; an ESP32 is some 15 to 30 times slower: not measured here)."""

import utime
from decoder_load import BUS_BYTES_PER_S, decode, frames, report


def test_decoder_on_micropython():
    made = frames(5000)
    size = sum(len(frame) for frame in made)
    out = bytearray(64)
    begun = utime.ticks_us()
    assert decode(made, out) == len(made)
    seconds = utime.ticks_diff(utime.ticks_us(), begun) / 1e6
    report("MicroPython (unix port)", len(made), size, seconds)
    assert size / seconds > BUS_BYTES_PER_S
