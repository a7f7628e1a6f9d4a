"""TCP ports for tests, with several test processes at once on a computer."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Above those that systems give to outgoing connections (Linux: 32768 to 60999).
_FIRST, _SIZE, _SHARES = 61000, 250, 18
_claims: list[IO[str]] = []  # open, and so locked, as long as this process lives


def free_port(count: int = 1) -> int:
    """The first of `count` consecutive TCP ports that are free, in this process's share.

    A gateway's ports for clients are free until somebody says Hello, and must be so then: nobody else may take them.
    """
    for _ in range(200):
        first = _share() + random.randrange(_SIZE - count)
        with contextlib.ExitStack() as socks, contextlib.suppress(OSError):
            for number in range(first, first + count):
                sock = socks.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("127.0.0.1", number))
            return first
    raise RuntimeError(f"no {count} free ports in a row in the {_SIZE} from {_share()}")


@functools.cache
def _share() -> int:
    """The first port of a share that no other process has locked."""
    for number in range(_SHARES):
        with contextlib.suppress(OSError):
            file = (Path(tempfile.gettempdir()) / f"openkline-test-ports-{number}").open("w")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _claims.append(file)
            return _FIRST + number * _SIZE
    raise RuntimeError(f"{_SHARES} test processes have all ports for tests")
