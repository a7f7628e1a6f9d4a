"""An interpreter with a scripted car, and the table of vectors (tests/vectors/elm327.txt)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openkline.elm.interpreter import Interpreter
from openkline.elm.operations import Exchange, Initialise, KeepAlive, Operation, Outcome

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "elm327.txt"
ISO_RPM = "48 6B 10 41 0C 0D 20 3D"
KWP_RPM = "84 F1 10 41 0C 0D 20 FF"
KEYS = {3: b"\x08\x08", 4: b"\xe9\x8f", 5: b"\xe9\x8f"}


def vectors(kind: str) -> list[list[str]]:
    rows = [[word.strip() for word in line.split("|")] for line in VECTORS.read_text("utf-8").splitlines()]
    return [row[1:] for row in rows if row[0] == kind]


def message(text: str) -> tuple[bytes, bool]:
    """`84 F1 ..` or, damaged, `!84 F1 ..`"""
    return bytes.fromhex(text.strip().lstrip("!")), not text.strip().startswith("!")


@dataclass
class Car:
    """Answers operations. protocol: what it speaks; ECU answers come from `says`; all operations are in `asked`.

    gap_ms: between its answers, as Outcome has it.
    """

    protocol: int = 5
    says: list[str] = field(default_factory=list)
    error: str = ""  # of each initialisation
    asked: list[Operation] = field(default_factory=list)
    gap_ms: int = 0

    def serve(self, chip: Interpreter) -> None:
        """Until the chip waits for its client."""
        while (operation := chip.operation) is not None:
            self.asked.append(operation)
            chip.completed(self.outcome(chip, operation))

    def outcome(self, chip: Interpreter, operation: Operation) -> Outcome:
        if isinstance(operation, Initialise):
            fits = operation.kind == ("fast" if self.protocol == 5 else "slow")
            if self.error or not fits:
                return Outcome(self.error or ("no_sync" if operation.kind == "slow" else "silent"), alive=False)
            return Outcome(key_bytes=KEYS[self.protocol])
        if isinstance(operation, Exchange):
            for text in self.says:
                chip.heard(*message(text))
            return Outcome(gap_ms=self.gap_ms)
        return Outcome()

    def exchanges(self) -> list[Exchange]:
        return [one for one in self.asked if isinstance(one, Exchange)]

    def wakes(self) -> list[KeepAlive]:
        return [one for one in self.asked if isinstance(one, KeepAlive)]


class Elm:
    """say() sends a line to the chip and gives what came out, the car having answered."""

    def __init__(self, car: Car | None = None, volts: float = 12.6) -> None:
        self.chip = Interpreter(volts=volts)
        self.car = car or Car()

    def send(self, data: bytes) -> bytes:
        """Bytes in, bytes out; a running operation stays."""
        self.chip.receive(data)
        return self.take()

    def take(self) -> bytes:
        out = bytes(self.chip.out)
        self.chip.out.clear()
        return out

    def say(self, line: str) -> bytes:
        before = self.send(line.encode() + b"\r")
        self.car.serve(self.chip)
        return before + self.take()

    def ask(self, line: str) -> str:
        """The same, without echo, prompt and the empty line before it; lines joined with /."""
        out = self.say(line).decode()
        assert out.endswith("\r\r>"), out
        return "/".join(out[:-3].removeprefix(line + "\r").split("\r"))

    def ready(self, protocol: int) -> Elm:
        """In a session of this protocol, without echo."""
        self.car.protocol = protocol
        for line in ("ATE0", f"ATSP{protocol}", "0100"):
            self.say(line)
        assert self.chip.bus.active
        self.car.asked.clear()
        return self


def settings() -> Iterator[tuple[bool, bool, bool, bool]]:
    """Echo, line feeds, spaces, headers: all combinations."""
    for n in range(16):
        yield bool(n & 1), bool(n & 2), bool(n & 4), bool(n & 8)
