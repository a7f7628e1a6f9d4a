"""Folders for a short time, gone after it: those of programs that were killed go when the next one makes its own.

A folder belongs to a living program as long as its file `.lock` is locked (flock(2)): the system lets go of it however
the program ends. Only folders of this user with such a file are removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what was killed leaves its folder
    fcntl = None  # type: ignore[assignment]

_PREFIX = "openkline-"
_NAME = re.compile(re.escape(_PREFIX) + r"\w{8}")
_LOCK = ".lock"
_NEW_S = 60.0  # a lock file this young may be about to be locked


class Scratch:
    """`with Scratch() as folder:`, or close() at the end. OSError: there is no room for it."""

    def __init__(self) -> None:
        self._fd = -1
        _remove_leftovers(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if fcntl is not None:
            self._fd = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _remove_leftovers(place: Path) -> None:
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        for folder in place.iterdir():
            if _NAME.fullmatch(folder.name):
                with contextlib.suppress(OSError):
                    _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    """OSError: it isn't one of ours, or its program lives."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if time.time() - os.fstat(fd).st_mtime >= _NEW_S:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(fd)
