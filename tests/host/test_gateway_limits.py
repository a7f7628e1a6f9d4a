"""What one client may not do to the others."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from openkline.gateway import main_port
from openkline.gateway import session as session_module
from openkline.gateway.session import SessionState

from .openbm.conftest import serving
from .openbm.fakebus import FakeBus
from .openbm.raw import FRAME, HELLO, MESSAGE, PING, TOLD, counters_of, port_of, until


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


async def test_a_ping_that_waits_unread_is_read_before_its_client_is_given_up() -> None:
    """After SIGSTOP and SIGCONT the timer may be looked at before the sockets are."""
    async with serving(alive_timeout_s=30) as gateway:
        assert gateway.server is not None
        with socket.create_connection(("127.0.0.1", await gateway.reserve())) as sock:
            await until(lambda: gateway.server.sessions[gateway.port + 1].transport)  # type: ignore[union-attr]
            session = gateway.server.sessions[gateway.port + 1]
            sock.sendall(PING)
            session._deadline_s = 0.0
            session._alive_timer.cancel()
            session._check_alive()
            await until(lambda: session.counters.pings == 1, "the Ping is read")
            assert gateway.server.counters.timeouts == 0 and session._deadline_s > 0
            session._deadline_s = 0.0
            session._alive_timer.cancel()
            session._check_alive()
            await until(lambda: gateway.server.counters.timeouts == 1, "without a Ping it is given up")  # type: ignore[union-attr]


async def test_after_its_answer_the_main_port_does_not_wait_for_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has its port, and leaves the first connection open."""
    monkeypatch.setattr(main_port, "_LINGER_S", 0.05)
    async with serving() as gateway:
        assert gateway.server is not None
        raw = await gateway.open()
        await raw.send(HELLO)
        port = port_of(await raw.read(8))
        await raw.expect_end()
        await until(lambda: not gateway.server._connecting, "the first connection is gone")  # type: ignore[union-attr]
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
        assert gateway.server.stats()["gateway"]["of_gone_clients"] == held
        assert gateway.server.counters.outboxes_dropped > 0
        assert bus.max_waiting <= 192
        bus.release()
        await until(lambda: bus.release() or not gateway.server.dispatcher._orphans, "empty")  # type: ignore[union-attr]


async def test_queues_of_gone_clients_can_be_emptied_and_others_stay() -> None:
    bus = FakeBus(held=True)
    async with serving(bus, drain_s=0.05) as gateway:
        assert gateway.server is not None
        gone, stays = await gateway.join(), await gateway.join()
        for raw in (gone, stays):
            await raw.send(MESSAGE * 400)
            await raw.ping()
        await gone.close()
        await until(lambda: len(gateway.server.sessions) == 1)  # type: ignore[union-attr]
        waiting, at_bus = gateway.server.dispatcher.orphaned, gateway.server.dispatcher.at_bus
        assert waiting > at_bus > 0
        gateway.server.empty_queues()
        left = gateway.server.dispatcher.orphaned
        assert left <= at_bus and gateway.server.counters.outboxes_dropped == waiting - left
        (session,) = gateway.server.sessions.values()
        assert len(session.outbox) == 400
        await until(lambda: bus.release() or not gateway.server.dispatcher._orphans, "empty")  # type: ignore[union-attr]


async def test_stats_are_plain_and_name_every_client() -> None:
    import json

    async with serving() as gateway:
        assert gateway.server is not None and gateway.bus is not None
        raw = await gateway.join()
        await gateway.reserve()
        await raw.send(MESSAGE)
        await raw.expect(MESSAGE)
        stats = json.loads(json.dumps(gateway.server.stats()["gateway"]))
        first, second = stats["clients"]
        assert (first["port"], first["state"], first["messages"], first["frames"]) == (
            gateway.port + 1, "connected", 1, 1,
        )  # fmt: skip
        assert second["state"] == "reserved"
        assert stats["results"] == {"sent": 1} and stats["counters"]["sessions"] == 1
