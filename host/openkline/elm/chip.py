"""What the chip's commands work on: its state and answers. Input from client and line is interpreter.py's."""

from __future__ import annotations

from collections.abc import Callable, Generator

from openkline.elm.memory import Memory
from openkline.elm.operations import Close, Operation, Outcome
from openkline.elm.state import Bus

IDENTITY = "ELM327 v1.5"
OK, UNKNOWN = "OK", "?"

Steps = Generator[Operation, Outcome, None]
Reply = str | Steps  # one line, or what has to be done on the car's line first
Accept = Callable[[bytes], bool]


class Chip:
    """volts: what AT RV says where the board measures nothing; uncounted_refusals: 010C1 waits for data.

    out       what the client is to be sent; the owner empties it
    accepted  messages printed since listen_for()
    asleep    by AT LP: the next byte wakes it
    buffer    of AT BD: the last message, its first bytes above what was there before; size: how long it was
    """

    def __init__(self, memory: Memory | None = None, volts: float = 12.0, uncounted_refusals: bool = False) -> None:
        self.memory = memory or Memory()
        self.volts = volts
        self.uncounted_refusals = uncounted_refusals
        self.settings = self.memory.parameters.settings()
        self.bus = Bus()
        self.out = bytearray()
        self.accepted = 0
        self.asleep = False
        self.buffer = bytearray(12)
        self.size = 0
        self._accept: Accept | None = None
        self._word = ""  # what an interruption prints
        self.restore_protocol()

    # -- its voice

    def say(self, text: str) -> None:
        self.out += text.encode("ascii", "replace")

    def line_end(self) -> str:
        return "\r\n" if self.settings.linefeeds else "\r"

    def say_end(self) -> None:
        self.say(self.line_end())

    def say_line(self, text: str) -> None:
        self.say(text)
        self.say_end()

    # -- what is under way

    def listen_for(self, accept: Accept | None) -> None:
        """Which good messages are printed from now on; None: nothing at all."""
        self._accept = accept
        self.accepted = 0

    def keep(self, message: bytes) -> None:
        """A message on the line, for AT BD."""
        self.size = len(message)
        n = min(self.size, len(self.buffer))
        self.buffer[:n] = message[:n]

    def stop_word(self) -> str:
        """What ended the operation: STOPPED or BUFFER FULL. It has been dealt with."""
        word, self._word = self._word or "STOPPED", ""
        return word

    # -- its protocol

    def restore_protocol(self) -> None:
        """The protocol of AT SP is in force again."""
        self.settings.protocol, self.settings.auto = self.memory.saved, self.memory.saved_auto

    def protocol(self) -> int:
        """The one in force: found by a search, or set."""
        return self.bus.protocol if self.settings.auto and self.bus.protocol else self.settings.protocol

    def close_steps(self) -> Steps:
        """Protocol close, where there is something to close."""
        if self.bus.active and not self.bus.bypassed:
            yield Close()
        self.bus = Bus(protocol=self.bus.protocol, keys=self.bus.keys)

    def reset_steps(self) -> Steps:
        """AT Z, AT WS, and waking up: as after power on."""
        yield from self.close_steps()
        self.settings = self.memory.parameters.settings()
        self.bus = Bus()
        self.asleep = False
        self.restore_protocol()
        self.say_end()
        self.say_end()
        self.say_line(IDENTITY)
