"""What `import openkline` offers, and that it costs nothing that is not used."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import pytest
from tests.ports import free_port

import openkline
from openkline import GatewayLost, GatewayUnreachable, connect
from openkline.gateway.sync import SyncGateway
from openkline.gateway.wire import Data, FirmwareVersion

from .openbm.conftest import serving

T = TypeVar("T")
FRAME = bytes.fromhex("80 04 BF 11 01 2B")
MESSAGE = Data(0x80, 0xBF, b"\x11\x01")


def test_the_public_names() -> None:
    """A program may rely on these: adding one is a decision, taking one away breaks programs."""
    assert openkline.__all__ == [
        "FORMATS", "BusFrame", "Device", "DeviceError", "Diagnostics", "GatewayBusy", "GatewayClient", "GatewayError",
        "GatewayLost", "GatewayUnreachable", "LogFrame", "LogProblem", "ObdError", "ObdSession", "OpenklineError",
        "Outcome", "TransmitResult", "__version__", "connect", "encode", "open_device", "read_frames",
    ]  # fmt: skip
    for name in openkline.__all__:
        assert getattr(openkline, name) is not None
    assert set(openkline.__all__) <= set(dir(openkline))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'GatewayClint'"):
        getattr(openkline, "GatewayClint")  # noqa: B009


async def script(port: int, work: Callable[[SyncGateway], T]) -> T:
    """Does the work as a plain script would: in a thread without a loop."""

    def run() -> T:
        with connect(port=port) as bus:
            return work(bus)

    return await asyncio.to_thread(run)


async def test_a_plain_script_sends_and_hears() -> None:
    async with serving() as gateway:
        loop = asyncio.get_running_loop()

        def work(bus: SyncGateway) -> list[object]:
            bus.send(0x68, 0x18, b"\x01", priority=-7)
            heard: list[object] = [bus.receive(timeout_s=5)]
            assert gateway.bus is not None
            loop.call_soon_threadsafe(gateway.bus.hear, FRAME)
            for message in bus:
                heard.append(message)
                break
            return [*heard, bus.firmware_version()]

        assert await script(gateway.port, work) == [Data(0x68, 0x18, b"\x01"), MESSAGE, FirmwareVersion(2, 6)]
        assert gateway.bus is not None and gateway.bus.sent == [(bytes.fromhex("68 03 18 01"), -7)]


async def test_silence_is_none_and_the_next_message_is_not_lost() -> None:
    async with serving() as gateway:
        loop = asyncio.get_running_loop()

        def work(bus: SyncGateway) -> tuple[object, object]:
            silence = bus.receive(timeout_s=0.01)
            assert gateway.bus is not None
            loop.call_soon_threadsafe(gateway.bus.hear, FRAME)
            return silence, bus.receive(timeout_s=5)

        assert await script(gateway.port, work) == (None, MESSAGE)


async def test_a_loop_ends_with_the_connection_and_receive_says_so() -> None:
    async with serving() as gateway:
        loop = asyncio.get_running_loop()

        def work(bus: SyncGateway) -> list[Data]:
            assert gateway.server is not None
            asyncio.run_coroutine_threadsafe(gateway.server.stop(), loop).result()
            heard = list(bus)
            with pytest.raises(GatewayLost):
                bus.receive(timeout_s=5)
            with pytest.raises(GatewayLost):
                bus.send(0x68, 0x18, b"\x01")
            return heard

        assert await script(gateway.port, work) == []


async def test_what_is_closed_stays_closed_and_closing_twice_is_no_mistake() -> None:
    async with serving() as gateway:

        def work(bus: SyncGateway) -> None:
            bus.close()
            bus.close()
            with pytest.raises(GatewayLost, match="has been closed"):
                bus.receive()

        await script(gateway.port, work)


def test_no_gateway_is_said_and_no_thread_is_left() -> None:
    import threading

    before = threading.active_count()
    with pytest.raises(GatewayUnreachable, match="no gateway at 127"):
        connect(port=free_port())
    assert threading.active_count() == before


async def test_a_wrong_message_is_refused() -> None:
    async with serving() as gateway:

        def work(bus: SyncGateway) -> None:
            with pytest.raises(ValueError, match=r"must be 1\.\.253"):
                bus.send(0x68, 0x18, b"")

        await script(gateway.port, work)


def loaded(code: str) -> set[str]:
    """The modules that a new Python has after that."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nsys.stderr.write('\\n' + ' '.join(sys.modules))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split())


def command(*words: str) -> str:
    return (
        f"import sys\nsys.argv = ['openkline', *{words!r}]\nfrom openkline.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )


HEAVY = {"asyncio", "serialx", "ssl", "aiohttp", "openkline.device.device", "openkline.bridge.bridge"}


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("import openkline", {*HEAVY, "rich", "click", "logging", "dataclasses"}),
        ("from openkline import GatewayClient", {*HEAVY, "rich", "click"}),
        ("from openkline import GatewayClient; GatewayClient()", HEAVY - {"asyncio", "ssl"}),
        ("from openkline import read_frames, FORMATS", {*HEAVY, "rich", "click"}),
    ],
)
def test_what_is_not_used_is_not_loaded(code: str, without: set[str]) -> None:
    assert not loaded(code) & without


@pytest.mark.parametrize("words", [("-h",), ("send", "-h")])
def test_help_loads_no_more_than_it_shows(words: tuple[str, ...]) -> None:
    heavy = {*HEAVY, "logging", "importlib.metadata", "openkline.gateway.client", "openkline.log.formats"}
    assert not loaded(command(*words)) & heavy


def test_the_list_of_commands_loads_no_command() -> None:
    assert not {name for name in loaded(command("-h")) if name.startswith("openkline.cli.")}


def test_a_command_that_joins_a_bridge_loads_no_serial_port() -> None:
    code = command("send", "-p", str(free_port()), "68 18 01").replace("assert not end.code", "assert end.code == 6")
    assert not loaded(code) & (HEAVY - {"asyncio", "ssl"} | {"rich", "openkline.log.formats"})
