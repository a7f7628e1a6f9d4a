"""A firmware update, byte for byte: 66 69, 66 75. The board is a fake one on a real link."""

from __future__ import annotations

import random

import pytest

from kline.protocol.link import records
from kline.protocol.update import codes
from openkline.device.device import Device

from ..fake_update import crc_of
from ..updating import ASK_VERSION, BUNDLE, GO_ON, INIT, WRONG_INIT, Setup, answer, upload
from .fakebus import with_checksum
from .raw import until

VERSION_0_1 = bytes.fromhex("66 67 00 00 01 00 00 00")
TO_75 = bytes.fromhex("66 04 75 01 02 14")
OTHER = bytes.fromhex("80 04 BF 11 01 2B")
OTHER_MESSAGE = bytes.fromhex("80 BF 02 00 64 00 00 00 11 01")


async def test_a_whole_update(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    assert await setup.counts(raw, 3000) == [512, 1024, 1536, 2048, 2560, 3000]
    assert setup.updates.installed == BUNDLE and setup.updates.version == (2, 6)
    assert setup.updates.kinds() == [codes.UPDATE_OPEN, codes.UPDATE_BEGIN]
    await raw.send(ASK_VERSION)
    await raw.expect(ASK_VERSION)  # 0.0: it restarts
    setup.board.firmware = (2, 6, 0)
    setup.board.reboot()
    await until(lambda: setup.server.bus.firmware_version == (2, 6, 0))
    await raw.send(ASK_VERSION)
    await raw.expect(bytes.fromhex("66 67 00 00 06 02 00 00"))
    counters = setup.server.sessions[setup.gateway.port + 1].counters
    assert (counters.uploads, counters.upload_bytes, counters.updates, counters.updates_refused) == (1, 3000, 1, 0)


async def test_the_password_is_11_22_33_44(setup: Setup) -> None:
    await setup.opened()
    assert setup.updates.heard == [(codes.UPDATE_OPEN, bytes.fromhex("44 33 22 11"))]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
async def test_in_any_pieces_as_any_stream(setup: Setup, chunk: int) -> None:
    raw = await setup.join()
    data = BUNDLE[:300]
    await raw.send(INIT[:5])
    await raw.send(INIT[5:])
    await raw.expect(GO_ON)
    stream = upload(data)
    for at in range(0, len(stream), chunk):
        await raw.send(stream[at : at + chunk])
    assert (await setup.counts(raw, 300))[-1] == 300
    assert setup.updates.installed == data


async def test_the_largest_upload(setup: Setup) -> None:
    setup.updates.safe = 16384
    data = random.Random(7).randbytes(65535)
    raw = await setup.opened()
    await raw.send(upload(data))
    assert await setup.counts(raw, 65535) == [16384, 32768, 49152, 65535]
    assert setup.updates.installed == data


async def test_a_wrong_password_and_then_the_right_one(setup: Setup) -> None:
    raw = await setup.join()
    for wrong in (1, 2):
        await raw.send(WRONG_INIT)
        await raw.expect(answer(error=0x0106))
        assert setup.updates.wrong == wrong
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(error=0x0103))
    await raw.send(INIT)
    await raw.expect(GO_ON)


async def test_a_wrong_crc_stops_at_the_gateway(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(upload(BUNDLE, crc_of(BUNDLE) ^ 1))
    await raw.expect(answer(error=0x0104))
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(error=0x0103))
    await raw.send(INIT)
    await raw.expect(GO_ON)
    assert setup.updates.kinds() == [codes.UPDATE_OPEN, codes.UPDATE_ABORT, codes.UPDATE_OPEN]


async def test_without_66_69_an_upload_is_consumed_and_refused(setup: Setup) -> None:
    raw = await setup.join()
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(error=0x0103))
    assert not setup.updates.heard


async def test_an_upload_of_nothing(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(upload(b""))
    await raw.expect(answer(error=0x0302))
    assert setup.updates.kinds() == [codes.UPDATE_OPEN, codes.UPDATE_ABORT]


async def test_what_is_too_much_is_the_next_message(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(upload(BUNDLE) + bytes.fromhex("68 18 01 00 64 00 00 00 01"))
    await until(lambda: setup.board.bodies() == [bytes.fromhex("68 03 18 01")])
    await until(lambda: setup.updates.installed == BUNDLE)


@pytest.mark.parametrize("code", [0x0103, 0x0302, 0x0303, 0x0305, 0x0306, 0x0307])
async def test_the_boards_refusal_at_the_beginning_is_passed_on(setup: Setup, code: int) -> None:
    setup.updates.refuse[codes.UPDATE_BEGIN] = code
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(error=code))
    await raw.ping()
    setup.updates.refuse.clear()
    await raw.send(INIT)
    await raw.expect(GO_ON)


@pytest.mark.parametrize("code", [0x0104, 0x0301, 0x0304, 0x0305])
async def test_the_boards_refusal_of_the_bundle_comes_instead_of_the_last_count(setup: Setup, code: int) -> None:
    setup.updates.refuse_bundle = code
    raw = await setup.opened()
    await raw.send(upload(BUNDLE[:600]))
    await raw.expect(answer(512) + answer(error=code))
    await raw.ping()
    await raw.send(ASK_VERSION)
    await raw.expect(VERSION_0_1)


@pytest.mark.parametrize("code", [0x0105, 0x0306])
async def test_a_refusal_in_the_middle_ends_it(setup: Setup, code: int) -> None:
    setup.updates.refuse[codes.UPDATE_DATA] = code
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(error=code))
    await raw.ping()
    assert len(setup.updates.heard) < 10


async def test_66_69_again(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(INIT)
    await raw.expect(GO_ON)
    setup.updates.deaf_to.add(codes.UPDATE_DATA)
    await raw.send(upload(BUNDLE) + INIT)
    await raw.expect(answer(error=0x0204))
    await raw.send(upload(b"12"))
    await raw.expect(answer(error=0x0204))
    assert setup.updates.kinds() == [codes.UPDATE_OPEN, codes.UPDATE_OPEN, codes.UPDATE_BEGIN]


async def test_an_upload_right_behind_an_upload_changes_nothing_of_it(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(upload(BUNDLE) + upload(b"12"))
    await raw.expect(answer(error=0x0204))
    assert (await setup.counts(raw, 3000))[-1] == 3000
    assert setup.updates.installed == BUNDLE


class Resets:
    """A service that counts the sessions."""

    count = 0

    def on_reset(self) -> None:
        self.count += 1

    def on_record(self, kind: int, payload: bytes) -> None: ...


async def test_nobody_updates_while_the_board_restarts(setup: Setup) -> None:
    raw = await setup.opened()
    await raw.send(upload(BUNDLE[:100]))
    await raw.expect(answer(100))
    await raw.send(INIT)
    await raw.expect(answer(error=0x0204))
    # A session that is opened anew before the restart is none: the board is the same, and about to go.
    device, resets = setup.server.bus, Resets()
    assert isinstance(device, Device)
    device.patience._until_s = 0.0  # its usual wait is over
    assert not device.patience.over()
    device.serve(records.PROBE_FIRST, records.PROBE_LAST, resets)
    device.link.open(resume=False)
    device.on_tick()
    await until(lambda: resets.count)
    await raw.send(INIT)
    await raw.expect(answer(error=0x0204))
    setup.board.reboot()
    await until(lambda: setup.server.updater is not None and not setup.server.updater.switching)
    await raw.send(INIT)
    await raw.expect(GO_ON)


@pytest.mark.options(read_only=True)
async def test_read_only(setup: Setup) -> None:
    raw = await setup.join()
    await raw.send(INIT)
    await raw.expect(answer(error=0x0202))
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(error=0x0103))
    assert not setup.updates.heard


async def test_frames_from_66_to_75_are_withheld_from_who_updates_only(setup: Setup) -> None:
    setup.updates.deaf_to.add(codes.UPDATE_DATA)
    raw, other = await setup.join(), await setup.join()
    message = bytes.fromhex("66 75 02 00 64 00 00 00 01 02")
    setup.board.send_frame(TO_75)
    await raw.expect(message)
    await raw.send(INIT)
    await raw.expect(GO_ON)
    setup.board.send_frame(TO_75)
    setup.board.send_frame(OTHER)
    await raw.expect(OTHER_MESSAGE)
    await other.expect(message + message + OTHER_MESSAGE)
    setup.updates.deaf_to.clear()
    await raw.send(upload(BUNDLE[:100]))
    await raw.expect(answer(100))
    setup.board.send_frame(TO_75)
    await raw.expect(message)
    assert setup.server.counters.frames_withheld == 1


async def test_the_bus_goes_on_in_both_directions(setup: Setup) -> None:
    """A message to the bus has few pieces of the bundle before it."""
    at: list[int] = []
    succeed = setup.board.succeed

    def transmitted(message: object) -> None:
        at.append(sum(kind == codes.UPDATE_DATA for kind, _ in setup.updates.heard))
        succeed(message)  # type: ignore[arg-type]

    setup.board.on_transmit = transmitted
    setup.updates.safe = 80
    raw, other = await setup.opened(), await setup.join()
    data = BUNDLE * 4
    await raw.send(upload(data))
    sent_at: list[int] = []
    for n in range(5):
        while not (got := await raw.read(8)).startswith(b"\x66\x75"):
            await raw.read(got[2])
        sent_at.append(int.from_bytes(got[2:4], "big") // 80)
        message = bytes.fromhex("68 18 02 00 64 00 00 00 01") + bytes((n,))
        await other.send(message)
        await other.expect(message)
    assert len(at) == 5 and at[-1] < len(data) // 80
    assert all(piece - before <= 8 for piece, before in zip(at, sent_at, strict=True)), (at, sent_at)


def test_frame_for_the_bus_is_one() -> None:
    assert with_checksum(TO_75[:-1]) == TO_75 and with_checksum(OTHER[:-1]) == OTHER
