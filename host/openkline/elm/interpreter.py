"""The ELM327's side of its serial line, without any line: bytes in, bytes out, and operations for the car's line.

    receive(bytes) -> out          echo, answers, the prompt
                   -> operation    what is to be done on the car's line; meanwhile it is busy:
    heard(message) -> out          a line
    completed(outcome) -> out      more lines, another operation, or the prompt

A byte that comes while it is busy interrupts: `cancel` is set, the operation is to be cancelled and then completed().
What still comes until the prompt is thrown away. Sources: ELM327DSJ (the data sheet of v2.2), by section in
docs/elm327.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from openkline.elm import lines
from openkline.elm.operations import STOPPED, Close, Operation, Outcome
from openkline.elm.state import Bus, Memory, Settings

IDENTITY = "ELM327 v1.5"
MAX_LINE = 640  # AT AL allows 255 bytes in a request: 510 digits, and some spaces' worth
INCOMPLETE_S = 20.0  # a line without an end is given up after so long

Steps = Generator[Operation, Outcome, None]
Reply = str | Steps
Accept = Callable[[bytes], bool]
_CR, _LF, _DEL = 0x0D, 0x0A, 0x7F


class Interpreter:
    """One client's ELM327. volts: what AT RV says where the board measures nothing.

    out        what the client is to be sent; the owner empties it
    operation  what is to be done now; None: it waits for the client
    cancel     the operation is to be cancelled
    overlong   lines given up because they had no end, or were too long
    """

    def __init__(self, memory: Memory | None = None, volts: float = 12.0) -> None:
        self.memory = memory or Memory()
        self.volts = volts
        self.settings = Settings()
        self.bus = Bus()
        self.out = bytearray()
        self.operation: Operation | None = None
        self.cancel = False
        self.overlong = 0
        self._word = ""  # what an interruption prints
        self._steps: Steps | None = None
        self._accept: Accept | None = None
        self.accepted = 0  # messages printed since listen_for()
        self._line = bytearray()
        self._too_long = False
        self._repeat = ""
        self._last_byte = 0
        self.restore_protocol()

    # -- the client's bytes

    @property
    def busy(self) -> bool:
        return self._steps is not None

    @property
    def has_partial_line(self) -> bool:
        return bool(self._line) or self._too_long

    def receive(self, data: bytes) -> None:
        for byte in data:
            last, self._last_byte = self._last_byte, byte
            if byte == 0 or (byte == _LF and last == _CR):
                continue
            if self.busy:
                self._interrupt(STOPPED.upper())
                return
            if byte == _CR:
                self._end_of_line()
            elif byte >= 0x20:
                self._character(byte)

    def _character(self, byte: int) -> None:
        if len(self._line) >= MAX_LINE:
            self._too_long = True  # no echo any more: what comes without an end must not fill anything
            return
        if self.settings.echo:
            self.out.append(byte)
        if byte != 0x20:
            self._line.append(byte)

    def _end_of_line(self) -> None:
        if self.settings.echo:
            self.say_end()
        line = self._line.decode("latin-1").upper()
        too_long, self._too_long = self._too_long, False
        self._line.clear()
        if too_long:
            self.overlong += 1
            self._reply("?")
            return
        line = line or self._repeat
        self._repeat = line
        from openkline.elm.commands import answer

        self._reply(answer(self, line))

    def expire(self) -> None:
        """The rest of a line has not come for INCOMPLETE_S."""
        if self.has_partial_line and not self.busy:
            self._line.clear()
            self._too_long = False
            self.overlong += 1
            self._reply("?")

    def clogged(self) -> None:
        """The client doesn't read what it is sent."""
        if self.busy:
            self._interrupt("BUFFER FULL")

    def _interrupt(self, word: str) -> None:
        if not self.cancel:
            self.cancel = True
            self._word = word

    # -- the car's line

    def heard(self, message: bytes, good: bool = True) -> None:
        """A message on the line, with header and checksum; good: the checksum is right."""
        if not message or not self.busy or self.cancel or self._accept is None:
            return
        if good and not self._accept(message):
            return
        self.accepted += 1
        self.say_line(lines.render(self.settings, message, good))

    def listen_for(self, accept: Accept | None) -> None:
        """Which good messages are printed from now on; None: nothing at all."""
        self._accept = accept
        self.accepted = 0

    def completed(self, outcome: Outcome) -> None:
        """The operation is done, or was cancelled."""
        if self.operation is None:
            return
        if self.cancel:
            outcome = replace(outcome, error=STOPPED)
        self._continue(outcome)

    def _reply(self, reply: Reply) -> None:
        if isinstance(reply, str):
            self.say_line(reply)
            self._prompt()
            return
        self._steps = reply
        self._continue(None)

    def _continue(self, outcome: Outcome | None) -> None:
        steps = self._steps
        assert steps is not None
        self.operation = None
        try:
            self.operation = next(steps) if outcome is None else steps.send(outcome)
        except StopIteration:
            self._steps = None
            self._accept = None
            self._prompt()

    # -- what commands use

    def stop_word(self) -> str:
        """What ended the operation: STOPPED or BUFFER FULL. It has been dealt with."""
        word, self._word = self._word or "STOPPED", ""
        return word

    def say(self, text: str) -> None:
        self.out += text.encode("ascii", "replace")

    def say_end(self) -> None:
        self.out += b"\r\n" if self.settings.linefeeds else b"\r"

    def say_line(self, text: str) -> None:
        self.say(text)
        self.say_end()

    def _prompt(self) -> None:
        self.cancel = False
        self._word = ""
        self.say_end()
        self.out += b">"

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
        """AT Z, AT WS: as after power on."""
        yield from self.close_steps()
        self.settings = Settings()
        self.bus = Bus()
        self.restore_protocol()
        self.say_end()
        self.say_end()
        self.say_line(IDENTITY)
