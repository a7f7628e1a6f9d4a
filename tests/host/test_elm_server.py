"""The ELM327 server over real sockets: who drives, interruptions, bad clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket

import pytest

from openkline.elm import server as server_module
from openkline.elm.operations import Close, Exchange, Initialise, Monitor
from openkline.elm.options import ElmOptions, parse_listen
from openkline.elm.server import ElmClient
from openkline.errors import OpenklineError, OptionError

from .elm_serving import KWP_RPM, Client, serving, until


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
        await until(lambda: server.changing and any(client.held for client in server.clients))
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
        await until(lambda: server.driver is not None and server.driver.session.chip.cancel)  # type: ignore[union-attr]
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
            await until(lambda: server.driver is None and not server.changing and not server.clients)
        assert any("had no end, or was too long" in record.message for record in caplog.records)
        assert not any(record.exc_info for record in caplog.records)
        assert not line.busy


async def test_a_flood_of_input_waits_in_the_network() -> None:
    async with serving(input_bytes_per_s=2048) as (server, _):
        client = await Client.connect(server)
        client.send(b"ATI\r" * 800)
        first = await client.read()
        assert first.endswith(b"v1.5\r\r>")
        driver = server.driver
        assert driver is not None
        await until(lambda: any(connection._owes for connection in server._connections))
        assert driver.backlog() < 200_000
        client.writer.transport.abort()
        await until(lambda: server.driver is None and not server.changing)


async def test_who_may_connect(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(clients=2) as (server, _):
        one, two = await Client.connect(server), await Client.connect(server)
        await one.ask("ATI")
        await two.ask("ATI")
        three = await Client.connect(server)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await three.reader.read() == b""  # no room
        for client in (one, two, three):
            await client.close()
        assert not server.limiter.allowed("192.168.0.7")
    for address, why in (
        ("192.168.0.7", "192.168.0.7: not let in: its network is not named by --allow"),
        ("10.0.0.7", "10.0.0.7: not let in: it connects more often than 0.1/s"),
    ):
        monkeypatch.setattr(server_module, "peer_address", lambda transport, address=address: address)
        async with serving(allow=("10.0.0.0/8",), accepts_per_s=0.1) as (server, _):
            client = await Client.connect(server)
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    assert await client.reader.read() == b""
            await client.close()
        assert caplog.records[-1].message == why
    with pytest.raises(OptionError, match="--allow"):
        ElmOptions(host="0.0.0.0")
    assert "no password" in ElmOptions(host="0.0.0.0", allow=("192.168.0.0/24",)).warning()
    for wrong in ({"port": 70000}, {"volts": 100.0}, {"allow": ("nonsense",)}):
        with pytest.raises(OptionError):
            ElmOptions(**wrong)


async def test_silent_clients_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that never spoke goes, of the address that has most; who has spoken stays."""
    addresses = iter([*["127.0.0.1"] * 2, *["10.0.0.9"] * 5, "127.0.0.1", "10.0.0.7"])
    monkeypatch.setattr(server_module, "peer_address", lambda transport: next(addresses))
    async with serving(allow=("10.0.0.0/8",)) as (server, _):
        early, quiet = await Client.connect(server), await Client.connect(server)
        await early.ask("ATE0")
        silent = [await Client.connect(server) for _ in range(5)]
        await until(lambda: len(server.clients) == 7)
        for late in (await Client.connect(server), await Client.connect(server)):
            assert (await late.ask("ATI")).startswith(b"BUSY: ")
            assert await early.ask("ATI") == b"ELM327 v1.5\r\r>"
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                assert await silent[0].reader.read() == b""
        for still in (quiet, *silent[1:]):
            assert (await still.ask("ATI")).startswith(b"BUSY: ")


def test_where_to_listen() -> None:
    assert parse_listen("127.0.0.1:35000") == ("127.0.0.1", 35000)
    assert parse_listen("35001") == ("127.0.0.1", 35001)
    assert parse_listen("[::1]:35000") == ("::1", 35000)
    for wrong in ("", "host:", "host:port", "1.2.3.4"):
        with pytest.raises(OpenklineError, match="HOST:PORT"):
            parse_listen(wrong)


async def test_who_has_gone_is_written_nothing() -> None:
    async with serving() as (server, line):
        written = bytearray()
        client = ElmClient(server, "one", written.extend, lambda: 0, lambda held: None, lambda: None)
        server.join(client)
        client.receive(b"ATE0\rATMA\r")
        await until(lambda: line.busy)
        line.tidying.clear()
        written.clear()
        server.leave(client)
        line.hear(KWP_RPM, True)  # before it is broken off, and then
        await until(lambda: line.cancelled)
        line.hear(KWP_RPM, True)
        line.tidying.set()
        await until(lambda: not server.changing)
        assert written == b""
