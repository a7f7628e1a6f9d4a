"""Ways to a board to be flashed (flash_board.py): bare TCP, TCP with control lines (RFC 2217), a pty."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import tty
from types import SimpleNamespace

import serial.rfc2217
from tests.e2e.flash_board import FlashBoard

_SYNC = b"\xc0\x00\x08"  # what esptool begins with (Espressif, "Serial Protocol", SYNC)
_ASKS = b"\r\x02"  # openkline.device.prompt.PromptSeeker's first keys


class TcpFront:
    """A serial server: bare TCP (socket://), or with control lines (rfc2217://). One client at a time."""

    def __init__(self, scheme: str = "rfc2217") -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}"
        self._scheme = scheme
        self._client: socket.socket | None = None
        self._manager: serial.rfc2217.PortManager | None = None

    def register(self, board: FlashBoard) -> None:
        self._board = board
        board.selector.register(self._server, selectors.EVENT_READ, self._accept)

    def listen(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        self.write(b"".join(self._manager.escape(data)) if self._manager is not None else data)

    def write(self, data: bytes) -> None:
        """Raw: PortManager's answers, too."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(data)

    def cut(self) -> None:
        if self._client is not None:
            self._board.selector.unregister(self._client)
            self._client.close()
            self._client = self._manager = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._server.close()

    def _accept(self) -> None:
        self.cut()
        client, _ = self._server.accept()
        if self._board.unplugged:
            client.close()
            return
        self._client = client
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._board.selector.register(self._client, selectors.EVENT_READ, self._readable)
        if self._scheme == "rfc2217":
            self._manager = serial.rfc2217.PortManager(_Lines(self._board), self)

    def _readable(self) -> None:
        assert self._client is not None
        try:
            # pyserial's socket:// leaves Nagle's algorithm on: each of its small writes would wait for our delayed ACK.
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            data = self._client.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.cut()
        elif self._manager is not None:
            data = b"".join(self._manager.filter(data))
        if data:
            self._board.to_chip(data)


class _Lines(SimpleNamespace):
    """The serial port that RFC 2217's server believes to control: of it, only DTR and RTS do something."""

    def __init__(self, board: FlashBoard) -> None:
        super().__init__(
            baudrate=115200, bytesize=8, parity="N", stopbits=1, rtscts=False, xonxoff=False, break_condition=False,
            cts=True, dsr=True, ri=False, cd=True, reset_input_buffer=lambda: None, reset_output_buffer=lambda: None,
        )  # fmt: skip
        self._levels = {"dtr": False, "rts": False}
        self._board = board

    @property
    def dtr(self) -> bool:
        return self._levels["dtr"]

    @dtr.setter
    def dtr(self, level: bool) -> None:
        self._levels["dtr"] = level
        self._board.lines(**self._levels)

    @property
    def rts(self) -> bool:
        return self._levels["rts"]

    @rts.setter
    def rts(self, level: bool) -> None:
        self._levels["rts"] = level
        self._board.lines(**self._levels)


class PtyFront:
    """A serial device. A pty has no control lines, so the board guesses what they would have said from the bytes:
    a SYNC of esptool means download mode, keys of a REPL mean that it was reset since. Its client's end is held open by
    nobody else, so that no program finds the port in use."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.address = os.ttyname(slave)
        os.close(slave)

    def register(self, board: FlashBoard) -> None:
        self._board = board
        os.set_blocking(self._master, False)
        self.listen()

    def listen(self) -> None:
        """Without a client, a pty's end is always readable (EIO): it is looked at now and then instead."""
        if self._master not in self._board.selector.get_map():
            self._board.selector.register(self._master, selectors.EVENT_READ, self._readable)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._master, data)

    def cut(self) -> None:
        raise NotImplementedError("a pty stays")

    def close(self) -> None:
        os.close(self._master)

    def _readable(self) -> None:
        board = self._board
        try:
            data = os.read(self._master, 4096)
        except OSError:
            board.selector.unregister(self._master)
            return
        if not board.in_download and data.startswith(_SYNC):
            board.hold_boot = True
            board.press_reset()
            board.hold_boot = False
        elif board.in_download and data == _ASKS:
            board.press_reset()
        board.to_chip(data)
