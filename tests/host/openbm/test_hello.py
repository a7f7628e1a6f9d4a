"""The main port: Hello, Connect, Disconnect, and everything else that may come there."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.ports import free_port

from openkline.gateway.server import GatewayServer

from .conftest import serving
from .fakebus import FakeBus
from .raw import DISCONNECT, HELLO, Gateway, port_of, until


async def test_hello_is_answered_with_connect_to_the_next_port(gateway: Gateway) -> None:
    answer = await gateway.greet()
    assert port_of(answer) == gateway.port + 1


async def first_connect(port: int) -> str:
    """What a gateway at this main port answers first. Skips the test when somebody else has these ports."""
    try:
        async with serving(port=port) as gateway:
            answer = await gateway.greet()
            assert gateway.server is not None
            if gateway.server.counters.port_taken:
                pytest.skip(f"port {port + 1} is taken")
            await (await gateway.open(gateway.reserved.pop())).ping()
            return answer.hex(" ").upper()
    except OSError as error:
        pytest.skip(f"port {port} is taken ({error})")


async def test_connect_to_4288_byte_for_byte(own: None) -> None:
    assert await first_connect(4287) == "63 74 00 00 C0 10 00 00"


async def test_33002_works(own: None) -> None:
    assert await first_connect(33001) == "63 74 00 00 EA 80 00 00"


async def test_the_port_is_an_unsigned_number(own: None) -> None:
    async with serving(port=free_port(9)) as gateway:
        connect = await gateway.greet()
        assert connect[5] >= 0x80
        raw = await gateway.open(connect[4] | connect[5] << 8)
        await raw.ping()


async def test_after_the_answer_the_main_connection_is_closed(gateway: Gateway) -> None:
    raw = await gateway.open()
    await raw.send(HELLO)
    gateway.noted(await raw.read(8))
    await raw.expect_end()


async def test_hello_in_single_bytes(gateway: Gateway) -> None:
    raw = await gateway.open()
    for i in range(8):
        await raw.send(HELLO[i : i + 1])
        await asyncio.sleep(0.002)
    gateway.noted(await raw.read(8))


async def test_what_follows_hello_on_the_main_port_is_ignored(gateway: Gateway) -> None:
    raw = await gateway.open()
    await raw.send(HELLO + bytes.fromhex("68 18 01 00 64 00 00 00 01") * 3)
    gateway.noted(await raw.read(8))
    await raw.expect_end()
    await gateway.join()
    assert gateway.bus is None or gateway.bus.submitted == 0


@pytest.mark.parametrize(
    "first",
    [
        "AA AA 00 00 00 00 00 00",  # Ping
        "00 00 00 00 00 00 00 00",  # Disconnect
        "63 74 00 00 C0 10 00 00",  # Connect
        "68 18 01 00 64 00 00 00",  # a bus message
        "69 68 00 00 00 00 00 00",
        "68 69 01 00 00 00 00 00",  # with a data byte: no Hello but a message from 68 to 69
        "47 45 54 20 2F 20 48 54",  # GET / HT
        "FF FF FF FF FF FF FF FF",
    ],
)
async def test_a_wrong_first_message_closes_without_an_answer(gateway: Gateway, first: str) -> None:
    raw = await gateway.open()
    await raw.send(bytes.fromhex(first))
    await raw.expect_end()


@pytest.mark.options(clients=3)
async def test_without_a_free_slot_disconnect_then_close(gateway: Gateway) -> None:
    for _ in range(gateway.clients):
        await gateway.join()
    raw = await gateway.open()
    await raw.send(HELLO)
    await raw.expect(DISCONNECT)
    await raw.expect_end()
    gateway.counted(full=1)


@pytest.mark.options(alive_timeout_s=0.15)
async def test_the_main_port_waits_for_hello_as_long_as_the_alive_timeout(gateway: Gateway) -> None:
    loop = asyncio.get_running_loop()
    raw = await gateway.open()
    half = await gateway.open()
    await half.send(HELLO[:5])
    start_s = loop.time()
    await raw.expect_end(gateway.alive_s)
    assert 0.6 * gateway.alive_s <= loop.time() - start_s < gateway.alive_s + 2
    await half.expect_end()


@pytest.mark.options(alive_timeout_s=0.5)
async def test_a_late_hello_is_still_answered(gateway: Gateway) -> None:
    raw = await gateway.open()
    await raw.send(HELLO[:7])
    await asyncio.sleep(0.4 * gateway.alive_s)
    await raw.send(HELLO[7:])
    gateway.noted(await raw.read(8))


async def test_several_hellos_at_once_are_served_at_once(gateway: Gateway) -> None:
    silent = [await gateway.open() for _ in range(4)]  # the original waited for each of these
    answers = await asyncio.wait_for(asyncio.gather(*(gateway.greet() for _ in range(gateway.clients))), 5)
    ports = sorted(port_of(answer) for answer in answers)
    assert ports == list(range(gateway.port + 1, gateway.port + gateway.clients + 1))
    for raw in silent:
        await raw.close()


@pytest.mark.options(clients=64)
async def test_64_clients(gateway: Gateway, bus: FakeBus) -> None:
    raws = await asyncio.gather(*(gateway.join() for _ in range(64)))
    bus.hear(bytes.fromhex("68 03 18 01 72"))
    for raw in raws:
        await raw.expect(bytes.fromhex("68 18 01 00 64 00 00 00 01"))
    assert await gateway.greet() == DISCONNECT


@pytest.mark.options(clients=2, alive_timeout_s=0.2)
async def test_a_reservation_that_is_not_used_expires(gateway: Gateway) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    ports = [await gateway.reserve() for _ in range(gateway.clients)]
    assert ports == list(range(gateway.port + 1, gateway.port + gateway.clients + 1))
    while (answer := await gateway.greet()) == DISCONNECT:
        assert loop.time() - start_s < gateway.alive_s + 2
        await asyncio.sleep(gateway.alive_s / 100)
    assert loop.time() - start_s >= 0.9 * gateway.alive_s
    assert port_of(answer) == gateway.port + 1
    await asyncio.sleep(0.2 * gateway.alive_s)  # of the second, too, the time is over
    with contextlib.suppress(OSError):
        await (await gateway.open(ports[1])).expect_end()
    gateway.counted(reservations_expired=gateway.clients, sessions=0)


async def test_a_reserved_port_takes_one_client_only(gateway: Gateway) -> None:
    port = await gateway.reserve()
    raw = await gateway.open(port)
    await raw.ping()
    try:
        other = await gateway.open(port)
        await other.expect_end()
    except OSError:
        pass
    await raw.ping()


async def test_nothing_listens_on_a_port_that_is_not_reserved(gateway: Gateway, server: GatewayServer) -> None:
    for port in range(gateway.port + 1, gateway.port + gateway.clients + 1):
        with pytest.raises(OSError):
            await gateway.open(port)


async def test_a_reservation_is_bound_to_the_address_that_said_hello(gateway: Gateway) -> None:
    if gateway.host != "127.0.0.1":
        pytest.skip("needs a second address of this computer")
    port = await gateway.reserve()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    gateway.counted(strangers=1)
    await (await gateway.open(port)).ping()


@pytest.mark.options(clients=3)
async def test_a_port_that_another_program_has_is_skipped(gateway: Gateway, server: GatewayServer) -> None:
    other = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", gateway.port + 1)
    assert await gateway.reserve() == gateway.port + 2
    other.close()
    assert server.counters.port_taken == 1
    assert await gateway.reserve() == gateway.port + 1


async def test_a_client_that_resets_right_after_hello(gateway: Gateway, server: GatewayServer) -> None:
    for _ in range(20):
        raw = await gateway.open()
        raw.writer.write(HELLO)
        await raw.reset()
    await until(lambda: not server._connecting)
    assert server.counters.accepted == 20
    for port in list(server.sessions):
        await (await gateway.open(port)).ping()
