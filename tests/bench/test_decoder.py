"""Ring and scanner on CPython, beside the bus's own speed."""

from __future__ import annotations

import time

from .decoder_load import BUS_BYTES_PER_S, decode, frames, report


def test_decoder_on_cpython() -> None:
    made = frames(5000)
    size = sum(map(len, made))
    out = bytearray(64)
    begun = time.perf_counter()
    assert decode(made, out) == len(made)
    seconds = time.perf_counter() - begun
    report("CPython", len(made), size, seconds)
    assert size / seconds > BUS_BYTES_PER_S
