"""The event file: a frame on the bus starts a command.

    # comment
    "F0 04 3B 49 81 07" = playerctl next
    "?? 04 3F ?? 01 ??" = logger "an answer"

Left: the whole frame, checksum included; ?? (or * or **) stands for any byte. Right: a program and its arguments, split
as a shell would split them; no shell runs it unless one was asked for. The command gets the frame in its environment as
OPENKLINE_FRAME ("F0 04 3B 49 81 07"), OPENKLINE_OWN is 1 when we transmitted it ourselves. What it prints goes to the
messages on stderr; it has `timeout_s`, then it is ended, with everything it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from openkline.bus import BusFrame, frame_fault
from openkline.documents import read_text
from openkline.errors import OpenklineError
from openkline.gateway.rules import parse_pattern

log = logging.getLogger("openkline.bridge.events")

_PRINTED_MAX = 4096  # bytes of a command's output that are shown; the rest is read and thrown away
_KILL_AFTER_S = 2.0  # between asking a command to end and ending it


class EventFileError(OpenklineError, ValueError):
    """The event file has lines that can't be read; the message names each."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class EventRule:
    """pattern: one entry a byte of the frame, None for any byte; line: its number in the file."""

    pattern: tuple[int | None, ...]
    command: str
    line: int = 0

    def matches(self, frame: bytes) -> bool:
        pattern = self.pattern
        return len(pattern) == len(frame) and all(
            want is None or want == got for want, got in zip(pattern, frame, strict=True)
        )


@dataclass(slots=True)
class EventCounters:
    matched: int = 0
    started: int = 0
    failed: int = 0  # ended with another status than 0
    not_started: int = 0  # no such program, not allowed
    timeouts: int = 0
    dropped: int = 0  # too many were waiting


def parse_events(text: str, name: str = "event file", shell: bool = False) -> tuple[EventRule, ...]:
    """Rules in the file's order. EventFileError lists every bad line, not the first only."""
    rules: list[EventRule] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            rules.append(_parse_line(line, number, shell))
        except ValueError as error:
            problems.append(f"{name}, line {number}: {error}")
    if problems:
        raise EventFileError("\n".join(problems))
    return tuple(rules)


def _parse_line(line: str, number: int, shell: bool) -> EventRule:
    quoted, equals, command = line.partition("=")
    quoted, command = quoted.strip(), command.strip()
    if not equals or len(quoted) < 2 or quoted[0] != '"' or quoted[-1] != '"':
        raise ValueError(f'expected "frame in hex" = command, got {line[:60]!r}')
    pattern = parse_pattern(quoted[1:-1])
    if fault := frame_fault(pattern):  # no frame can match it
        raise ValueError(fault)
    if not command:
        raise ValueError("there is no command behind =")
    if not shell:
        try:
            shlex.split(command)
        except ValueError as error:
            raise ValueError(f"command {command!r}: {error}") from None
    return EventRule(pattern, command, number)


def load_events(path: Path, shell: bool = False) -> tuple[EventRule, ...]:
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise EventFileError(f"{path}: cannot be read ({error})") from error
    return parse_events(text, str(path), shell)


class EventRunner:
    """Give it to Bus.subscribe(). Runs at most `parallel` commands at a time; `waiting` more wait, others are dropped.

    Never blocks the bus: a call only compares and queues. stop() ends what still runs.
    """

    def __init__(
        self,
        rules: Sequence[EventRule],
        *,
        timeout_s: float = 10.0,
        shell: bool = False,
        parallel: int = 4,
        waiting: int = 64,
    ) -> None:
        self.rules = tuple(rules)
        self.timeout_s = timeout_s
        self.shell = shell
        self.counters = EventCounters()
        self._parallel, self._limit = parallel, waiting
        self._waiting: deque[tuple[EventRule, BusFrame]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __call__(self, frame: BusFrame) -> None:
        for rule in self.rules:
            if rule.matches(frame.data):
                self.counters.matched += 1
                if self._closed or len(self._waiting) >= self._limit:
                    self.counters.dropped += 1
                else:
                    self._waiting.append((rule, frame))
                    self._start_more()

    def _start_more(self) -> None:
        while self._waiting and len(self._tasks) < self._parallel and not self._closed:
            task = asyncio.get_running_loop().create_task(self._run(*self._waiting.popleft()), name="openkline event")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("event: %r", error)
        self._start_more()

    async def _run(self, rule: EventRule, frame: BusFrame) -> None:
        try:
            process = await self._spawn(rule.command, frame)
        except (OSError, ValueError) as error:
            self.counters.not_started += 1
            log.warning("event, line %d: %s cannot be started (%s)", rule.line, rule.command, error)
            return
        self.counters.started += 1
        printed = bytearray()
        status: int | None = None
        try:
            async with asyncio.timeout(self.timeout_s):
                await _read(process, printed)
                status = await process.wait()
        except TimeoutError:
            self.counters.timeouts += 1
            log.warning("event, line %d: %s was ended after %g s", rule.line, rule.command, self.timeout_s)
        finally:
            if status is None:
                await _end(process)
            for line in bytes(printed).decode("utf-8", "replace").splitlines():
                log.info("event, line %d: %s", rule.line, line)
        if status:
            self.counters.failed += 1
            log.warning("event, line %d: %s ended with status %d", rule.line, rule.command, status)

    async def _spawn(self, command: str, frame: BusFrame) -> asyncio.subprocess.Process:
        env = dict(os.environ, OPENKLINE_FRAME=frame.data.hex(" ").upper(), OPENKLINE_OWN="1" if frame.own else "0")
        pipe, null, joined = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL, asyncio.subprocess.STDOUT
        new_group = os.name == "posix"  # so that all of it can be ended
        if self.shell:
            return await asyncio.create_subprocess_shell(
                command, stdin=null, stdout=pipe, stderr=joined, env=env, start_new_session=new_group
            )
        return await asyncio.create_subprocess_exec(
            *shlex.split(command), stdin=null, stdout=pipe, stderr=joined, env=env, start_new_session=new_group
        )

    # -- bridge.part.Part

    async def start(self) -> None:
        pass

    def stats(self) -> dict[str, dict[str, object]]:
        counters = asdict(self.counters)
        return {"events": {"running": len(self._tasks), "waiting": len(self._waiting), **counters}}

    def trouble(self) -> str:
        return ""

    async def stop(self) -> None:
        """End what runs, forget what waits."""
        self._closed = True
        self._waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(process: asyncio.subprocess.Process, printed: bytearray) -> None:
    assert process.stdout is not None
    while data := await process.stdout.read(4096):
        printed += data[: _PRINTED_MAX - len(printed)]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask the command, and (where the system has process groups) what it started, to end; after a while insist."""
    _signal(process, "SIGTERM")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KILL_AFTER_S):
            await process.wait()
    _signal(process, "SIGKILL")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_KILL_AFTER_S):
            await process.wait()


def _signal(process: asyncio.subprocess.Process, name: str) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, getattr(signal, name))
        else:
            process.kill()
