"""A terminal program for the virtual board, whose MicroPython ends lines with LF alone: CR LF are shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

_SIZE = 4096


def with_returns(data: bytes, last: bytes) -> bytes:
    """LF becomes CR LF where no CR is in front of it. last: the byte before `data`, b"" at first."""
    before = last if last == b"\r" else b""
    return re.sub(rb"(?<!\r)\n", b"\r\n", before + data)[len(before) :]


async def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The program between this terminal and itself; -> its exit status. Not on Windows, as the virtual board."""
    import pty

    master, slave = pty.openpty()
    loop = asyncio.get_running_loop()
    last = b""

    def typed() -> None:
        if data := _read(sys.stdin.fileno()):
            os.write(master, data)
        else:
            loop.remove_reader(sys.stdin.fileno())

    def said() -> bool:
        nonlocal last
        data = _read(master)
        os.write(sys.stdout.fileno(), with_returns(data, last))
        last = data[-1:]
        if not data:
            loop.remove_reader(master)
        return bool(data)

    with _raw(sys.stdin.fileno(), slave):
        program = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        loop.add_reader(sys.stdin.fileno(), typed)
        loop.add_reader(master, said)
        try:
            return await program.wait()
        finally:
            while said():
                pass
            loop.remove_reader(sys.stdin.fileno())
            os.close(master)


def _read(fd: int) -> bytes:
    """b"" at the end: Linux has an error for a terminal whose other side is closed."""
    with contextlib.suppress(OSError):
        return os.read(fd, _SIZE)
    return b""


@contextlib.contextmanager
def _raw(terminal: int, slave: int) -> Iterator[None]:
    """Keys go through as they are; `slave` is as large as the terminal."""
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    termios.tcsetwinsize(slave, termios.tcgetwinsize(terminal))
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
