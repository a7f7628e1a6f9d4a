"""What the board says of itself when it answers, and whether we can work with it."""

from __future__ import annotations

from dataclasses import dataclass

from kline.protocol.link.records import PROTOCOL, RUNS_SLOT_A, RUNS_SLOT_B
from kline.version import VERSION
from openkline.errors import DeviceRefused

Version = tuple[int, int, int]

# UART(.., rxbuf=512) followed by .irq() hangs the VM before 1.26, and a second UART() loses parity and inversion;
# from 1.27 on is what the firmware is tested with.
OLDEST_MICROPYTHON: Version = (1, 26, 0)
GOOD_MICROPYTHON: Version = (1, 27, 0)

INFO_STATS = ("board", "unique_id", "firmware", "slot", "micropython")


@dataclass(frozen=True, slots=True)
class BoardInfo:
    """max_frame: whole frame in bytes; capabilities: records.CAN_.. and RUNS_..; boot_id: new at each start."""

    protocol: int
    boot_id: int
    max_frame: int
    capabilities: int
    firmware: Version
    micropython: Version
    board: str
    unique_id: str

    @property
    def slot(self) -> str:
        """a or b: the one whose modules run. "": none, or a firmware that doesn't tell it."""
        return {RUNS_SLOT_A: "a", RUNS_SLOT_B: "b"}.get(self.capabilities & (RUNS_SLOT_A | RUNS_SLOT_B), "")

    def stats(self) -> dict[str, object]:
        """For `openkline status`."""
        values = (self.board, self.unique_id, _dotted(self.firmware), self.slot, _dotted(self.micropython))
        return dict(zip(INFO_STATS, values, strict=True))

    def __str__(self) -> str:
        return (
            f"{self.board} {self.unique_id}, firmware {_dotted(self.firmware)}, MicroPython {_dotted(self.micropython)}"
        )


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def check(info: BoardInfo) -> list[str]:
    """Warnings about this board. DeviceRefused: it can't be worked with; the message says why and what to do."""
    if info.protocol != PROTOCOL:
        newer = "this program" if info.protocol > PROTOCOL else "the board"
        raise DeviceRefused(
            f"the board speaks link protocol {info.protocol}, this openkline {VERSION} speaks {PROTOCOL}: "
            f"update {newer}"
        )
    if info.micropython < OLDEST_MICROPYTHON:
        raise DeviceRefused(
            f"the board runs MicroPython {_dotted(info.micropython)}; before {_dotted(OLDEST_MICROPYTHON)} its UART "
            f"hangs with an interrupt handler and a receive buffer. Flash {_dotted(GOOD_MICROPYTHON)} or later"
        )
    warnings = []
    if info.micropython < GOOD_MICROPYTHON:
        warnings.append(
            f"the board runs MicroPython {_dotted(info.micropython)}; tested are {_dotted(GOOD_MICROPYTHON)} and later"
        )
    if _dotted(info.firmware) != VERSION:
        warnings.append(f"the board's firmware is {_dotted(info.firmware)}, this openkline is {VERSION}")
    return warnings
