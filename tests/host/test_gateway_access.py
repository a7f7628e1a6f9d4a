"""Who may connect to the gateway, how often, and how many ports one address may hold."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.gateway import server as server_module
from openkline.gateway.options import GatewayOptions
from openkline.net.access import ConnectLimiter, TokenBucket

from .openbm.conftest import serving
from .openbm.raw import DISCONNECT, FRAME, HELLO, TOLD, Gateway, Raw, port_of, until

# -- addresses and rates


def test_a_bucket() -> None:
    now = [0.0]
    bucket = TokenBucket(10, 3, lambda: now[0])
    assert [bucket.allows() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.1
    assert bucket.allows() and not bucket.allows()
    now[0] = 100.0
    assert [bucket.allows() for _ in range(4)] == [True, True, True, False]
    assert TokenBucket(0, 1, lambda: 0.0).allows()


def test_a_bucket_on_credit() -> None:
    now = [0.0]
    bucket = TokenBucket(100, 50, lambda: now[0])
    assert bucket.owes_s(50) == 0
    assert bucket.owes_s(10) == pytest.approx(0.1)
    now[0] = 0.1
    assert bucket.owes_s(0) == pytest.approx(0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20)), max_size=50), st.floats(0.5, 50), st.integers(1, 50))
def test_a_bucket_never_gives_more_than_its_rate(steps: list[tuple[float, int]], rate: float, burst: int) -> None:
    now = [0.0]
    bucket = TokenBucket(rate, burst, lambda: now[0])
    taken = 0
    for wait_s, asks in steps:
        now[0] += wait_s
        taken += sum(bucket.allows() for _ in range(asks))
        assert taken <= burst + rate * now[0] + 1e-6


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.168.0.77", True),
        ("::ffff:192.168.0.77", True),
        ("192.168.1.77", False),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_who_may_connect(address: str, allowed: bool) -> None:
    networks = GatewayOptions(allow=("192.168.0.0/24", "fe80::/10")).networks()
    assert ConnectLimiter(networks, 1, lambda: 0.0).allowed(address) is allowed


@pytest.mark.parametrize(
    ("network", "address", "allowed"),
    [
        ("::ffff:192.168.0.0/120", "192.168.0.77", True),
        ("::ffff:192.168.0.0/120", "::ffff:192.168.0.77", True),
        ("::ffff:192.168.0.0/120", "192.168.1.77", False),
        ("::ffff:192.168.0.9", "192.168.0.9", True),
        ("::ffff:0:0/96", "8.8.8.8", True),
        ("::/0", "8.8.8.8", False),
        ("::/0", "2001:db8::1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("0.0.0.0/0", "::ffff:8.8.8.8", True),
        ("192.168.0.5/24", "192.168.0.77", True),
    ],
)
def test_networks_of_both_kinds(network: str, address: str, allowed: bool) -> None:
    assert ConnectLimiter(GatewayOptions(allow=(network,)).networks(), 1, lambda: 0.0).allowed(address) is allowed


def test_the_memory_of_addresses_is_bounded() -> None:
    limiter = ConnectLimiter((), 1, lambda: 0.0)
    assert all(limiter.in_time(f"10.0.{i >> 8}.{i & 255}") for i in range(5000))
    assert len(limiter._rates) <= 256


async def test_an_address_that_is_not_allowed_is_closed_without_a_word() -> None:
    async with serving(host="0.0.0.0", allow=("127.0.0.0/8",)) as gateway:
        assert gateway.server is not None
        gateway.server._limiter.allowed = lambda address: False  # type: ignore[method-assign]
        raw = await gateway.open()
        await raw.expect_end()
        assert gateway.server.counters.refused_address == 1


async def test_silent_connections_do_not_keep_others_out() -> None:
    async with serving(pending=10) as gateway:
        assert gateway.server is not None
        silent = [await gateway.open() for _ in range(40)]
        await until(lambda: gateway.server.counters.accepted == 40)  # type: ignore[union-attr]
        assert gateway.server.counters.evicted == 30 and len(gateway.server._connecting) <= 11
        await (await gateway.join()).ping()
        for raw in silent[:29]:
            await raw.expect_end()


async def test_connecting_too_often_is_refused() -> None:
    async with serving(accepts_per_s=5) as gateway:
        assert gateway.server is not None
        for _ in range(30):
            await gateway.open()
        await until(lambda: gateway.server.counters.accepted == 30)  # type: ignore[union-attr]
        assert gateway.server.counters.refused_rate >= 15


# -- reservations


async def hello_from(gateway: Gateway, address: str) -> bytes:
    """The answer to a Hello from this address of this computer."""
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port, local_addr=(address, 0))
    writer.write(HELLO)
    answer = await asyncio.wait_for(reader.readexactly(8), 10)
    writer.close()
    return answer


async def test_an_address_that_only_reserves_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_RIPE_S", 0.05)
    async with serving(clients=4) as gateway:
        assert gateway.server is not None
        hoarder = [port_of(await hello_from(gateway, "127.0.0.2")) for _ in range(4)]
        assert await hello_from(gateway, "127.0.0.2") == DISCONNECT
        oldest = gateway.server.sessions[hoarder[0]]
        await until(lambda: asyncio.get_running_loop().time() - oldest.reserved_s > 0.1)
        first = await gateway.join()
        assert gateway.server.sessions[hoarder[0]].address == "127.0.0.1"
        await first.ping()
        await gateway.join()
        assert await hello_from(gateway, "127.0.0.2") == DISCONNECT, "its own are not renewed"
        assert await gateway.greet() != DISCONNECT, "the hoarder has two, this address none that is open"
        assert await gateway.greet() == DISCONNECT, "both have one"
        assert gateway.server.counters.reservations_taken == 3


async def test_a_young_reservation_is_safe() -> None:
    async with serving(clients=2) as gateway:
        assert gateway.server is not None
        ports = [port_of(await hello_from(gateway, "127.0.0.2")) for _ in range(2)]
        assert await gateway.greet() == DISCONNECT
        assert [gateway.server.sessions[port].address for port in ports] == ["127.0.0.2"] * 2


# -- where it listens


async def test_the_port_is_taken() -> None:
    async with serving() as gateway:
        with pytest.raises(OSError):
            async with serving(port=gateway.port):
                pass


async def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        probe = socket.socket(socket.AF_INET6)
        probe.bind(("::1", 0))
        probe.close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with serving(host="::1") as gateway:
        gateway.host = "::1"
        raw = await gateway.join()
        assert gateway.bus is not None
        gateway.bus.hear(FRAME)
        await raw.expect(TOLD)
        await raw.send(DISCONNECT)
        await raw.expect_end()
    assert isinstance(raw, Raw)
