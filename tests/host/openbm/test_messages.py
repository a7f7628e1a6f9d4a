"""Bus messages, both ways."""

from __future__ import annotations

import asyncio

import pytest

from openkline.bus import Outcome
from openkline.gateway.server import GatewayServer

from .fakebus import FakeBus, with_checksum
from .raw import DISCONNECT, PING, Gateway, message, until


async def test_data_with_priority_100_byte_for_byte(gateway: Gateway) -> None:
    """The message reaches every client, the sender too, exactly once, with priority 100. Needs a bus that echoes."""
    raw, other = await gateway.join(), await gateway.join()
    sent = bytes.fromhex("68 18 01 00 64 00 00 00 01")
    await raw.send(sent)
    await raw.expect(sent)
    await other.expect(sent)
    await raw.ping()
    await other.ping()


async def test_the_bus_gets_the_frame(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    await raw.send(bytes.fromhex("68 18 01 00 64 00 00 00 01"))
    await until(lambda: bus.sent)
    assert bus.sent == [(bytes.fromhex("68 03 18 01"), 100)]


async def test_a_frame_from_the_bus_byte_for_byte(gateway: Gateway) -> None:
    raws = [await gateway.join() for _ in range(gateway.clients - 1)]
    await gateway.hear(bytes.fromhex("80 09 BF 13 02 10 00 00 00 00 37"))
    for raw in raws:
        await raw.expect(bytes.fromhex("80 BF 07 00 64 00 00 00 13 02 10 00 00 00 00"))
        await raw.ping()


async def test_every_length_that_a_bus_allows(gateway: Gateway) -> None:
    """On a real bus all of them would take half a minute."""
    raw = await gateway.join()
    for n in range(1, 254) if gateway.bus else (1, 2, 30, 61, 253):
        data = bytes(i & 0xFF for i in range(n))
        await raw.send(message(0x3F, 0xD0, data))
        await raw.expect(message(0x3F, 0xD0, data))
        assert gateway.bus is None or gateway.bus.sent[-1][0] == bytes((0x3F, n + 2, 0xD0)) + data


@pytest.mark.parametrize("n", [254, 255])
async def test_longer_is_refused_and_what_follows_is_understood(gateway: Gateway, n: int) -> None:
    raw = await gateway.join()
    await raw.send(message(0x68, 0x18, bytes(n)) + message(0x68, 0x18, b"\x01"))
    await raw.expect(message(0x68, 0x18, b"\x01"))
    await raw.ping()
    if gateway.bus is not None and gateway.server is not None:
        assert gateway.bus.bodies == [bytes.fromhex("68 03 18 01")]
        assert gateway.server.sessions[gateway.port + 1].counters.too_long == 1


@pytest.mark.parametrize("priority", [-32768, -1, 0, 1, 255, 256, 32767])
async def test_priority_is_little_endian_and_signed(gateway: Gateway, bus: FakeBus, priority: int) -> None:
    raw = await gateway.join()
    await raw.send(message(0x68, 0x18, b"\x01", priority))
    await raw.expect(message(0x68, 0x18, b"\x01", 100))
    assert bus.sent == [(bytes.fromhex("68 03 18 01"), priority)]


async def test_priority_bytes() -> None:
    assert message(0x68, 0x18, b"\x01", -2).hex(" ").upper() == "68 18 01 00 FE FF 00 00 01"


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (100, 101, "higher goes first"),
        (0x0102, 0x0200, "the low byte stands first"),
        (-1, 0, "FF FF is no large number"),
        (-32768, 32767, "from 00 80 to FF 7F"),
    ],
)
async def test_a_higher_priority_overtakes_what_waits(gateway: Gateway, low: int, high: int, why: str) -> None:
    """As any client can see it: what came first may be at the bus already, what waits goes behind the higher one."""
    raw = await gateway.join()
    lows = [message(0x68, 0x18, bytes((i,)), low) for i in range(12)]
    await raw.send(b"".join(lows) + message(0x68, 0x18, b"\xff", high))
    heard = [(await raw.message())[8] for _ in range(13)]
    assert [n for n in heard if n != 0xFF] == list(range(12)), "ties in order"
    assert heard.index(0xFF) <= 6, why


async def test_higher_goes_first_and_ties_in_order(gateway: Gateway, bus: FakeBus) -> None:
    bus.held = True
    raw = await gateway.join()
    priorities = [100, 0, -5, 300, 100, 32767, 0, -32768, 100, 300]
    for i, priority in enumerate(priorities):
        raw.writer.write(message(0x68, 0x18, bytes((i,)), priority))
    await raw.ping()
    bus.release()
    await until(lambda: len(bus.sent) == len(priorities))
    assert [body[3] for body in bus.bodies] == [5, 3, 9, 0, 4, 8, 1, 6, 2, 7]


async def test_priority_holds_between_clients(gateway: Gateway, bus: FakeBus) -> None:
    bus.held = True
    low, high = await gateway.join(), await gateway.join()
    await low.send(message(0x68, 0x18, b"\x01", 99) * 100)
    await low.ping()
    await high.send(message(0x68, 0x18, b"\x02"))
    await high.ping()
    bus.release()
    await until(lambda: bus.step() or len(bus.sent) == 101, "everything sent")
    assert bus.sent[0] == (bytes.fromhex("68 03 18 02"), 100)


async def test_a_high_priority_overtakes_a_long_queue(gateway: Gateway, bus: FakeBus) -> None:
    bus.held = True
    raw = await gateway.join()
    raw.writer.write(message(0x68, 0x18, b"\x01") * 300 + message(0x68, 0x18, b"\x02", 101))
    await raw.ping()
    bus.step()
    assert bus.sent == [(bytes.fromhex("68 03 18 02"), 101)]


async def test_ties_in_order_over_a_long_queue(gateway: Gateway) -> None:
    raw = await gateway.join()
    sent = [i.to_bytes(2, "big") for i in range(400 if gateway.bus else 20)]
    await raw.send(b"".join(message(0x68, 0x18, data) for data in sent))
    for data in sent:
        await raw.expect(message(0x68, 0x18, data))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 13, 1000])
async def test_any_chunks(gateway: Gateway, size: int) -> None:
    raw = await gateway.join()
    sent = [message(0x68, i, bytes(range(1, i + 2))) for i in range(6)]
    stream = b"".join(one + PING for one in sent)
    for at in range(0, len(stream), size):
        raw.writer.write(stream[at : at + size])
        await asyncio.sleep(0)
    heard = [await raw.message() for _ in range(12)]
    assert [one for one in heard if one != PING] == sent
    assert heard.count(PING) == 6


async def test_header_and_data_in_separate_segments(gateway: Gateway) -> None:
    raw = await gateway.join()
    await raw.send(bytes.fromhex("68 18 02 00 64 00 00 00"))
    await asyncio.sleep(0.02)
    await raw.send(b"\x01")
    await asyncio.sleep(0.02)
    await raw.send(b"\x02")
    await raw.expect(bytes.fromhex("68 18 02 00 64 00 00 00 01 02"))


async def test_unused_bytes_are_ignored(gateway: Gateway) -> None:
    """lenx (byte 3) and bytes 6, 7 of an ordinary message are reserved."""
    raw = await gateway.join()
    await raw.send(bytes.fromhex("68 18 01 FF 64 00 AB CD 01"))
    await raw.expect(bytes.fromhex("68 18 01 00 64 00 00 00 01"))
    await raw.ping()


async def test_special_addresses_with_data_are_bus_messages(gateway: Gateway) -> None:
    raw = await gateway.join()
    for pair in ("AA AA", "68 69", "63 74", "00 00", "66 67", "66 69"):
        sent = bytes.fromhex(pair + " 01 00 64 00 00 00 05")
        await raw.send(sent)
        await raw.expect(sent)
    await raw.ping()


async def test_a_frame_without_data_never_looks_like_disconnect(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    bus.hear(bytes.fromhex("00 02 00 02"))
    await raw.ping()


async def test_nobody_gets_a_copy_before_it_was_on_the_bus(gateway: Gateway, bus: FakeBus) -> None:
    bus.held = True
    raw, other = await gateway.join(), await gateway.join()
    await raw.send(message(0x68, 0x18, b"\x01"))
    await raw.ping()
    await other.ping()
    bus.release()
    await raw.expect(message(0x68, 0x18, b"\x01"))
    await other.expect(message(0x68, 0x18, b"\x01"))


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.SENT])
async def test_what_was_not_sent_comes_to_nobody(
    gateway: Gateway, server: GatewayServer, bus: FakeBus, outcome: Outcome
) -> None:
    bus.outcomes = [outcome]
    raw = await gateway.join()
    await raw.send(message(0x68, 0x18, b"\x01"))
    await until(lambda: server.dispatcher.results[outcome.value] == 1)
    await raw.ping()


async def test_a_client_hears_nothing_from_before_it_connected(gateway: Gateway) -> None:
    await gateway.hear(with_checksum(bytes.fromhex("68 03 18 01")))
    port = await gateway.reserve()
    await gateway.hear(with_checksum(bytes.fromhex("68 03 18 02")))
    raw = await gateway.open(port)
    await raw.ping()
    await gateway.hear(with_checksum(bytes.fromhex("68 03 18 03")))
    await raw.expect(message(0x68, 0x18, b"\x03"))


async def test_many_messages_and_disconnect_in_one_segment(gateway: Gateway) -> None:
    other, raw = await gateway.join(), await gateway.join()
    sent = [message(0x68, 0x18, bytes((i,))) for i in range(250 if gateway.bus else 12)]
    await raw.send(b"".join(sent) + DISCONNECT)
    for one in sent:
        await other.expect(one)
