"""Bus messages, both ways."""

from __future__ import annotations

import asyncio

import pytest

from openkline.bus import Outcome
from openkline.gateway.server import GatewayServer

from .fakebus import FakeBus, with_checksum
from .raw import DISCONNECT, PING, Gateway, until


def message(source: int, destination: int, data: bytes, priority: int = 100) -> bytes:
    return bytes((source, destination, len(data), 0)) + priority.to_bytes(2, "little", signed=True) + b"\0\0" + data


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


async def test_a_frame_from_the_bus_byte_for_byte(gateway: Gateway, bus: FakeBus) -> None:
    raws = [await gateway.join() for _ in range(gateway.clients)]
    bus.hear(bytes.fromhex("80 09 BF 13 02 10 00 00 00 00 37"))
    for raw in raws:
        await raw.expect(bytes.fromhex("80 BF 07 00 64 00 00 00 13 02 10 00 00 00 00"))
        await raw.ping()


async def test_every_length_that_a_bus_allows(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    for n in range(1, 254):
        data = bytes(i & 0xFF for i in range(n))
        await raw.send(message(0x3F, 0xD0, data))
        await raw.expect(message(0x3F, 0xD0, data))
        assert bus.sent[-1][0] == bytes((0x3F, n + 2, 0xD0)) + data


@pytest.mark.parametrize("n", [254, 255])
async def test_longer_is_refused_and_what_follows_is_understood(
    gateway: Gateway, server: GatewayServer, bus: FakeBus, n: int
) -> None:
    raw = await gateway.join()
    await raw.send(message(0x68, 0x18, bytes(n)) + message(0x68, 0x18, b"\x01"))
    await raw.expect(message(0x68, 0x18, b"\x01"))
    assert bus.bodies == [bytes.fromhex("68 03 18 01")]
    assert server.sessions[gateway.port + 1].counters.too_long == 1


@pytest.mark.parametrize("priority", [-32768, -1, 0, 1, 255, 256, 32767])
async def test_priority_is_little_endian_and_signed(gateway: Gateway, bus: FakeBus, priority: int) -> None:
    raw = await gateway.join()
    await raw.send(message(0x68, 0x18, b"\x01", priority))
    await raw.expect(message(0x68, 0x18, b"\x01", 100))
    assert bus.sent == [(bytes.fromhex("68 03 18 01"), priority)]


async def test_priority_bytes() -> None:
    assert message(0x68, 0x18, b"\x01", -2).hex(" ").upper() == "68 18 01 00 FE FF 00 00 01"


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


async def test_ties_in_order_over_a_long_queue(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    sent = [i.to_bytes(2, "big") for i in range(400)]
    await raw.send(b"".join(message(0x68, 0x18, data) for data in sent))
    for data in sent:
        await raw.expect(message(0x68, 0x18, data))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 13, 1000])
async def test_any_chunks(gateway: Gateway, bus: FakeBus, size: int) -> None:
    raw = await gateway.join()
    stream = b"".join(message(0x68, i, bytes(range(1, i + 2))) + PING for i in range(6))
    for at in range(0, len(stream), size):
        raw.writer.write(stream[at : at + size])
        await asyncio.sleep(0)
    await until(lambda: len(bus.sent) == 6)
    assert [body[2] for body in bus.bodies] == list(range(6))


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


async def test_a_client_hears_nothing_from_before_it_connected(gateway: Gateway, bus: FakeBus) -> None:
    bus.hear(with_checksum(bytes.fromhex("68 03 18 01")))
    port = await gateway.reserve()
    bus.hear(with_checksum(bytes.fromhex("68 03 18 02")))
    raw = await gateway.open(port)
    await raw.ping()
    bus.hear(with_checksum(bytes.fromhex("68 03 18 03")))
    await raw.expect(message(0x68, 0x18, b"\x03"))


async def test_many_messages_and_disconnect_in_one_segment(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    await raw.send(b"".join(message(0x68, 0x18, bytes((i,))) for i in range(250)) + DISCONNECT)
    await until(lambda: len(bus.sent) == 250)
    assert [body[3] for body in bus.bodies] == list(range(250))
