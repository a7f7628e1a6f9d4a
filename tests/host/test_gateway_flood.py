"""A flood of connections keeps nobody out, and what was dropped stays counted when its client has gone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

from openkline.gateway.counters import ClientCounters

from .openbm.conftest import serving
from .openbm.raw import until


class Flood(threading.Thread):
    """Opens connections without a word, some 1,500 a second, and never holds more than 300."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.opened = 0
        self.over = threading.Event()

    def run(self) -> None:
        held: list[socket.socket] = []
        while not self.over.wait(0.0005):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            held.append(sock)
            self.opened += 1
            if len(held) > 300:
                held.pop(0).close()
        for sock in held:
            sock.close()


async def test_a_flood_of_connections_keeps_nobody_out() -> None:
    async with serving() as gateway:
        assert gateway.server is not None
        early = await gateway.join()
        flood = Flood(gateway.port)
        flood.start()
        slowest_s = 0.0
        try:
            await until(lambda: flood.opened > 1000)
            for _ in range(25):
                begun_s = time.monotonic()
                await early.ping()
                slowest_s = max(slowest_s, time.monotonic() - begun_s)
                late = await gateway.join_when_free()
                await late.close()
                await asyncio.sleep(0.01)
        finally:
            flood.over.set()
            await asyncio.to_thread(flood.join)
        counters = gateway.server.counters
        assert counters.refused_rate == counters.full == 0
        assert counters.evicted > 100
        assert slowest_s < 1.0  # some milliseconds, when nothing else runs
        await until(lambda: not gateway.server._connecting or len(gateway.server._connecting) <= 128)  # type: ignore[union-attr]


async def test_counters_of_clients_that_have_gone_are_kept() -> None:
    async with serving(deny=("3F ??",)) as gateway:
        assert gateway.server is not None and gateway.bus is not None
        for _ in range(3):
            raw = await gateway.join_when_free()
            await raw.send(bytes.fromhex("68 18 FF 00 64 00 00 00") + bytes(255))
            await raw.send(bytes.fromhex("3F D0 01 00 64 00 00 00 0C"))
            await raw.ping()
            await raw.close()
        await until(lambda: not gateway.server.sessions)  # type: ignore[union-attr]
        past = gateway.server.stats()["gateway"]["past_clients"]
        assert isinstance(past, dict)
        assert past == {**dict.fromkeys(past, 0), "messages": 6, "too_long": 3, "denied": 3, "pings": 6}


def test_counters_add_up() -> None:
    total, one = ClientCounters(messages=1), ClientCounters(messages=2, upload_bytes=3)
    total.add(one)
    assert total == ClientCounters(messages=3, upload_bytes=3)
