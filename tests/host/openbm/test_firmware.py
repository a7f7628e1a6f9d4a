"""66 67, 66 69, 66 75: the version, and an update that is refused."""

from __future__ import annotations

import pytest

from openkline.gateway.server import GatewayServer

from .fakebus import FakeBus
from .raw import Gateway, until

ASK_VERSION = bytes.fromhex("66 67 00 00 00 00 00 00")
INIT = bytes.fromhex("66 69 00 00 22 11 33 44")
UPLOAD = bytes.fromhex("66 75 12 34 CD AB 02 06")
NOT_INITIALISED = bytes.fromhex("66 75 00 00 03 01 00 00")


async def test_version_2_6_byte_for_byte(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    await raw.send(ASK_VERSION)
    await raw.expect(bytes.fromhex("66 67 00 00 06 02 00 00"))
    assert not bus.submitted


async def test_some_version_is_answered(gateway: Gateway) -> None:
    raw = await gateway.join()
    await raw.send(ASK_VERSION)
    assert (await raw.read(4)).hex(" ") == "66 67 00 00"


async def test_the_version_bytes_are_unsigned(gateway: Gateway, bus: FakeBus) -> None:
    bus.firmware_version = (200, 255, 0)
    raw = await gateway.join()
    await raw.send(ASK_VERSION)
    await raw.expect(bytes.fromhex("66 67 00 00 FF C8 00 00"))


async def test_without_a_board_the_version_is_0_0(gateway: Gateway, bus: FakeBus) -> None:
    bus.firmware_version = None
    raw = await gateway.join()
    await raw.send(ASK_VERSION)
    await raw.expect(ASK_VERSION)


async def test_an_update_is_refused_with_an_error_and_never_with_66_69(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    await raw.send(INIT)
    await raw.expect(bytes.fromhex("66 75 00 00 01 02 00 00"))
    await raw.ping()
    assert not bus.submitted


@pytest.mark.options(read_only=True)
async def test_an_update_is_refused_where_nothing_may_be_sent(gateway: Gateway) -> None:
    raw = await gateway.join()
    await raw.send(INIT)
    await raw.expect(bytes.fromhex("66 75 00 00 02 02 00 00"))


@pytest.mark.parametrize("chunk", [1 << 20, 1000, 77])
async def test_an_upload_is_consumed_and_never_reaches_the_bus(gateway: Gateway, chunk: int) -> None:
    """Length 0x1234, big-endian; the firmware looks like messages, Disconnect among them."""
    other, raw = await gateway.join(), await gateway.join()
    firmware = (bytes.fromhex("68 18 01 00 64 00 00 00 01") + bytes(8)) * 400
    stream = UPLOAD + firmware[:0x1234] + bytes.fromhex("68 18 01 00 64 00 00 00 02")
    for at in range(0, len(stream), chunk):
        await raw.send(stream[at : at + chunk])
    await raw.expect(NOT_INITIALISED + bytes.fromhex("68 18 01 00 64 00 00 00 02"))
    await raw.ping()
    await other.expect(bytes.fromhex("68 18 01 00 64 00 00 00 02"))
    await other.ping()
    if gateway.bus is not None and gateway.server is not None:
        assert gateway.bus.bodies == [bytes.fromhex("68 03 18 02")]
        counters = gateway.server.sessions[gateway.port + 2].counters
        assert (counters.uploads, counters.upload_bytes) == (1, 0x1234)


@pytest.mark.parametrize("length", ["00 01", "01 00", "00 00", "00 FF", "FF FF"])
async def test_upload_lengths(gateway: Gateway, length: str) -> None:
    raw = await gateway.join()
    size = int.from_bytes(bytes.fromhex(length), "big")
    await raw.send(bytes.fromhex("66 75" + length + "00 00 00 00") + bytes(size))
    await raw.expect(NOT_INITIALISED)
    await raw.ping()
    assert gateway.bus is None or not gateway.bus.submitted


async def test_66_75_with_a_data_length_is_an_upload_too(gateway: Gateway) -> None:
    """As an ordinary message this would be 01 from 66 to 75. It is the head of an upload of 256 bytes."""
    raw = await gateway.join()
    await raw.send(bytes.fromhex("66 75 01 00 64 00 00 00 01") + bytes(255))
    await raw.expect(NOT_INITIALISED)
    await raw.ping()
    assert gateway.bus is None or not gateway.bus.submitted


async def test_a_broken_off_upload_leaves_nothing(gateway: Gateway, server: GatewayServer, bus: FakeBus) -> None:
    raw = await gateway.join()
    await raw.send(UPLOAD + bytes(100))
    await raw.close()
    await until(lambda: not server.sessions)
    assert not bus.submitted


async def test_a_frame_from_66_to_75_on_the_bus_is_an_ordinary_message(gateway: Gateway, bus: FakeBus) -> None:
    raw = await gateway.join()
    bus.hear(bytes.fromhex("66 04 75 01 02 14"))
    await raw.expect(bytes.fromhex("66 75 02 00 64 00 00 00 01 02"))
