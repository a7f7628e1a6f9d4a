"""Commands that start when a frame is seen: the event file of `openkline bridge -e`.

    # buttons of the on-board monitor
    "F0 04 3B 49 81 07" = mpc next
    "F0 04 3B ?? 81 ??" timeout 2 = logger -t car button
    "68 03 18 01 72"    shell     = date >> /tmp/cd.log; sync

The pattern is the whole frame, checksum included; ?? is any byte. Between pattern and `=` may stand `timeout SECONDS`
(10 by default; then the command is killed) and `shell`. Without `shell` the command is split as a shell would, but runs
without one: no pipes, no variables, nothing for a frame to be injected into. The command finds the frame in
$OPENKLINE_FRAME; its standard output is thrown away, its standard error is ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex
import signal
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kline.protocol.checksum import xor8
from kline.protocol.ibus import MAX_FRAME, MIN_FRAME
from openkline.bus import BusFrame
from openkline.errors import OpenklineError
from openkline.gateway.rules import begins_with, parse_pattern

log = logging.getLogger("openkline.events")

DEFAULT_TIMEOUT_S = 10.0
MAX_TIMEOUT_S = 86400.0
MAX_LINES = 10_000
_LINE = re.compile(r'"(?P<pattern>[^"]*)"(?P<words>[^="]*)=(?P<command>.*)', re.DOTALL)


class EventFileError(OpenklineError, ValueError):
    """Lines that can't be read, each with its number. Wrong usage."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Event:
    """arguments: the program and its arguments, or the one text for the shell; line: where it stands."""

    pattern: tuple[int | None, ...]
    arguments: tuple[str, ...]
    timeout_s: float = DEFAULT_TIMEOUT_S
    shell: bool = False
    line: int = 0

    @classmethod
    def parse(cls, text: str, line: int = 0) -> Event:
        """ValueError says what is wrong with it."""
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise ValueError('expected "F0 04 3B 49 81 07" = command')
        pattern = _frame_pattern(match["pattern"])
        timeout_s, shell = _options(match["words"].split())
        command = match["command"].strip()
        arguments = [command] if shell else shlex.split(command)
        if not arguments or not arguments[0]:
            raise ValueError("there is no command behind =")
        return cls(pattern, tuple(arguments), timeout_s, shell, line)

    def matches(self, frame: bytes) -> bool:
        return len(frame) == len(self.pattern) and begins_with(frame, self.pattern)


def _frame_pattern(text: str) -> tuple[int | None, ...]:
    pattern = parse_pattern(text)
    if not MIN_FRAME <= len(pattern) <= MAX_FRAME:
        raise ValueError(f"a frame has {MIN_FRAME} to {MAX_FRAME} bytes, this pattern {len(pattern)}")
    length = pattern[1]
    if length is not None and length != len(pattern) - 2:
        raise ValueError(f"the length byte is {length:02X}, with so many bytes it must be {len(pattern) - 2:02X}")
    fixed = [byte for byte in pattern if byte is not None]
    if len(fixed) == len(pattern) and xor8(bytes(fixed), 0, len(fixed)):
        right = xor8(bytes(fixed), 0, len(fixed) - 1)
        raise ValueError(f"the checksum is {fixed[-1]:02X}, must be {right:02X}")
    return pattern


def _options(words: list[str]) -> tuple[float, bool]:
    timeout_s, shell = DEFAULT_TIMEOUT_S, False
    while words:
        word = words.pop(0)
        if word == "shell":
            shell = True
        elif word == "timeout":
            value = words.pop(0) if words else "nothing"
            try:
                timeout_s = float(value)
            except ValueError:
                timeout_s = 0.0
            if not 0 < timeout_s <= MAX_TIMEOUT_S:
                raise ValueError(f"timeout is {value}, must be a number of seconds up to {MAX_TIMEOUT_S:.0f}")
        else:
            raise ValueError(f"{word!r} between pattern and =: only `shell` and `timeout SECONDS` may stand there")
    return timeout_s, shell


def parse_events(lines: Iterable[str], name: str = "event file") -> list[Event]:
    """All lines, or EventFileError that names every bad one."""
    events: list[Event] = []
    problems: list[str] = []
    for number, text in enumerate(lines, 1):
        stripped = text.strip().removeprefix("\ufeff")
        if not stripped or stripped.startswith("#"):
            continue
        try:
            if number > MAX_LINES:
                raise ValueError(f"more than {MAX_LINES} lines")
            events.append(Event.parse(stripped, number))
        except ValueError as error:
            problems.append(f"{name}, line {number}: {error}")
            if number > MAX_LINES:
                break
    if problems:
        raise EventFileError("\n".join(problems))
    return events


def load_events(path: Path) -> list[Event]:
    """EventFileError: it can't be read, or has bad lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EventFileError(f"{path}: cannot be read ({error})") from error
    return parse_events(text.splitlines(), str(path))


@dataclass(slots=True)
class EventCounters:
    started: int = 0
    ended: int = 0
    failed: int = 0  # another exit status than 0, or could not be started
    timeouts: int = 0
    dropped: int = 0  # too many were waiting


@dataclass(slots=True)
class EventRunner:
    """Subscribe it to a bus. At most `running` commands at once; `waiting` more wait, and the rest is dropped."""

    events: list[Event]
    running: int = 4
    waiting: int = 32
    counters: EventCounters = field(default_factory=EventCounters)
    _exact: dict[bytes, list[Event]] = field(default_factory=dict)
    _wild: list[Event] = field(default_factory=list)
    _queue: deque[tuple[Event, bytes]] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for event in self.events:
            fixed = [byte for byte in event.pattern if byte is not None]
            if len(fixed) == len(event.pattern):
                self._exact.setdefault(bytes(fixed), []).append(event)
            else:
                self._wild.append(event)

    def __call__(self, frame: BusFrame) -> None:
        found = list(self._exact.get(frame.data, ()))
        found += [event for event in self._wild if event.matches(frame.data)]
        for event in sorted(found, key=lambda event: event.line):
            if len(self._queue) >= self.waiting:
                self.counters.dropped += 1
                continue
            self._queue.append((event, frame.data))
        self._start()

    def _start(self) -> None:
        while self._queue and len(self._tasks) < self.running:
            event, frame = self._queue.popleft()
            task = asyncio.get_running_loop().create_task(self._run(event, frame), name=f"event line {event.line}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._queue:
            self._start()

    async def _run(self, event: Event, frame: bytes) -> None:
        text = event.arguments[0]
        try:
            process = await _spawn(event, frame)
        except (OSError, ValueError) as error:
            self.counters.failed += 1
            log.warning("event line %d: %s cannot be started (%s)", event.line, text, error)
            return
        self.counters.started += 1
        try:
            async with asyncio.timeout(event.timeout_s):
                status = await process.wait()
        except TimeoutError:
            self.counters.timeouts += 1
            log.warning("event line %d: %s killed after %g s", event.line, text, event.timeout_s)
            return
        finally:
            self.counters.ended += 1
            await _kill(process)
        if status:
            self.counters.failed += 1
            log.warning("event line %d: %s ended with status %d", event.line, text, status)

    async def close(self) -> None:
        """Nothing starts any more; what runs is killed."""
        self._queue.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _spawn(event: Event, frame: bytes) -> asyncio.subprocess.Process:
    environment = dict(os.environ, OPENKLINE_FRAME=frame.hex(" ").upper())
    null = asyncio.subprocess.DEVNULL
    if event.shell:
        return await asyncio.create_subprocess_shell(
            event.arguments[0], stdin=null, stdout=null, env=environment, start_new_session=True
        )
    return await asyncio.create_subprocess_exec(
        *event.arguments, stdin=null, stdout=null, env=environment, start_new_session=True
    )


async def _kill(process: asyncio.subprocess.Process) -> None:
    """The program, and where the system knows such groups, what it has started."""
    if process.returncode is not None:
        return
    kill_group = getattr(os, "killpg", None)
    with contextlib.suppress(OSError):
        if kill_group is not None:
            kill_group(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()
