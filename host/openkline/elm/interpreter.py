"""The ELM327's side of its serial line, without any line: bytes in, bytes out, and operations for the car's line.

    receive(bytes) -> out          echo, answers, the prompt
                   -> operation    what is to be done on the car's line; meanwhile it is busy:
    heard(message) -> out          a line
    completed(outcome) -> out      more lines, another operation, or the prompt

A byte that comes while it is busy interrupts: `cancel` is set, the operation is to be cancelled and then completed().
What still comes until the prompt is thrown away. Sources: ELM327DSJ (the data sheet of v2.1), by section in
docs/elm327.md.
"""

from __future__ import annotations

from dataclasses import replace

from openkline.elm import lines
from openkline.elm.chip import Chip, Reply, Steps
from openkline.elm.commands import answer
from openkline.elm.memory import Memory
from openkline.elm.operations import STOPPED, Operation, Outcome

MAX_LINE = 640  # AT AL allows 255 bytes in a request: 510 digits, and some spaces' worth
INCOMPLETE_S = 20.0  # a line without an end is given up after so long

_CR, _LF = 0x0D, 0x0A


class Interpreter(Chip):
    """One client's ELM327.

    operation  what is to be done now; None: it waits for the client
    cancel     the operation is to be cancelled
    overlong   lines given up because they had no end, or were too long
    """

    def __init__(self, memory: Memory | None = None, volts: float = 12.0, uncounted_refusals: bool = False) -> None:
        super().__init__(memory, volts, uncounted_refusals)
        self.operation: Operation | None = None
        self.cancel = False
        self.overlong = 0
        self._steps: Steps | None = None
        self._line = bytearray()
        self._too_long = False
        self._repeat = ""
        self._last_byte = 0

    # -- the client's bytes

    @property
    def busy(self) -> bool:
        return self._steps is not None

    @property
    def has_partial_line(self) -> bool:
        return bool(self._line) or self._too_long

    def receive(self, data: bytes) -> None:
        for byte in data:
            if byte == 0:
                continue
            last, self._last_byte = self._last_byte, byte
            if byte == _LF and last == _CR:
                continue
            if self.busy:
                self._interrupt(STOPPED.upper())
                return
            if self.asleep:
                self._reply(self.reset_steps())
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
        self.keep(message)
        if good and not self._accept(message):
            return
        self.accepted += 1
        self.say_line(lines.render(self.settings, message, good))

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

    def _prompt(self) -> None:
        self.cancel = False
        self._word = ""
        if self.asleep:
            return
        self.say_end()
        self.out += b">"
