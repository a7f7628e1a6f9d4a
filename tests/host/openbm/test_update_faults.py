"""Updates that go wrong: boards that fall silent or restart, clients that vanish or stall, noise."""

from __future__ import annotations

import contextlib
import random

import pytest

from kline.protocol.update import codes
from openkline.device.device import Device
from openkline.device.state import State
from openkline.gateway import firmware
from openkline.update import updater

from ..updating import ASK_VERSION, BUNDLE, GO_ON, INIT, WRONG_INIT, Setup, answer, upload
from .raw import DISCONNECT, until


async def test_while_the_board_refuses_any_password_it_is_not_asked(setup: Setup) -> None:
    setup.updates.wait_s = 3600
    raw = await setup.join()
    await raw.send(WRONG_INIT + INIT * 100)
    refusals = [await raw.read(8) for _ in range(101)]
    assert {refusal.hex(" ") for refusal in refusals} <= {answer(error=0x0106).hex(" "), answer(error=0x0204).hex(" ")}
    await raw.send(INIT)
    await raw.expect(answer(error=0x0106))
    assert len(setup.updates.heard) == 1
    setup.board.reboot()  # its own wait goes on over a restart: it is asked
    setup.updates.wait_s = 0
    await until(lambda: setup.board.link.state == 2)
    await until(lambda: setup.server.updater is not None and setup.server.updater._not_before_s == 0)
    await raw.send(INIT)
    await raw.expect(GO_ON)


@pytest.mark.parametrize("sent", [0, 1, 2999])
async def test_a_short_upload_is_told_so_and_forgotten(setup: Setup, sent: int) -> None:
    raw = await setup.opened()
    await raw.send(upload(BUNDLE)[: 8 + sent])
    raw.writer.write_eof()
    await raw.expect(answer(error=0x0302))
    await raw.expect_end()
    await until(lambda: setup.updates.kinds() == [codes.UPDATE_OPEN, codes.UPDATE_ABORT])
    await setup.opened()


async def test_one_client_at_a_time(setup: Setup) -> None:
    first, second = await setup.opened(), await setup.join()
    await second.send(INIT)
    await second.expect(answer(error=0x0204))
    await first.close()
    await until(lambda: setup.updates.kinds()[-1] == codes.UPDATE_ABORT)
    await second.send(INIT)
    await second.expect(GO_ON)


async def test_a_board_that_cannot(setup: Setup) -> None:
    setup.board.capabilities = 1
    setup.board.reboot()
    await until(lambda: setup.board.boots == 3 and setup.board.link.state == 2)
    raw = await setup.join()
    await raw.send(INIT)
    await raw.expect(answer(error=0x0303))


async def test_without_a_board(setup: Setup) -> None:
    setup.port.unplug()
    device = setup.server.bus
    assert isinstance(device, Device)
    await device.wait_for(State.WAITING, timeout_s=10)
    raw = await setup.join()
    await raw.send(INIT)
    await raw.expect(answer(error=0x0203))


async def test_a_board_that_says_nothing_to_the_password(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updater, "_OPEN_S", 0.1)
    setup.updates.deaf_to.add(codes.UPDATE_OPEN)
    raw = await setup.join()
    await raw.send(INIT)
    await raw.expect(answer(error=0x0206))
    setup.updates.deaf_to.clear()
    await raw.send(INIT)
    await raw.expect(GO_ON)


async def test_a_board_that_falls_silent(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updater, "_SILENT_S", 0.2)
    setup.updates.deaf_to.add(codes.UPDATE_DATA)
    raw = await setup.opened()
    await raw.send(upload(BUNDLE[:1000]))
    await raw.expect(answer(error=0x0206))
    await until(lambda: setup.updates.kinds()[-1] == codes.UPDATE_ABORT)


@pytest.mark.parametrize("deaf_to", [codes.UPDATE_BEGIN, codes.UPDATE_DATA])
async def test_a_board_that_restarts_in_the_middle(setup: Setup, deaf_to: int) -> None:
    setup.updates.deaf_to.add(deaf_to)
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    await until(lambda: setup.updates.heard[-1][0] == deaf_to)
    setup.board.reboot()
    await raw.expect(answer(error=0x0205))
    setup.updates.deaf_to.clear()
    await raw.send(INIT)
    await raw.expect(GO_ON)


async def test_a_cable_pulled_for_a_moment_costs_nothing(setup: Setup) -> None:
    setup.updates.safe = 1
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    await raw.expect(answer(80))
    setup.port.hang_up()
    assert (await setup.counts(raw, 3000))[-1] == 3000
    assert setup.updates.installed == BUNDLE


@pytest.mark.parametrize("how", ["reset", "end", "disconnect", "no ping"])
@pytest.mark.options(alive_timeout_s=1.0)
async def test_a_client_that_vanishes_midway(setup: Setup, how: str) -> None:
    setup.updates.deaf_to.add(codes.UPDATE_DATA)  # so it stays midway
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    await until(lambda: setup.updates.heard[-1][0] == codes.UPDATE_DATA)
    if how == "reset":
        await raw.reset()
    elif how == "end":
        await raw.close()
    elif how == "disconnect":
        await raw.send(DISCONNECT)
    await until(lambda: setup.updates.kinds()[-1] == codes.UPDATE_ABORT)
    setup.updates.deaf_to.clear()
    await setup.opened()
    assert setup.updates.installed is None


@pytest.mark.parametrize("sent", [0, 8, 1000])
async def test_a_client_that_stalls(setup: Setup, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "_IDLE_S", 0.1)
    raw = await setup.opened()
    await raw.send(upload(BUNDLE)[:sent])
    await raw.expect(answer(error=0x0207))
    await until(lambda: setup.updates.kinds()[-1] == codes.UPDATE_ABORT)
    await raw.send(upload(BUNDLE)[sent:])
    if not sent:  # a new upload; else the rest of one that has its answer
        await raw.expect(answer(error=0x0103))
    await raw.ping()


async def test_the_gateways_end_is_an_end_of_the_update(setup: Setup) -> None:
    setup.updates.deaf_to.add(codes.UPDATE_DATA)
    raw = await setup.opened()
    await raw.send(upload(BUNDLE))
    await until(lambda: setup.updates.heard[-1][0] == codes.UPDATE_DATA)
    await setup.server.stop()
    await raw.expect(DISCONNECT)
    await until(lambda: setup.updates.kinds()[-1] == codes.UPDATE_ABORT)


async def test_every_answer_to_noise_is_a_refusal(setup: Setup) -> None:
    """Firmware messages in any order, with any fields: nothing reaches the bus, and the gateway lives."""
    rng = random.Random(66)
    for _ in range(20):
        raw = await setup.join()
        for _ in range(10):
            firmware = upload(rng.randbytes(rng.randrange(300)), rng.choice((None, 0)))
            await raw.send(rng.choice((INIT, WRONG_INIT, ASK_VERSION, firmware)))
        with contextlib.suppress(OSError):
            await rng.choice((raw.close, raw.reset))()
    await until(lambda: not setup.server.sessions)
    assert not setup.board.transmits
    setup.board.reboot()
    await until(lambda: setup.board.link.state == 2)
    await setup.opened()
