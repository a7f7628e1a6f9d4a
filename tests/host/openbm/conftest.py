from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from tests.ports import free_port

from openkline.gateway.options import GatewayOptions
from openkline.gateway.server import GatewayServer

from ..updating import Setup, updating
from .fakebus import FakeBus
from .raw import Gateway

Serving = Callable[..., AbstractAsyncContextManager[Gateway]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gateway", metavar="HOST:PORT", help="test this gateway instead of our own", default=None)
    parser.addoption("--gateway-clients", type=int, default=8, help="how many clients it takes")
    parser.addoption("--gateway-timeout", type=float, default=10.0, help="its alive timeout in seconds")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "options(**options): GatewayOptions of the gateway under test (ours only)")


@contextlib.asynccontextmanager
async def serving(bus: FakeBus | None = None, **options: object) -> AsyncIterator[Gateway]:
    """Our gateway on a fake bus; afterwards nothing of it may be left."""
    loop = asyncio.get_running_loop()
    escaped: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    bus = bus or FakeBus()
    made = GatewayOptions(**{"port": free_port(1 + int(str(options.get("clients", 8)))), "drain_s": 0.5, **options})  # type: ignore[arg-type]
    server = GatewayServer(bus, made)
    await server.start()
    gateway = Gateway("127.0.0.1", server.port, made.clients, made.alive_timeout_s, bus, server)
    try:
        yield gateway
    finally:
        await gateway.close()
        await server.stop()
    assert not server._tasks and not [task for task in asyncio.all_tasks() if "gateway hello" in task.get_name()]
    assert not bus.callbacks, "still subscribed"
    assert not server.sessions and not server._open and not server._connecting
    assert not escaped, escaped
    for port in range(server.port, server.port + made.clients + 1):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


# Options that another gateway has, too, whatever their value there: tests ask the Gateway for it.
_COMMON = {"alive_timeout_s", "clients"}


def foreign(config: pytest.Config) -> str | None:
    """HOST:PORT of the gateway that is not our own; None: ours."""
    return config.getoption("--gateway", default=None) or os.environ.get("OPENBM_GATEWAY")


@pytest.fixture
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    marker = request.node.get_closest_marker("options")
    options = dict(marker.kwargs) if marker is not None else {}
    config = request.config
    if where := foreign(config):
        if not options.keys() <= _COMMON:
            pytest.skip("needs options of our own gateway")
        host, _, port = where.rpartition(":")
        clients, alive_s = config.getoption("--gateway-clients"), config.getoption("--gateway-timeout")
        other = Gateway(host.strip("[]"), int(port), clients, alive_s)
        yield other
        await other.leave()
        return
    async with serving(**options) as own:
        yield own


@pytest.fixture
def own(request: pytest.FixtureRequest) -> None:
    """For tests that start gateways of their own."""
    if foreign(request.config):
        pytest.skip("starts our own gateway")


@pytest.fixture
def bus(gateway: Gateway) -> FakeBus:
    if gateway.bus is None:
        pytest.skip("needs our own gateway's bus")
    return gateway.bus


@pytest.fixture
def server(gateway: Gateway) -> GatewayServer:
    if gateway.server is None:
        pytest.skip("needs our own gateway")
    return gateway.server


@pytest.fixture
async def setup(request: pytest.FixtureRequest) -> AsyncIterator[Setup]:
    if foreign(request.config):
        pytest.skip("needs our own gateway, with a board of ours")
    marker = request.node.get_closest_marker("options")
    async with updating(**(dict(marker.kwargs) if marker else {})) as made:
        yield made
