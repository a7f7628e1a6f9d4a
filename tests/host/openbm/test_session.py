"""A client's connection: pings, time, the end."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from openkline.gateway.server import GatewayServer

from .fakebus import FakeBus
from .raw import DISCONNECT, PING, Gateway, Raw, until

MESSAGE = bytes.fromhex("68 18 01 00 64 00 00 00 01")
BODY = bytes.fromhex("68 03 18 01")


async def test_ping_is_answered_with_ping(gateway: Gateway) -> None:
    raw = await gateway.join()
    await raw.send(PING * 3)
    await raw.expect(PING * 3)


async def test_disconnect_closes_and_frees_the_port(gateway: Gateway) -> None:
    raw = await gateway.join()
    assert await gateway.reserve() == gateway.port + 2
    await raw.send(DISCONNECT)
    await raw.expect_end()
    assert await gateway.reserve() == gateway.port + 1


async def test_the_lowest_free_port_is_given(gateway: Gateway) -> None:
    raws = [await gateway.join() for _ in range(4)]
    for i in (2, 1):
        await raws[i].send(DISCONNECT)
        await raws[i].expect_end()
    assert [await gateway.reserve() for _ in range(3)] == [gateway.port + 2, gateway.port + 3, gateway.port + 5]


async def full(gateway: Gateway) -> Raw:
    """The last of as many clients as the gateway takes."""
    raws = [await gateway.join() for _ in range(gateway.clients)]
    assert await gateway.greet() == DISCONNECT
    return raws[-1]


async def is_free_at_once(gateway: Gateway) -> None:
    """A port is free long before the alive timeout."""
    async with asyncio.timeout(0.5 * gateway.alive_s):
        await gateway.join_when_free()
    gateway.counted(timeouts=0)


async def test_end_of_file_frees_the_port_at_once(gateway: Gateway) -> None:
    await (await full(gateway)).close()
    await is_free_at_once(gateway)
    gateway.counted(eof=1)


async def test_a_reset_frees_the_port_at_once(gateway: Gateway) -> None:
    await (await full(gateway)).reset()
    await is_free_at_once(gateway)
    gateway.counted(lost=1)


async def test_end_of_one_direction_is_the_end(gateway: Gateway) -> None:
    raw = await full(gateway)
    raw.writer.write_eof()
    await raw.expect_end()
    await is_free_at_once(gateway)


@pytest.mark.options(alive_timeout_s=0.3)
async def test_without_ping_closed_after_the_timeout_without_a_disconnect(gateway: Gateway) -> None:
    loop = asyncio.get_running_loop()
    raw = await gateway.open(await gateway.reserve())
    start_s = loop.time()
    await raw.expect_end(gateway.alive_s)
    assert 0.8 * gateway.alive_s <= loop.time() - start_s < gateway.alive_s + 2
    gateway.counted(timeouts=1)
    assert await gateway.reserve() == gateway.port + 1


@pytest.mark.options(alive_timeout_s=0.3)
async def test_ping_renews_the_time(gateway: Gateway) -> None:
    raw = await gateway.join()
    for _ in range(4):
        await asyncio.sleep(0.4 * gateway.alive_s)
        await raw.ping()


@pytest.mark.options(alive_timeout_s=0.6)
async def test_the_time_begins_with_the_connection(gateway: Gateway) -> None:
    """Not with Hello: a client may connect late, and say its first Ping late."""
    port = await gateway.reserve()
    await asyncio.sleep(0.6 * gateway.alive_s)
    raw = await gateway.open(port)
    await asyncio.sleep(0.6 * gateway.alive_s)
    await raw.ping()


@pytest.mark.options(alive_timeout_s=0.3)
async def test_data_does_not_renew_the_time(gateway: Gateway) -> None:
    raw = await gateway.join()
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    with contextlib.suppress(ConnectionError):
        while not raw.reader.at_eof():
            assert loop.time() - start_s < gateway.alive_s + 2
            raw.writer.write(MESSAGE + bytes.fromhex("12 34 00 00 00 00 00 00"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(raw.reader.read(1000), gateway.alive_s / 15)
    assert loop.time() - start_s >= 0.8 * gateway.alive_s
    gateway.counted(timeouts=1)


@pytest.mark.options(alive_timeout_s=0.3)
async def test_half_a_header_and_then_nothing(gateway: Gateway) -> None:
    raw = await gateway.join()
    await raw.send(PING[:5])
    await raw.expect_end(gateway.alive_s)
    gateway.counted(timeouts=1)


@pytest.mark.parametrize(
    "raw_bytes",
    [
        "12 34 00 00 64 00 00 00",
        "68 18 00 00 00 00 00 00",
        "63 74 00 00 C0 10 00 00",
        "68 69 00 00 00 00 00 00",
        "FF FF 00 FF FF FF FF FF",
    ],
)
async def test_an_unknown_message_with_len_0_is_ignored(gateway: Gateway, raw_bytes: str) -> None:
    raw = await gateway.join()
    await raw.send(bytes.fromhex(raw_bytes))
    await raw.ping()
    assert gateway.bus is None or gateway.bus.submitted == 0


async def test_the_rest_of_a_special_message_is_ignored(gateway: Gateway) -> None:
    """ "Every message in which header len is set to 0": lenx, priority and the unused bytes don't matter."""
    raw = await gateway.join()
    await raw.send(bytes.fromhex("AA AA 00 07 12 34 56 78"))
    await raw.expect(PING)
    await raw.send(bytes.fromhex("00 00 00 00 00 00 00 01"))
    await raw.expect_end()


@pytest.mark.parametrize("goodbye", [DISCONNECT, b""], ids=["disconnect", "end"])
async def test_data_disconnect_and_close_at_once_still_goes_out(gateway: Gateway, goodbye: bytes) -> None:
    other = await gateway.join()
    for i in range(20):
        raw = await gateway.open(await gateway.reserve_when_free())
        raw.writer.write(MESSAGE[:-1] + bytes((i,)) + goodbye)
        await raw.close()
    heard = [await other.message() for _ in range(20)]
    assert sorted(heard) == [MESSAGE[:-1] + bytes((i,)) for i in range(20)]


async def test_data_and_close_without_disconnect_still_goes_out(gateway: Gateway, bus: FakeBus) -> None:
    bus.held = True
    raw = await gateway.join()
    raw.writer.write(MESSAGE * 100)
    await raw.close()
    assert await gateway.reserve() in (gateway.port + 1, gateway.port + 2)
    bus.release()
    await until(lambda: bus.submitted == 100 or bus.release(), "everything handed over")
    await until(lambda: len(bus.sent) == 100)


async def test_what_was_sent_before_goes_out_though_frames_were_not_read(gateway: Gateway, bus: FakeBus) -> None:
    """Closing with unread bytes makes a reset of it, and frames go on coming: our write fails before we have read."""
    frame = bytes.fromhex("80 04 BF 11 01 2B")
    for i in range(20):
        raw = await gateway.join()
        transport = raw.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        bus.hear(frame)
        transport.write(MESSAGE[:-1] + bytes((i,)))
        transport.abort()
        await asyncio.sleep(0)  # the client's socket closes: a reset is on its way
        bus.hear(frame)
        bus.hear(frame)
        await until(lambda n=i + 1: len(bus.sent) == n, "sent")  # type: ignore[misc]
    assert bus.bodies == [BODY[:-1] + bytes((i,)) for i in range(20)]


async def test_disconnect_waits_until_the_bus_has_what_came_before(
    gateway: Gateway, server: GatewayServer, bus: FakeBus
) -> None:
    bus.held = True
    raw = await gateway.join()
    await raw.send(MESSAGE * 3 + DISCONNECT + MESSAGE)
    await until(lambda: server.counters.disconnects == 1)
    assert not raw.reader.at_eof() and gateway.port + 1 in server.sessions
    bus.release()
    await raw.expect_end()
    assert bus.bodies == [BODY] * 3  # what came after Disconnect is not sent


@pytest.mark.options(drain_s=0.1)
async def test_disconnect_does_not_wait_for_ever(gateway: Gateway, bus: FakeBus) -> None:
    bus.held = True
    raw = await gateway.join()
    await raw.send(MESSAGE + DISCONNECT)
    await raw.expect_end()
    bus.release()
    await until(lambda: bus.bodies == [BODY])


async def test_stop_lets_out_what_was_sent_and_then_says_disconnect(
    gateway: Gateway, server: GatewayServer, bus: FakeBus
) -> None:
    bus.held = True
    raws = [await gateway.join() for _ in range(3)]
    for raw in raws:
        raw.writer.write(MESSAGE)
    asyncio.get_running_loop().call_later(0.05, bus.release)
    await server.stop()
    assert bus.bodies == [BODY] * 3
    for raw in raws:
        await raw.expect(MESSAGE * 3 + DISCONNECT)
        await raw.expect_end()


@pytest.mark.options(drain_s=0.1)
async def test_stop_does_not_wait_for_ever(
    gateway: Gateway, server: GatewayServer, bus: FakeBus, caplog: pytest.LogCaptureFixture
) -> None:
    bus.held = True
    raw = await gateway.join()
    await raw.send(MESSAGE * 40)
    await raw.ping()
    await asyncio.wait_for(server.stop(), 5)
    assert "gave up 40 messages of clients: not on the bus within 0.1 s" in caplog.text
    await raw.expect(DISCONNECT)
    await raw.expect_end()


async def test_a_port_is_reused_right_after_its_client_has_gone(gateway: Gateway) -> None:
    for _ in range(30):
        raw = await gateway.join_when_free()
        assert raw.writer.get_extra_info("peername")[1] == gateway.port + 1
        await raw.send(DISCONNECT)
        await raw.expect_end()
        await raw.close()
