"""The ELM327 as a serial port: a pseudo terminal, for programs that want to open a path.

Each opening of the port is a client: it has joined with its first bytes, and is gone when the port is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys

from openkline.elm.server import ElmClient, ElmServer
from openkline.errors import OpenklineError

_READ_SIZE = 4096
_LOOK_S = 0.1  # between two looks whether a program has opened it


class PseudoPort:
    """start() gives the path; stop() takes the port away."""

    def __init__(self, server: ElmServer) -> None:
        self._server = server
        self._master = -1
        self._out = bytearray()
        self._writing = False
        self._held = False
        self._client: ElmClient | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.path = ""

    def start(self) -> str:
        """OpenklineError: this system has no pseudo terminals."""
        if sys.platform == "win32":
            raise OpenklineError("only Unix has ptys: use --listen, and a program that connects over TCP")
        import pty
        import tty

        self._master, slave = pty.openpty()
        self.path = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)  # so that a closed port is seen as such
        os.set_blocking(self._master, False)
        self._look()
        return self.path

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._close_client()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    # -- closed: a look now and then, as no event says that a program opens it

    def _look(self) -> None:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        events = dict(poll.poll(0)).get(self._master, 0)
        if events & select.POLLHUP and not events & select.POLLIN:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
            return
        self._client = ElmClient(
            self._server, self.path, self._write, lambda: len(self._out), self._hold, self._out.clear
        )
        self._server.join(self._client)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _close_client(self) -> None:
        loop = asyncio.get_running_loop()
        if self._master >= 0:
            loop.remove_reader(self._master)
            loop.remove_writer(self._master)
        self._writing = self._held = False
        self._out.clear()
        if self._client is not None:
            self._server.leave(self._client)
            self._client = None
            self._forget_unread()

    def _forget_unread(self) -> None:
        """What the last one left unread, the system would give to the next; and its settings of the port."""
        import termios
        import tty

        with contextlib.suppress(OSError, termios.error):
            slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                tty.setraw(slave)  # discards input, too
            finally:
                os.close(slave)

    # -- open

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError:  # EIO: closed
            data = b""
        if data and self._client is not None:
            self._client.receive(data)
        else:
            self._close_client()
            self._look()

    def _hold(self, held: bool) -> None:
        self._held = held
        loop = asyncio.get_running_loop()
        if held:
            loop.remove_reader(self._master)
        elif self._client is not None:
            loop.add_reader(self._master, self._readable)

    def _write(self, data: bytes) -> None:
        self._out += data
        self._writable()

    def _writable(self) -> None:
        with contextlib.suppress(OSError):
            n = os.write(self._master, self._out)
            del self._out[:n]
        if bool(self._out) != self._writing and self._master >= 0:
            self._writing = bool(self._out)
            loop = asyncio.get_running_loop()
            if self._writing:
                loop.add_writer(self._master, self._writable)
            else:
                loop.remove_writer(self._master)
