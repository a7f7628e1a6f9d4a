"""A new version over the bridge: the real command, daemon and firmware, on a virtual board with two slots."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openkline.device.sim import SimBoard, SimOptions
from openkline.firmware import modules
from openkline.gateway.client import GatewayClient
from openkline.gateway.wire import FirmwareVersion
from openkline.update import bundle

from .daemon import COMMAND, bridge, command, free_ports, read_log
from .fixtures import VECTOR
from .rig import ROOT, PlainClient, until

PASSWORD = "1122aabb"
OLD = ".".join(map(str, bundle.version_of(modules.firmware_root())))


def secret(folder: Path, password: str = PASSWORD) -> tuple[str, str]:
    """The option that names a file with this password."""
    (folder / "password").write_text(password)
    return "--password-file", str(folder / "password")


def fill_slot(folder: Path, files: dict[str, bytes], version: str) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    (folder / "slot.json").write_text(json.dumps({"version": version, "board": "SIM", "files": digests}))


@pytest.fixture(scope="module")
def compiled() -> dict[str, bytes]:
    return modules.compile_modules()


@pytest.fixture
def flash(tmp_path: Path, compiled: dict[str, bytes]) -> Path:
    """The file system of a board as `openkline flash` leaves it."""
    folder = tmp_path / "flash"
    fill_slot(folder / "a", compiled, OLD)
    board = {"board": "SIM", "uart": 1, "rx": 16, "tx": 17, "spare": 4, "led": 2, "tx_invert": True}
    (folder / "board.json").write_text(json.dumps({**board, "rx_invert": False, "password": int(PASSWORD, 16)}))
    (folder / "boot.json").write_text('{"slot": "a"}')
    return folder


@pytest.fixture(scope="module")
def new_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware, as version 9.1.2."""
    root = tmp_path_factory.mktemp("new")
    shutil.copytree(ROOT / "firmware" / "kline", root / "kline")
    (root / "kline" / "version.py").write_text('VERSION = "9.1.2"\n')
    return root


@pytest.fixture(scope="module")
def new(new_source: Path) -> Path:
    place = new_source / "new.okb"
    place.write_bytes(bundle.build(root=new_source).raw)
    return place


@dataclass
class Rig:
    sim: SimBoard
    port: int
    log: Path
    flash: Path

    async def update(self, *words: str, password: str = PASSWORD) -> tuple[int, list[dict[str, object]], str]:
        gateway = ("-p", str(self.port), *secret(self.log.parent, password), "--json")
        status, out, err = await command("update", *words, *gateway, timeout_s=120)
        return status, [json.loads(line) for line in out.splitlines()], err.decode()


@contextlib.asynccontextmanager
async def board(flash: Path, *extra: str) -> AsyncIterator[SimBoard]:
    """Its serial port is .path."""
    sim = SimBoard(SimOptions(extra=("--flash", str(flash), *extra)))
    try:
        await sim.start()
        yield sim
    finally:
        await sim.stop()


@contextlib.asynccontextmanager
async def rig(flash: Path, tmp_path: Path, *extra: str) -> AsyncIterator[Rig]:
    log = tmp_path / "bus.log"
    async with (
        board(flash, *extra) as sim,
        bridge("-l", "4", "-f", str(log), device=sim.path, port=free_ports()) as running,
    ):
        while (await running.status())["device"]["state"] != "ready":
            await asyncio.sleep(0.05)
        yield Rig(sim, running.port, log, flash)


async def test_a_new_version_over_the_bridge_while_the_bus_is_logged(flash: Path, tmp_path: Path, new: Path) -> None:
    drive, go = tmp_path / "drive.log", tmp_path / "go"
    drive.write_bytes(VECTOR)
    frames = read_log(drive)[0]
    expected = [frame.data for frame in frames]
    lines = tmp_path / "drive.lines"
    times = [round(1e6 * ((frame.time or 0) - (frames[0].time or 0))) for frame in frames]
    lines.write_text("".join(f"{us} {data.hex()}\n" for us, data in zip(times, expected, strict=True)))
    async with rig(flash, tmp_path, "--replay", str(lines), "--start-file", str(go)) as all_:
        client = await PlainClient(all_.port).connect()
        work = asyncio.create_task(all_.update(str(new)))
        await until(lambda: work.done() or (flash / "b" / "update.okb").exists(), "the upload has begun")
        assert not work.done(), work.result()
        go.touch()
        await until(lambda: len(client.frames) >= len(expected), "the whole drive has been heard")
        go.unlink()  # or the restarted board plays it again
        assert not (flash / "b" / "slot.json").exists(), "the drive was heard during the update"
        status, told, err = await work
        assert status == 0, err
        states = [line["state"] for line in told]
        assert states[0] == "uploading" and states[-2:] == ["restarting", "updated"], told
        assert told[-1] == {"state": "updated", "version": "9.1.2", "certain": True}
        counts = [int(str(line["bytes"])) for line in told if "bytes" in line]
        assert counts == sorted(set(counts)) and counts[-1] == new.stat().st_size
        assert json.loads((flash / "boot.json").read_text()) == {"slot": "b"}
        async with GatewayClient("127.0.0.1", all_.port) as other:
            assert await other.firmware_version() == FirmwareVersion(9, 1)
        await client.close()
    assert client.frames == expected
    assert [frame.data for frame in read_log(all_.log)[0]] == expected


async def test_refusals_end_to_end(flash: Path, tmp_path: Path, new: Path) -> None:
    for_another = tmp_path / "another.okb"
    files = {"kline/small.mpy": b"M\x06"}
    for_another.write_bytes(bundle.pack(files, (9, 1, 2), ("ESP32_GENERIC",)).raw)
    async with rig(flash, tmp_path) as all_:
        status, told, err = await all_.update(str(for_another))
        assert status == 8 and "0301" in err and "another board" in err and not told
        status, _, err = await all_.update(str(for_another), password="00000001")
        assert status == 8 and "0106" in err
        assert (flash / "wrong.json").read_text() == "1"
        running = json.loads((flash / "boot.json").read_text())
        assert running == {"slot": "a"} and not (flash / "b" / "slot.json").exists()


async def test_who_vanishes_midway(flash: Path, tmp_path: Path, new: Path) -> None:
    """First the client, then the board: each time the version that runs goes on, and the next update is taken."""
    begun = flash / "b" / "update.okb"
    async with rig(flash, tmp_path) as all_:
        gateway = ("-p", str(all_.port), *secret(tmp_path))
        client = await asyncio.create_subprocess_exec(
            *COMMAND, "update", *gateway, str(new),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await until(begun.exists, "the upload has begun")
        client.kill()
        await client.communicate()
        begun.unlink()
        work = asyncio.create_task(all_.update(str(new)))
        await until(lambda: work.done() or begun.exists(), "the next upload has begun")
        all_.sim.reset()
        status, told, err = await work
        assert status == 8 and "0205" in err and not any(line["state"] == "restarting" for line in told), err
        async with GatewayClient("127.0.0.1", all_.port) as other:
            assert await other.firmware_version() == FirmwareVersion(*map(int, OLD.split(".")[:2]))
    assert json.loads((flash / "boot.json").read_text()) == {"slot": "a"}


async def test_a_version_that_does_not_start_is_told(flash: Path, tmp_path: Path) -> None:
    """Also without a bridge: the command has the board to itself. And also where its number is the one before's."""
    files = {"kline/__init__.mpy": b"", "kline/device/app.mpy": b"no module"}
    broken = tmp_path / "broken.okb"
    broken.write_bytes(bundle.pack(files, bundle.version_of(modules.firmware_root())).raw)
    async with board(flash) as sim:
        status, out, err = await command("update", "-d", sim.path, str(broken), *secret(tmp_path), timeout_s=120)
    assert status == 8 and not out, (out, err)
    assert f"version {OLD} did not start; the board runs {OLD} from slot a, as before" in err.decode(), err
    assert json.loads((flash / "boot.json").read_text()) == {"slot": "a"}


async def test_a_board_without_slots_is_told_so_before_a_password_is_asked_for(flash: Path, new: Path) -> None:
    (flash / "a" / "slot.json").unlink()
    async with board(flash) as sim:
        status, _, err = await command("update", "-d", sim.path, str(new))
    assert status == 8 and b"0303" in err and b"password of" not in err, err


async def test_ctrl_c_midway_leaves_everything_as_it_was(flash: Path, new: Path) -> None:
    async with board(flash) as sim:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "update", "-d", sim.path, str(new), *secret(flash.parent),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await until(lambda: process.returncode is not None or (flash / "b" / "update.okb").exists())
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert process.returncode == 130 and not out, (out, err)
        # The board has been told: it takes the next one at once.
        small = flash.parent / "small.okb"
        small.write_bytes(bundle.pack({"kline/small.mpy": b"M\x06"}, (9, 1, 2), ("ESP32_GENERIC",)).raw)
        status, _, told = await command("update", "-d", sim.path, str(small), *secret(flash.parent))
        assert status == 8 and b"0301" in told, told
    assert json.loads((flash / "boot.json").read_text()) == {"slot": "a"}
