"""What doctor has found out, before it is judged. True of a level is dominant, as the board is configured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kline.protocol.link import probe
from openkline.device.welcome import BoardInfo


@dataclass(frozen=True, slots=True)
class PcFacts:
    """device: as named; path: of the port; trouble: why it can't be opened, kind: which error that is.

    kind: "" (it opens), none, several, missing, forbidden, busy, simulator, other
    """

    device: str
    path: str = ""
    kind: str = ""
    trouble: str = ""
    usb: str = ""
    group: str = ""
    users: str = ""


@dataclass(frozen=True, slots=True)
class BoardFile:
    path: str
    state: int
    digest: str


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """lines: what the board said that is no record; prompts: how often that was MicroPython's prompt; came: all bytes.

    described: OP_BOARD's fields; files: of its slot, None: it has none; ours: digests of what we would flash
    """

    info: BoardInfo | None = None
    refusal: str = ""
    lines: tuple[str, ...] = ()
    prompts: int = 0
    came: int = 0
    can_probe: bool = False
    described: dict[str, Any] = field(default_factory=dict)
    files: tuple[BoardFile, ...] | None = None
    ours: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """round_trips_ms of records of several lengths; lost: without an answer; wrong: with another than was sent.

    board, pc: how much the error counters of either end rose meanwhile
    """

    round_trips_ms: tuple[float, ...] = ()
    lost: int = 0
    wrong: int = 0
    board: dict[str, int] = field(default_factory=dict)
    pc: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pulls:
    """A pin, let alone and against the chip's weak pulls: its level each time (True: high)."""

    alone: bool
    up: bool
    down: bool

    @property
    def loose(self) -> bool:
        """It follows the pulls: nothing holds it."""
        return self.up and not self.down

    @classmethod
    def of(cls, bits: int) -> Pulls:
        return cls(bool(bits & 1), bool(bits & 2), bool(bits & 4))


@dataclass(frozen=True, slots=True)
class Pulse:
    """RX before, during and after a dominant pulse of TX; fall, rise: us, or probe.NEVER, probe.AT_ONCE."""

    before: bool
    during: bool
    after: bool
    fall: int = probe.AT_ONCE
    rise: int = probe.AT_ONCE

    @property
    def seen(self) -> bool:
        return not self.before and self.during

    @property
    def upside_down(self) -> bool:
        return self.before and not self.during


@dataclass(frozen=True, slots=True)
class Echo:
    """What came back of probe.pattern() at this rate, and widths in us of its dominant pulses."""

    baud: int
    got: bytes
    lows: tuple[int, ...] = ()

    @property
    def right(self) -> bool:
        return self.got == probe.pattern(self.baud)

    @property
    def bit_us(self) -> float:
        return 1e6 / self.baud

    @property
    def stretch_us(self) -> float | None:
        """How much longer a single dominant bit comes back than it was sent; None: there was none.

        Most of the pattern's pulses are single bits; a somewhat shorter one may be another module's.
        """
        return sorted(self.lows)[len(self.lows) // 4] - self.bit_us if self.lows else None


@dataclass(frozen=True, slots=True)
class ActiveFacts:
    """What was learnt by pulling the wire. tx: TX let go; rx_alone: RX was dominant while TX was let alone.

    pulled: a pulse with the chip's pull on RX; swapped: one sent on RX and heard on TX. None: there was no need.
    """

    tx: Pulls
    rx_alone: bool
    pulse: Pulse
    pulled: Pulse | None = None
    swapped: Pulse | None = None
    echoes: tuple[Echo, ...] = ()


@dataclass(frozen=True, slots=True)
class WireFacts:
    """mode: records.MODE_..; rx: as the pin has it; lows, highs: widths in us of others' dominant and recessive pulses.

    frames, bad, received: what the board's receiver made of it (frames; checksums, lengths; bytes)
    active None: nothing was sent; skipped says why
    """

    mode: int
    baud: int
    rx_pin: int
    tx_pin: int
    tx_invert: bool
    rx_invert: bool
    rx: Pulls
    dominant_seen: bool = False
    recessive_seen: bool = True
    lows: tuple[int, ...] = ()
    highs: tuple[int, ...] = ()
    frames: int = 0
    bad: int = 0
    received: int = 0
    active: ActiveFacts | None = None
    skipped: str = ""

    @property
    def talking(self) -> bool:
        """Somebody else's edges were seen."""
        return bool(self.lows or self.highs) or (self.dominant_seen and self.recessive_seen)


@dataclass(frozen=True, slots=True)
class Facts:
    """None: not reached, because of what came before. gone: why the board could not be asked any further.

    said: what the board said meanwhile that is no record
    """

    pc: PcFacts
    board: BoardFacts | None = None
    link: LinkFacts | None = None
    wire: WireFacts | None = None
    gone: str = ""
    said: tuple[str, ...] = ()
