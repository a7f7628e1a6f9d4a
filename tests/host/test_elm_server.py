"""The ELM327 server over real sockets and a real pty, with a line that does what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import termios
from collections.abc import AsyncIterator

import pytest

from openkline.elm.backend import Hear
from openkline.elm.operations import Close, Exchange, Initialise, Monitor, Operation, Outcome
from openkline.elm.options import ElmOptions, parse_listen
from openkline.elm.pseudo import PseudoPort
from openkline.elm.server import ElmServer, Seat
from openkline.errors import OpenklineError
from openkline.gateway.options import GatewayOptionError

KWP_RPM = bytes.fromhex("84 F1 10 41 0C 0D 20 FF")


class ScriptedLine:
    """Answers at once, unless `hang` names an operation; then until it is cancelled."""

    def __init__(self) -> None:
        self.ran: list[Operation] = []
        self.cancelled: list[Operation] = []
        self.hang: tuple[type[Operation], ...] = (Monitor,)
        self.tidying = asyncio.Event()
        self.tidying.set()
        self.hear: Hear = lambda message, good: None
        self.busy = 0

    async def run(self, operation: Operation, hear: Hear) -> Outcome:
        assert not self.busy, "two operations at once"
        self.busy += 1
        try:
            self.ran.append(operation)
            self.hear = hear
            if isinstance(operation, self.hang):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.append(operation)
                    raise
            if isinstance(operation, Close):
                await self.tidying.wait()
            if isinstance(operation, Exchange):
                hear(KWP_RPM, True)
            return Outcome(key_bytes=b"\xe9\x8f")
        finally:
            self.busy -= 1


@contextlib.asynccontextmanager
async def serving(**options: object) -> AsyncIterator[tuple[ElmServer, ScriptedLine]]:
    line = ScriptedLine()
    server = ElmServer(line, ElmOptions(port=0, **options))  # type: ignore[arg-type]
    await server.start()
    try:
        yield server, line
    finally:
        line.tidying.set()
        await server.stop()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, server: ElmServer) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, end: bytes = b">") -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readuntil(end)

    async def ask(self, line: str) -> bytes:
        self.send(line.encode() + b"\r")
        return await self.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_client_drives() -> None:
    async with serving(volts=13.5) as (server, line):
        client = await Client.connect(server)
        assert await client.ask("ATZ") == b"ATZ\r\r\rELM327 v1.5\r\r>"
        assert await client.ask("ATRV") == b"ATRV\r13.5V\r\r>"
        assert await client.ask("ATSP5") == b"ATSP5\rOK\r\r>"
        assert await client.ask("010C") == b"010C\rBUS INIT: OK\r41 0C 0D 20 \r\r>"
        await client.close()
        await until(lambda: line.ran and line.ran[-1] == Close())


async def test_one_drives_and_the_others_are_told_why_not() -> None:
    async with serving() as (server, _):
        one, two = await Client.connect(server), await Client.connect(server)
        await one.ask("ATE0")
        told = await two.ask("ATZ")
        assert told.startswith(b"BUSY: 127.0.0.1:") and b"drives" in told
        assert await one.ask("ATI") == b"ELM327 v1.5\r\r>"  # undisturbed
        await one.close()
        await until(lambda: server.driver is None and not server.changing)
        assert await two.ask("ATI") == b"ATI\rELM327 v1.5\r\r>"  # as after power on: with echo
        await two.close()


async def test_the_next_one_waits_until_the_line_is_free() -> None:
    async with serving() as (server, line):
        line.hang = (Initialise,)
        one = await Client.connect(server)
        one.send(b"ATSP3\r0100\r")
        await one.read(b"BUS INIT: ...")
        line.tidying.clear()
        await one.close()
        await until(lambda: line.cancelled)
        two = await Client.connect(server)
        two.send(b"ATI\r")
        await until(lambda: server.changing and any(seat.held for seat in server.seats))
        line.hang = ()
        line.tidying.set()
        assert await two.read() == b"ATI\rELM327 v1.5\r\r>"
        await two.close()


async def test_who_is_silent_loses_its_place(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(idle_s=0.0) as (server, line):
        one, two = await Client.connect(server), await Client.connect(server)
        one.send(b"ATMA\r")
        await until(lambda: line.busy)
        with caplog.at_level(logging.INFO, "openkline.elm327"):
            two.send(b"ATI\r")
            assert (await two.read()).endswith(b"v1.5\r\r>")
        assert any("takes its place" in record.message for record in caplog.records)
        for client in (one, two):
            await client.close()


async def test_interruption_reaches_the_line() -> None:
    async with serving() as (server, line):
        client = await Client.connect(server)
        await client.ask("ATE0")
        client.send(b"ATMA\r")
        await until(lambda: line.busy)
        line.hear(KWP_RPM, True)
        line.hear(b"\x01\x02\x03\x04\x05\x06", False)
        assert await client.read(b"ERROR\r") == b"41 0C 0D 20 \r04 05 <DATA ERROR\r"
        client.send(b"x")
        assert await client.read() == b"STOPPED\r\r>"
        assert await client.ask("ATI") == b"ELM327 v1.5\r\r>"
        await client.close()


@pytest.mark.parametrize("command", ["ATMA", "010C"])
async def test_an_interruption_in_one_piece_with_the_command(command: str) -> None:
    """What would begin is not begun; else ATMA would print until yet another byte comes."""
    async with serving() as (server, line):
        line.hang = (Monitor, Exchange)
        client = await Client.connect(server)
        await client.ask("ATE0")
        await client.ask("ATSP5")
        await client.ask("ATFI")
        client.send(command.encode() + b"\rx")
        assert await client.read() == b"STOPPED\r\r>"
        assert not any(isinstance(operation, line.hang) for operation in line.ran)
        assert await client.ask("ATI") == b"ELM327 v1.5\r\r>"
        await client.close()


@pytest.mark.parametrize("pieces", [(b"ATPC\rx",), (b"ATPC\r", b"x")], ids=len)
async def test_the_end_of_a_session_is_not_broken_off(pieces: tuple[bytes, ...]) -> None:
    """A session that the board still has, and the client knows nothing of, would be kept alive for nobody."""
    async with serving() as (server, line):
        client = await Client.connect(server)
        await client.ask("ATE0")
        await client.ask("ATSP5")
        await client.ask("ATFI")
        line.tidying.clear()
        for piece in pieces:
            client.send(piece)
            await until(lambda: line.ran[-1] == Close())
        await until(lambda: server.driver is not None and server.driver.dialogue.chip.cancel)  # type: ignore[union-attr]
        assert line.busy
        line.tidying.set()
        assert await client.read() == b"OK\r\r>"
        assert line.ran.count(Close()) == 1
        await client.close()


async def test_a_client_that_does_not_read_gets_buffer_full() -> None:
    async with serving() as (server, line):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
        sock.send(b"ATE0\rATH1\rATMA\r")
        await until(lambda: line.busy)
        n = 0
        while line.busy and n < 1_000_000:
            line.hear(KWP_RPM, True)
            n += 1
            if not n % 100:
                await asyncio.sleep(0)
        await until(lambda: not line.busy)
        assert n < 1_000_000
        got = b""
        async with asyncio.timeout(10):
            while not got.endswith(b"BUFFER FULL\r\r>"):
                got = (got + await asyncio.get_running_loop().sock_recv(sock, 65536))[-200:]
        sock.close()


async def test_bad_clients_are_bounded_logged_and_without_effect(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(input_bytes_per_s=65536) as (server, line):
        for bad in (b"AT", b"X" * 10_000, b"X" * 10_000 + b"\r", os.urandom(2000), b"\xff\x00\x80" * 300 + b"\r"):
            client = await Client.connect(server)
            client.send(bad)
            await client.writer.drain()
            await client.close()
            good = await Client.connect(server)
            assert await good.ask("ATI") == b"ATI\rELM327 v1.5\r\r>", bad[:20]
            await good.close()
            await until(lambda: server.driver is None and not server.changing and not server.seats)
        assert any("had no end, or was too long" in record.message for record in caplog.records)
        assert not any(record.exc_info for record in caplog.records)
        assert not line.busy


async def test_a_flood_of_input_waits_in_the_network() -> None:
    async with serving(input_bytes_per_s=2048) as (server, _):
        client = await Client.connect(server)
        client.send(b"ATI\r" * 800)
        first = await client.read()
        assert first.endswith(b"v1.5\r\r>")
        seat = server.driver
        assert seat is not None
        await until(lambda: any(connection._owes for connection in server._connections))
        assert seat.backlog() < 200_000
        client.writer.transport.abort()
        await until(lambda: server.driver is None and not server.changing)


async def test_who_may_connect() -> None:
    async with serving(clients=2) as (server, _):
        one, two = await Client.connect(server), await Client.connect(server)
        await one.ask("ATI")
        three = await Client.connect(server)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await three.reader.read() == b""  # no room
        for client in (one, two, three):
            await client.close()
        assert not server.doorman.allowed("192.168.0.7")
    with pytest.raises(GatewayOptionError, match="--allow"):
        ElmOptions(host="0.0.0.0")
    assert "no password" in ElmOptions(host="0.0.0.0", allow=("192.168.0.0/24",)).warning()
    for wrong in ({"port": 70000}, {"volts": 100.0}, {"allow": ("nonsense",)}):
        with pytest.raises(GatewayOptionError):
            ElmOptions(**wrong)


def test_where_to_listen() -> None:
    assert parse_listen("127.0.0.1:35000") == ("127.0.0.1", 35000)
    assert parse_listen("35001") == ("127.0.0.1", 35001)
    assert parse_listen("[::1]:35000") == ("::1", 35000)
    for wrong in ("", "host:", "host:port", "1.2.3.4"):
        with pytest.raises(OpenklineError, match="HOST:PORT"):
            parse_listen(wrong)


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
            await until(lambda: not server.seats and server.driver is None and not server.changing)
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            assert not termios.tcgetattr(fd)[3] & (termios.ECHO | termios.ICANON)
            assert select.select([fd], [], [], 0)[0] == []
            os.close(fd)
        finally:
            pseudo.stop()


async def test_who_has_gone_is_written_nothing() -> None:
    async with serving() as (server, line):
        written = bytearray()
        seat = Seat(server, "one", written.extend, lambda: 0, lambda held: None)
        server.join(seat)
        seat.receive(b"ATE0\rATMA\r")
        await until(lambda: line.busy)
        line.tidying.clear()
        written.clear()
        server.leave(seat)
        line.hear(KWP_RPM, True)  # before it is broken off, and then
        await until(lambda: line.cancelled)
        line.hear(KWP_RPM, True)
        line.tidying.set()
        await until(lambda: not server.changing)
        assert written == b""
