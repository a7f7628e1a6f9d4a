"""The ELM327 as a serial port, over a real pty."""

from __future__ import annotations

import asyncio
import os
import select
import termios

from openkline.elm.operations import Close
from openkline.elm.pseudo import PseudoPort

from .elm_serving import Client, serving, until


async def test_a_pty_is_a_client_each_time_it_is_opened() -> None:
    async with serving() as (server, line):
        pseudo = PseudoPort(server)
        path = pseudo.start()
        loop = asyncio.get_running_loop()
        try:
            for _ in range(2):
                fd = await loop.run_in_executor(None, lambda: os.open(path, os.O_RDWR | os.O_NOCTTY))
                os.write(fd, b"ATE0\rATI\r")
                got = b""
                async with asyncio.timeout(10):
                    while not got.endswith(b"v1.5\r\r>"):
                        got += await loop.run_in_executor(None, os.read, fd, 100)
                assert got == b"ATE0\rOK\r\r>ELM327 v1.5\r\r>"
                other = await Client.connect(server)
                assert (await other.ask("ATI")).startswith(f"BUSY: {path}".encode())
                await other.close()
                os.close(fd)
                await until(lambda: server.driver is None and not server.changing)
            assert line.ran == [Close(), Close()]
        finally:
            pseudo.stop()


async def test_what_one_left_at_the_pty_the_next_does_not_get() -> None:
    """Its unread answers, and its settings of the port."""
    async with serving() as (server, _):
        pseudo = PseudoPort(server)
        path = pseudo.start()
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            os.write(fd, b"ATI\r")
            await until(lambda: select.select([fd], [], [], 0)[0])
            settings = termios.tcgetattr(fd)
            settings[3] |= termios.ECHO | termios.ICANON
            termios.tcsetattr(fd, termios.TCSANOW, settings)
            os.close(fd)
            await until(lambda: not server.clients and server.driver is None and not server.changing)
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            assert not termios.tcgetattr(fd)[3] & (termios.ECHO | termios.ICANON)
            assert select.select([fd], [], [], 0)[0] == []
            os.close(fd)
        finally:
            pseudo.stop()
