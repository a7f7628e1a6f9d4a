"""The seam between the board and everything that uses it: what was on the bus, and what became of what we sent.

The gateway, the log and the commands depend on these types only, so that any of them runs against a fake bus.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kline.protocol.ibus.frames import MAX_FRAME, MIN_FRAME
from openkline.words import plural

if TYPE_CHECKING:
    import asyncio

DEFAULT_PRIORITY = 100
DEFAULT_TRIES = 5


class BusFrame(NamedTuple):
    """One frame that was really on the bus. (No frozen dataclass: that is three times as dear to make.)

    time  unix seconds of the end of its last byte, from the device's clock
    data  the whole frame: source, length, destination, data.., XOR checksum
    own   True: we transmitted it
    """

    time: float
    data: bytes
    own: bool = False


def hex_bytes(data: bytes) -> str:
    """As bytes are written everywhere: 68 03 18 01 72."""
    return data.hex(" ").upper()


def frame_fault(data: Sequence[int | None]) -> str:
    """What is wrong with data as a whole frame (see BusFrame.data); "" when it is a valid one.

    None stands for a byte that may have any value: in a pattern of frames.
    """
    n = len(data)
    if not MIN_FRAME <= n <= MAX_FRAME:
        return f"a frame has {MIN_FRAME} to {MAX_FRAME} bytes (source, length, destination, data, checksum), not {n}"
    if data[1] not in (None, n - 2):
        return f"the length byte is {data[1]:02X}, should be {n - 2:02X} in a frame of {plural(n, 'byte')}"
    known = [byte for byte in data if byte is not None]
    checksum = reduce(xor, known[:-1], 0)
    if len(known) == n and known[-1] != checksum:
        return f"the checksum is {known[-1]:02X}, should be {checksum:02X}"
    return ""


class Outcome(enum.Enum):
    """How a transmission ended. The first eight are the device's result codes 0..7; the last is the host's alone."""

    SENT = "sent"
    COLLISION_LIMIT = "collision_limit"
    NO_ECHO = "no_echo"
    BUS_STUCK_LOW = "bus_stuck_low"
    BUS_BUSY = "bus_busy"
    DROPPED = "dropped"
    ASLEEP = "asleep"
    RATE_LIMITED = "rate_limited"
    UNKNOWN_AFTER_RESET = "unknown_after_reset"


@dataclass(frozen=True, slots=True)
class TransmitResult:
    """tries: attempts on the wire; waited_us: from the device's acceptance to the end; detail: see the outcome."""

    outcome: Outcome
    tries: int = 0
    waited_us: int = 0
    detail: int = 0

    @property
    def sent(self) -> bool:
        return self.outcome is Outcome.SENT


FrameCallback = Callable[[BusFrame], None]
Unsubscribe = Callable[[], None]


class Bus(Protocol):
    """What a user of the bus may do. All calls are made from the event loop's thread."""

    @property
    def firmware_version(self) -> tuple[int, int, int] | None:
        """Version of the board's firmware, None as long as no board has answered."""
        ...

    def subscribe(self, callback: FrameCallback) -> Unsubscribe:
        """Call back for each frame, in bus order, from the event loop; it must not block. Returns the way out."""
        ...

    def transmit(
        self,
        body: bytes,
        *,
        priority: int = DEFAULT_PRIORITY,
        max_tries: int = DEFAULT_TRIES,
        deadline_ms: int = 0,
    ) -> asyncio.Future[TransmitResult]:
        """Queue one message: body is the frame without its checksum (source, length, destination, data..).

        Higher priority first, ties first-in first-out. deadline_ms 0: none. The future always ends in exactly one
        result, never in an exception; a body that is no frame ends in DROPPED.
        """
        ...
