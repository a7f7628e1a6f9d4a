"""What one client may not do to the others, and who may connect at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.gateway import door as door_module
from openkline.gateway import server as server_module
from openkline.gateway import session as session_module
from openkline.gateway.limits import Doorman, TokenBucket
from openkline.gateway.options import GatewayOptions
from openkline.gateway.rules import PRESETS, Rule, denied_by
from openkline.gateway.session import SessionState

from .openbm.conftest import serving
from .openbm.fakebus import FakeBus
from .openbm.raw import DISCONNECT, HELLO, PING, Gateway, Raw, port_of, until

FRAME = bytes.fromhex("80 04 BF 11 01 2B")
TOLD = bytes.fromhex("80 BF 02 00 64 00 00 00 11 01")
MESSAGE = bytes.fromhex("68 18 01 00 64 00 00 00 01")


def counters_of(gateway: Gateway) -> object:
    assert gateway.server is not None
    return gateway.server.sessions[gateway.port + 1].counters


# -- rates and addresses


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
    assert Doorman(networks, 1, lambda: 0.0).allowed(address) is allowed


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
    assert Doorman(GatewayOptions(allow=(network,)).networks(), 1, lambda: 0.0).allowed(address) is allowed


def test_the_memory_of_addresses_is_bounded() -> None:
    doorman = Doorman((), 1, lambda: 0.0)
    assert all(doorman.in_time(f"10.0.{i >> 8}.{i & 255}") for i in range(5000))
    assert len(doorman._rates) <= 256


async def test_an_address_that_is_not_allowed_is_closed_without_a_word() -> None:
    async with serving(host="0.0.0.0", allow=("127.0.0.0/8",)) as gateway:
        assert gateway.server is not None
        gateway.server._doorman.allowed = lambda address: False  # type: ignore[method-assign]
        raw = await gateway.open()
        await raw.expect_end()
        assert gateway.server.counters.refused_address == 1


# -- rules


@pytest.mark.parametrize(
    ("message", "denied"),
    [
        ("3F D0 0C 01", True),
        ("3F D0 0B", False),
        ("3F 80 04", False),
        ("3F 80 05", True),
        ("44 BF 74", True),
        ("BF 44 01", True),
        ("3F 44 00", True),
        ("68 18 01", False),
        ("F0 68 48", False),
    ],
)
def test_cautious(message: str, denied: bool) -> None:
    raw = bytes.fromhex(message)
    rules = GatewayOptions(deny=("cautious",)).rules()
    assert (denied_by(rules, raw[0], raw[1], raw[2:]) is not None) is denied


@given(st.binary(min_size=3, max_size=20))
def test_without_rules_everything_goes_out(raw: bytes) -> None:
    assert denied_by((), raw[0], raw[1], raw[2:]) is None


def test_the_first_rule_decides() -> None:
    rules = tuple(map(Rule.parse, ("!68 18 01", "68 ?? 01", "68 18")))
    assert denied_by(rules, 0x68, 0x18, b"\x01") is None
    assert denied_by(rules, 0x68, 0x19, b"\x01") is rules[1]
    assert denied_by(rules, 0x68, 0x18, b"\x02") is rules[2]
    assert denied_by(rules, 0x68, 0x19, b"\x02") is None


def test_presets_are_valid() -> None:
    for name in PRESETS:
        assert GatewayOptions(deny=(name,)).rules()


async def test_denied_messages_never_reach_the_bus() -> None:
    async with serving(deny=("68 18 02",)) as gateway:
        raw = await gateway.join()
        await raw.send(MESSAGE[:-1] + b"\x02" + MESSAGE)
        await raw.expect(MESSAGE)
        assert gateway.bus is not None and gateway.bus.bodies == [bytes.fromhex("68 03 18 01")]
        assert counters_of(gateway).denied == 1  # type: ignore[attr-defined]


async def test_read_only() -> None:
    async with serving(read_only=True) as gateway:
        raw = await gateway.join()
        await raw.send(MESSAGE * 3)
        await raw.ping()
        assert gateway.bus is not None and gateway.bus.submitted == 0
        gateway.bus.hear(FRAME)
        await raw.expect(TOLD)
        assert counters_of(gateway).read_only == 3  # type: ignore[attr-defined]


# -- one client against the others


async def test_more_than_the_rate_is_refused_and_counted() -> None:
    async with serving(rate_per_s=1, burst=5) as gateway:
        raw = await gateway.join()
        await raw.send(MESSAGE * 20)
        for _ in range(5):
            await raw.expect(MESSAGE)
        await raw.ping()
        assert counters_of(gateway).rate_limited == 15  # type: ignore[attr-defined]
        other = await gateway.join()
        await other.send(MESSAGE)
        await other.expect(MESSAGE)


async def test_a_thousand_messages_of_one_leave_room_for_the_others() -> None:
    bus = FakeBus(held=True)
    async with serving(bus, burst=2000) as gateway:
        greedy, modest = await gateway.join(), await gateway.join()
        await greedy.send(MESSAGE * 1000)
        await greedy.ping()
        assert bus.waiting <= 32, "a share of the bus' queue, not all of it"
        assert counters_of(gateway).queue_full == 1000 - 512 - bus.waiting  # type: ignore[attr-defined]
        await modest.send(MESSAGE[:-1] + b"\x07")
        await modest.ping()
        for _ in range(bus.waiting):
            bus.step()
        assert bytes.fromhex("68 03 18 07") in bus.bodies
        await greedy.close()
        bus.release()
        await until(lambda: bus.release() or len(bus.sent) == 512 + 16 + 1, "all that was taken")


async def test_the_bus_queue_is_never_overrun_by_many_clients() -> None:
    bus = FakeBus(held=True)
    async with serving(bus, clients=64, drain_s=0.1) as gateway:
        raws = await asyncio.gather(*(gateway.join() for _ in range(64)))
        for raw in raws:
            raw.writer.write(b"".join(MESSAGE[:4] + bytes((p, 0, 0, 0, 1)) for p in range(20)))
        for raw in raws:
            await raw.ping()
        assert 64 <= bus.max_waiting <= 192
        bus.release()
        await until(lambda: bus.release() or len(bus.sent) == 64 * 20, "everything sent")


async def test_a_client_that_does_not_read_is_dropped_and_the_others_lose_nothing() -> None:
    async with serving(write_buffer=4096) as gateway:
        assert gateway.bus is not None and gateway.server is not None
        port = await gateway.reserve()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(("127.0.0.1", port))
        await until(lambda: gateway.server.counters.sessions == 1)  # type: ignore[union-attr]
        healthy = await gateway.join()
        sent = 0
        while not gateway.server.counters.slow and sent < 2_000_000:
            for _ in range(100):
                gateway.bus.hear(FRAME)
            sent += 100
            await healthy.expect(TOLD * 100)
        assert gateway.server.counters.slow == 1
        assert gateway.port + 1 not in gateway.server.sessions
        await healthy.ping()
        sock.close()


async def test_what_waits_for_a_client_that_does_not_read_is_bounded_in_the_system_too() -> None:
    """What was written and neither reached the client's own buffers nor was dropped: ours and the system's."""
    async with serving() as gateway:
        assert gateway.bus is not None and gateway.server is not None
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", await gateway.reserve()))
        sock.setblocking(False)
        await until(lambda: gateway.server.counters.sessions == 1)  # type: ignore[union-attr]
        heard = held = 0

        def hear(n: int) -> None:
            nonlocal heard, held
            heard, held = heard + n, held + n * len(TOLD)
            for _ in range(n):
                gateway.bus.hear(FRAME)  # type: ignore[union-attr]

        def read() -> None:
            nonlocal held
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while chunk := sock.recv(65536):
                    held -= len(chunk)

        while heard < 100_000:  # it reads at first, and well: then systems keep more and more for it
            hear(500)
            await asyncio.sleep(0)
            read()
        while not gateway.server.counters.slow and heard < 1_000_000:
            hear(100)
            await asyncio.sleep(0)
        read()
        sock.close()
        assert 65536 <= held <= 65536 + 4 * 32768, held


async def test_the_rest_for_a_client_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is over, and what waits for it would keep the connection open for ever."""
    monkeypatch.setattr(session_module, "_FLUSH_S", 0.05)
    async with serving(alive_timeout_s=0.3, write_buffer=1 << 20) as gateway:
        assert gateway.bus is not None and gateway.server is not None
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(("127.0.0.1", await gateway.reserve()))
        await until(lambda: gateway.server.sessions[gateway.port + 1].transport)  # type: ignore[union-attr]
        transport = gateway.server.sessions[gateway.port + 1].transport
        assert transport is not None
        while not transport.get_write_buffer_size():
            gateway.bus.hear(FRAME)
        await until(lambda: gateway.server.counters.timeouts == 1)  # type: ignore[union-attr]
        assert gateway.server.counters.slow == 0
        await until(lambda: not gateway.server._open, "the connection is gone")  # type: ignore[union-attr]
        sock.close()


async def test_after_its_answer_the_main_port_does_not_wait_for_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has its port, and leaves the first connection open."""
    monkeypatch.setattr(door_module, "_LINGER_S", 0.05)
    async with serving() as gateway:
        assert gateway.server is not None
        raw = await gateway.open()
        await raw.send(HELLO)
        port = port_of(await raw.read(8))
        await raw.expect_end()
        await until(lambda: not gateway.server._doors, "the first connection is gone")  # type: ignore[union-attr]
        await (await gateway.open(port)).ping()


@pytest.mark.parametrize(("messages", "taken"), [(5000, 5000), (40_000, 1024 + 65536 // 8 + 512)])
async def test_what_has_arrived_when_the_gateway_stops_is_still_taken_within_bounds(messages: int, taken: int) -> None:
    """Reading from a flood is slowed down, so most of it is with the system; of 8 bytes each, 64 KiB are read."""
    async with serving(input_bytes_per_s=1024, drain_s=0.1) as gateway:
        assert gateway.server is not None
        raw = await gateway.join()
        counters = gateway.server.sessions[gateway.port + 1].counters
        raw.writer.write(bytes.fromhex("12 34 00 00 00 00 00 00") * messages)
        await until(lambda: counters.throttled)
        await until(lambda: raw.writer.transport.get_write_buffer_size() == 0 or messages > 5000)
        await gateway.server.stop()
        assert (counters.unknown == messages) if messages == taken else (65536 // 8 <= counters.unknown <= taken)
        raw.writer.transport.abort()


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


async def test_a_flood_cannot_stretch_the_end() -> None:
    """What came before is sent; what comes while the gateway waits for that is too late, and counted."""
    bus = FakeBus(held=True)
    async with serving(bus, drain_s=60.0) as gateway:
        assert gateway.server is not None
        raw = await gateway.join()
        await raw.send(MESSAGE * 3)
        await raw.ping()
        session = gateway.server.sessions[gateway.port + 1]
        stopping = asyncio.create_task(gateway.server.stop())
        await until(lambda: session.state is SessionState.ENDING)
        for _ in range(20):
            await raw.send(MESSAGE * 10)
            await raw.ping()
        assert session.counters.late == 200
        bus.release()
        await asyncio.wait_for(stopping, 10)
        assert len(bus.sent) == 3


async def test_a_flood_of_pings_that_are_not_read_ends_in_a_drop() -> None:
    async with serving(write_buffer=1024, input_bytes_per_s=1 << 30) as gateway:
        assert gateway.server is not None
        port = await gateway.reserve()
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionError, TimeoutError)):
            async with asyncio.timeout(20):
                while True:
                    writer.write(PING * 4096)
                    await writer.drain()
                    await asyncio.sleep(0)
        assert gateway.server.counters.slow == 1
        writer.transport.abort()
        await (await gateway.join()).ping()


async def test_a_flood_is_read_slowly_and_others_are_served_meanwhile() -> None:
    async with serving(input_bytes_per_s=4096) as gateway:
        assert gateway.bus is not None
        flood, other = await gateway.join(), await gateway.join()
        flood.writer.write(bytes.fromhex("12 34 00 00 00 00 00 00") * 100_000)
        for _ in range(20):
            gateway.bus.hear(FRAME)
            await other.expect(TOLD)
            await other.ping()
        counters = counters_of(gateway)
        assert counters.throttled > 0 and counters.unknown < 10_000  # type: ignore[attr-defined]
        flood.writer.transport.abort()


async def test_silent_connections_do_not_keep_others_out() -> None:
    async with serving(pending=10) as gateway:
        assert gateway.server is not None
        silent = [await gateway.open() for _ in range(40)]
        await until(lambda: gateway.server.counters.accepted == 40)  # type: ignore[union-attr]
        assert gateway.server.counters.evicted == 30 and len(gateway.server._doors) <= 11
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


async def test_an_outbox_of_gone_clients_is_bounded() -> None:
    bus = FakeBus(held=True)
    async with serving(bus, drain_s=0.05) as gateway:
        assert gateway.server is not None
        for _ in range(80):
            raw = await gateway.join_when_free()
            await raw.send(MESSAGE * 40)
            await raw.ping()
            await raw.close()
        await until(lambda: not gateway.server.sessions)  # type: ignore[union-attr]
        assert len(gateway.server.dispatcher._orphans) <= 64
        taken = 80 * 40 - gateway.server.counters.outboxes_dropped
        held = gateway.server.dispatcher.orphaned  # of the others some are at the bus
        assert taken - gateway.server.dispatcher.at_bus <= held <= taken
        assert gateway.server.stats()["of_gone_clients"] == held
        assert gateway.server.counters.outboxes_dropped > 0
        assert bus.max_waiting <= 192
        bus.release()
        await until(lambda: bus.release() or not gateway.server.dispatcher._orphans, "empty")  # type: ignore[union-attr]


async def test_stats_are_plain_and_name_every_client() -> None:
    import json

    async with serving() as gateway:
        assert gateway.server is not None and gateway.bus is not None
        raw = await gateway.join()
        await gateway.reserve()
        await raw.send(MESSAGE)
        await raw.expect(MESSAGE)
        stats = json.loads(json.dumps(gateway.server.stats()))
        first, second = stats["clients"]
        assert (first["port"], first["state"], first["messages"], first["frames"]) == (
            gateway.port + 1, "connected", 1, 1,
        )  # fmt: skip
        assert second["state"] == "reserved"
        assert stats["results"] == {"sent": 1} and stats["counters"]["sessions"] == 1


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
