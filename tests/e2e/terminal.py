"""A command on a pseudo terminal, as a person has it: keys go in, what is shown comes out, Ctrl-C interrupts."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 30.0


class Terminal:
    """words: of the command line; text: what was shown and has not been read yet."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "openkline", *words], stdin=slave, preexec_fn=lambda: os.login_tty(slave)
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_until(self, pattern: str) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not (found := re.search(pattern, self.text, re.DOTALL)):
            assert time.monotonic() < end_s, f"{pattern!r} did not come: {self.text!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.master, 4096).decode(errors="replace")
                except OSError:  # Linux: the other end is closed
                    raise AssertionError(f"ended, without {pattern!r}: {self.text!r}") from None
        self.text = self.text[found.end() :]

    def write(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        """Reads on until it has ended; its exit status."""
        end_s = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < end_s, f"goes on: {self.text!r}"
            self._drain()
        self._drain()
        return self.process.returncode

    def interrupt(self) -> int:
        """Ctrl-C at a question of click's; its exit status. readline shows the question a moment before it waits for
        keys, and does not notice an interrupt in between: so this waits until the process sleeps (Linux).
        """
        end_s = time.monotonic() + LIMIT_S
        status = Path(f"/proc/{self.process.pid}/stat")
        while status.read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < end_s, "it doesn't wait for an answer"
        self.write(b"\x03")
        return self.end()

    def _drain(self) -> None:
        while select.select([self.master], [], [], 0.05)[0]:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            self.text += data.decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
