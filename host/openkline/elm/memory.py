"""What outlives a reset, and a client: it ends with the program. On the chip this is its EEPROM.

The programmable parameters of AT PP have each a value, and are on or off; off, the factory's value holds (ELM327DSJ,
"Programmable Parameters"). Those of our own settings take effect with the next AT D, AT WS or AT Z: 01 H, 02 AL, 03 ST,
04 AT, 06 TA, 09 E (not with AT D), 16 IB, 17 SW. The others are of CAN, J1850, the serial line and the chip's supply:
kept and shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from openkline.elm.state import BAUDS, DEFAULT_TIMEOUT, Settings

COUNT = 0x30
ALL = 0xFF
# What a chip that says v1.5 shows in AT PPS (ELMConfig in the MK4 wiki; there 2A and 2C to 2F were changed: 2A as in
# ELM327DSI, page 57, like the rest).
_FACTORY = bytes.fromhex(
    "FF FF FF 32 01 FF F1 09 FF 00 0A FF 68 0D 9A FF  0D 00 FF 32 FF 0A FF 92 00 28 FF FF FF FF FF FF"
    "FF FF FF FF 00 00 00 FF FF FF 38 02 E0 04 80 0A"
)
_IS_ON = 0x00
_IN_A_LINE = 4


class Parameters:
    """values: as AT PP xx SV yy set them; on: the numbers of those that are in force."""

    def __init__(self) -> None:
        self.values = bytearray(_FACTORY)
        self.on: set[int] = set()

    def switch(self, number: int, on: bool) -> None:
        """number: one, or ALL."""
        numbers = range(COUNT) if number == ALL else (number,)
        self.on = self.on.union(numbers) if on else self.on.difference(numbers)

    def in_force(self, number: int) -> int:
        return self.values[number] if number in self.on else _FACTORY[number]

    def summary(self) -> list[str]:
        """The lines of AT PPS."""
        shown = [f"{n:02X}:{value:02X} {'N' if n in self.on else 'F'}" for n, value in enumerate(self.values)]
        return ["  ".join(shown[i : i + _IN_A_LINE]) for i in range(0, COUNT, _IN_A_LINE)]

    def settings(self) -> Settings:
        """As after a reset."""
        return Settings(
            headers=self.in_force(0x01) == _IS_ON,
            long=self.in_force(0x02) == _IS_ON,
            timeout=self.in_force(0x03) or DEFAULT_TIMEOUT,
            adaptive=min(self.in_force(0x04), 2),
            tester=self.in_force(0x06),
            echo=self.in_force(0x09) == _IS_ON,
            baud=BAUDS["96" if self.in_force(0x16) == _IS_ON else "10"],
            wake=self.in_force(0x17),
        )


@dataclass(slots=True)
class Memory:
    """saved, saved_auto: the protocol of AT SP; last: the one that was found last, or 0.

    identifier: of AT @3, "" before; stored: the byte of AT SD; calibration: of AT CV, what AT RV multiplies by.
    """

    saved: int = 0
    saved_auto: bool = True
    last: int = 0
    identifier: str = ""
    stored: int = 0
    calibration: float = 1.0
    parameters: Parameters = field(default_factory=Parameters)
