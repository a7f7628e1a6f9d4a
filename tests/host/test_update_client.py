"""GatewayClient.update() and `openkline update`: our gateway with a fake board, and gateways that misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kline.protocol.link import records
from kline.protocol.update import codes
from openkline.cli import update as command
from openkline.cli.password import ask_password
from openkline.device.device import Device
from openkline.errors import GatewayError, GatewayLost, OpenklineError, UpdateFailed
from openkline.gateway import upload
from openkline.gateway.client import GatewayClient
from openkline.gateway.wire import Data, InitFirmwareUpdate, Parser, UploadStatus
from openkline.update import bundle, passwords
from openkline.update.errors import MEANINGS, UpdateError

from .fake_device import FakeBoard, FakePort
from .fake_gateway import fake_gateway, says_connect
from .fake_update import PASSWORD, FakeUpdates
from .openbm.raw import PING, until
from .updating import Setup, updating

BUNDLE = bundle.pack({"kline/a.mpy": b"M\x06" + bytes(range(256)) * 4}, (2, 6, 1))
SECRET = ("--password-file", "secret")
TO_75 = bytes.fromhex("66 04 75 01 02 14")


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with updating() as made:
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("11 22 33 44\n")


def new_version(setup: Setup, version: tuple[int, int, int] = (2, 6, 1)) -> None:
    """The board restarts into it after an update."""

    def restart() -> None:
        setup.board.firmware = version
        setup.board.reboot()

    setup.updates.restarts = lambda: asyncio.get_running_loop().call_later(0.1, restart)


async def test_update_tells_what_is_safe(setup: Setup) -> None:
    counts: list[int] = []
    async with GatewayClient(setup.gateway.host, setup.gateway.port) as client:
        await client.update(BUNDLE.raw, PASSWORD, (2, 6), counts.append)
        assert setup.updates.installed == BUNDLE.raw and setup.updates.version == (2, 6)
        assert counts == sorted(set(counts)) and counts[-1] == len(BUNDLE.raw)
        version = await client.firmware_version()
        assert (version.major, version.minor) == (0, 0)


async def test_update_is_refused_with_the_code(setup: Setup) -> None:
    async with GatewayClient(setup.gateway.host, setup.gateway.port) as client:
        with pytest.raises(UpdateError, match=r"0106.*password is wrong") as caught:
            await client.update(BUNDLE.raw, PASSWORD + 1)
        assert caught.value.code == codes.ERROR_PASSWORD and caught.value.exit_code == 8
        setup.updates.refuse_bundle = codes.ERROR_WRONG_BOARD
        with pytest.raises(UpdateError, match=r"0301.*another board"):
            await client.update(BUNDLE.raw, PASSWORD)
        setup.updates.refuse_bundle = 0
        await client.update(BUNDLE.raw, PASSWORD)


async def test_update_goes_on_beside_messages_of_the_same_client(setup: Setup) -> None:
    setup.updates.deaf_to.add(codes.UPDATE_DATA)
    async with GatewayClient(setup.gateway.host, setup.gateway.port) as client:
        work = asyncio.create_task(client.update(BUNDLE.raw, PASSWORD))
        await until(lambda: setup.updates.heard and setup.updates.heard[-1][0] == codes.UPDATE_DATA)
        await client.send(0x68, 0x18, b"\x01")
        assert await anext(client) == Data(0x68, 0x18, b"\x01", 100)
        with pytest.raises(UpdateError, match="0204"):
            await client.update(BUNDLE.raw, PASSWORD)
        setup.board.reboot()
        with pytest.raises(UpdateError, match="0205"):
            await work
        setup.board.send_frame(TO_75)
        assert await anext(client) == Data(0x66, 0x75, b"\x01\x02", 100)


@pytest.mark.parametrize("size", [0, 65536])
async def test_a_bundle_that_no_upload_carries(setup: Setup, size: int) -> None:
    async with GatewayClient(setup.gateway.host, setup.gateway.port) as client:
        with pytest.raises(ValueError, match=f"has {size} bytes"):
            await client.update(bytes(size), PASSWORD)
    assert not setup.updates.heard


async def test_not_connected() -> None:
    with pytest.raises(GatewayLost):
        await GatewayClient().update(b"x", 1)


async def test_a_gateway_that_knows_no_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_GO_ON_S", 0.1)
    port: list[int] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()

    async with fake_gateway(says_connect(port), mute) as at:
        port.append(at)
        async with GatewayClient("127.0.0.1", at) as client:
            with pytest.raises(GatewayError, match="did not answer"):
                await client.update(BUNDLE.raw, 1)


async def test_a_gateway_that_goes_away_midway() -> None:
    port: list[int] = []

    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(InitFirmwareUpdate().to_bytes())
        await reader.readexactly(8 + len(BUNDLE.raw))
        writer.write(UploadStatus(512).to_bytes() + PING)
        writer.close()

    counts: list[int] = []
    async with fake_gateway(says_connect(port), leaves) as at:
        port.append(at)
        async with GatewayClient("127.0.0.1", at) as client:
            with pytest.raises(GatewayError, match="lost during the update"):
                await client.update(BUNDLE.raw, 1, progress=counts.append)
    assert counts == [512]


def test_while_an_update_is_under_way_66_75_is_an_answer() -> None:
    count, message = UploadStatus(0x0200, 0), bytes.fromhex("66 75 02 00 64 00 00 00 01 02")
    bus = Data(0x66, 0x75, b"\x01\x02", 100)
    parser = Parser(to_gateway=False)
    parser.expect_answers(0x0400)
    assert parser.feed(message) == [bus]  # not yet
    go_on = InitFirmwareUpdate()
    last = UploadStatus(0x0400)
    stream = go_on.to_bytes() + count.to_bytes() + last.to_bytes() + message
    assert parser.feed(stream) == [go_on, count, last, bus]
    refusal = UploadStatus(error=0x0304)
    assert parser.feed(go_on.to_bytes() + refusal.to_bytes() + message) == [go_on, refusal, bus]


def test_every_code_has_a_sentence_and_an_unknown_one_does_no_harm() -> None:
    for code, meaning in MEANINGS.items():
        assert f"({code:04X}): {meaning}" in str(UpdateError(code))
    assert "0999" in str(UpdateError(0x0999))
    assert "wait 64 s" in str(UpdateError(codes.ERROR_PASSWORD, 64))
    assert "flash` printed the right one" in str(UpdateError(codes.ERROR_PASSWORD))  # it keeps the board's own


# -- openkline update


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "new.okb"
    path.write_bytes(BUNDLE.raw)
    return path


async def run(setup: Setup, *words: str) -> Result:
    gateway = ("-p", str(setup.gateway.port))
    return await asyncio.to_thread(CliRunner().invoke, command.update, [*gateway, *words])


async def test_command_updates_and_says_which_version_runs(setup: Setup, place: Path) -> None:
    new_version(setup)
    done = await run(setup, str(place), *SECRET)
    assert done.exit_code == 0, done.output
    assert done.stdout == "updated: version 2.6 runs\n"
    assert setup.updates.installed == BUNDLE.raw and setup.updates.version == (2, 6)


async def test_command_in_json(setup: Setup, place: Path) -> None:
    new_version(setup)
    done = await run(setup, str(place), *SECRET, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    total = len(BUNDLE.raw)
    assert lines[-2:] == [
        {"state": "restarting", "bytes": total, "total": total},
        {"state": "updated", "version": "2.6", "certain": True},
    ]


@pytest.mark.parametrize(("version", "says"), [((0, 1, 0), "did not start; the board runs 0.1")])
async def test_command_tells_a_fallback(setup: Setup, place: Path, version: tuple[int, int, int], says: str) -> None:
    new_version(setup, version)
    done = await run(setup, str(place), *SECRET)
    assert isinstance(done.exception, UpdateFailed) and says in str(done.exception)
    assert done.exception.exit_code == 8 and not done.stdout


def test_a_board_without_a_bridge_is_updated_in_its_own_mode(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = FakeBoard()
    updates = FakeUpdates(board)
    updates.restarts = lambda: asyncio.get_running_loop().call_later(0.1, board.reboot)
    board.firmware = (2, 6, 1)  # of the next start
    monkeypatch.setattr("openkline.device.opening.port_for", lambda name, sim: FakePort(board))
    done = CliRunner().invoke(command.update, ["-d", "fake", str(place), *SECRET])
    assert done.exit_code == 0, done.output
    assert done.stdout == "updated: version 2.6.1 runs\n"
    assert board.boots == 3 and not board.configured


async def test_a_gateway_without_a_board_is_told_so_before_a_password_is_asked_for(
    setup: Setup, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "firmware_version", None)  # none has answered yet
    done = await run(setup, str(place))
    assert isinstance(done.exception, UpdateFailed) and "has no board" in str(done.exception)


async def test_command_does_not_wait_for_ever(setup: Setup, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_BACK_S", 0.2)
    done = await run(setup, str(place), *SECRET)
    assert isinstance(done.exception, UpdateFailed) and "did not come back within" in str(done.exception)


async def test_the_same_version_again_is_not_proof(setup: Setup, place: Path) -> None:
    setup.board.firmware = (2, 6, 1)
    setup.board.reboot()
    await until(lambda: setup.server.bus.firmware_version == (2, 6, 1))
    new_version(setup)
    done = await run(setup, str(place), *SECRET)
    assert done.exit_code == 0 and "does not show whether" in done.stderr
    assert done.stdout == "the board is back: version 2.6 runs\n"


@pytest.mark.parametrize("bridge_is_here", [True, False])
@pytest.mark.parametrize(("slot", "starts"), [(records.RUNS_SLOT_B, True), (records.RUNS_SLOT_A, False)])
async def test_the_slot_proves_what_the_same_version_cannot(
    setup: Setup, place: Path, monkeypatch: pytest.MonkeyPatch, slot: int, starts: bool, bridge_is_here: bool
) -> None:
    """Over a bridge on this computer, whose status tells it; from afar it stays unknown."""
    bus = setup.server.bus
    assert isinstance(bus, Device)

    async def fetch(port: int) -> dict[str, object]:
        if not bridge_is_here:
            raise GatewayError("none")
        return {"gateway": {"port": setup.gateway.port}, "device": bus.stats()["device"]}

    monkeypatch.setattr("openkline.bridge.status.fetch", fetch)
    setup.board.firmware = (2, 6, 1)
    setup.board.capabilities |= records.RUNS_SLOT_A
    setup.board.reboot()
    await until(lambda: bus.info is not None and bus.info.slot == "a")

    def restart() -> None:
        setup.board.capabilities = setup.board.capabilities & ~records.RUNS_SLOT_A | slot
        setup.board.reboot()

    setup.updates.restarts = lambda: asyncio.get_running_loop().call_later(0.1, restart) and None
    done = await run(setup, str(place), *SECRET, "--json")
    if bridge_is_here and not starts:
        assert isinstance(done.exception, UpdateFailed) and "the board runs 2.6.1 from slot a" in str(done.exception)
        return
    last = json.loads(done.stdout.splitlines()[-1])
    version = "2.6.1" if bridge_is_here else "2.6"
    assert last == {"state": "updated", "version": version, "certain": bridge_is_here}, done.output


async def test_the_only_password_that_is_known_is_taken_through_a_gateway(setup: Setup, place: Path) -> None:
    done = await run(setup, str(place))
    assert isinstance(done.exception, passwords.PasswordError) and "--password-file" in str(done.exception)
    assert not setup.updates.heard
    passwords.remember("0102", PASSWORD)
    new_version(setup)
    assert (await run(setup, str(place))).exit_code == 0
    passwords.remember("0103", 1)
    assert isinstance((await run(setup, str(place))).exception, passwords.PasswordError)


async def test_an_unknown_password_is_asked_for(setup: Setup, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openkline.cli.password._ask", lambda: "11 22 33 44")
    monkeypatch.setattr(command, "ask_password", partial(_on_a_terminal, ask_password))
    new_version(setup)
    done = await run(setup, str(place))
    assert done.exit_code == 0 and setup.updates.installed == BUNDLE.raw, done.output
    assert "does not know the board's password" in done.stderr


def _on_a_terminal(ask: Callable[[], int | None]) -> int | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stdin, "isatty", lambda: True)
        return ask()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-p", "0"], "0 is not in the range"),
        (["-i", "h", "-d", "sim"], "one or the other"),
        (["--gateway", "h:1"], "No such option"),
        (["none.okb"], "none.okb"),
    ],
)
def test_wrong_usage(words: list[str], says: str) -> None:
    done = CliRunner().invoke(command.update, words)
    assert done.exit_code == 2 and says in done.output


def test_what_can_be_told_before_anything_is_sent(place: Path) -> None:
    done = CliRunner().invoke(command.update, [str(place), "-p", "1"])
    assert isinstance(done.exception, GatewayError), done.output
    place.write_bytes(BUNDLE.raw[:-1])
    done = CliRunner().invoke(command.update, [str(place), *SECRET])
    assert isinstance(done.exception, OpenklineError) and "no bundle that can be used" in str(done.exception)
    assert logging.getLogger("openkline").handlers
