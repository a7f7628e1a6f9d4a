"""The TCP side under clients that do anything: nothing escapes, nothing leaks, and a healthy client misses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .openbm.conftest import serving
from .openbm.fakebus import FakeBus, with_checksum
from .openbm.raw import DISCONNECT, HELLO, PING, Gateway, Raw, until

HEALTHY_PATIENCE_S = 5.0

# Pieces of streams: whole messages, their beginnings, and garbage.
pieces = st.one_of(
    st.sampled_from([HELLO, PING, DISCONNECT, bytes.fromhex("66 67 00 00 00 00 00 00")]),
    st.sampled_from([bytes.fromhex("66 75 00 10 00 00 00 00"), bytes.fromhex("66 69 00 00 22 11 33 44"), PING[:5]]),
    st.builds(
        lambda n, data: bytes((0x68, 0x18, n, 0, 100, 0, 0, 0)) + data, st.integers(0, 255), st.binary(max_size=255)
    ),
    st.binary(max_size=300),
)

pytestmark = pytest.mark.fuzz


class Loop:
    """One event loop, run only while a step of the test runs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 30))


class GatewayMachine(RuleBasedStateMachine):
    """Clients come, send anything, stall, break off; between all that each frame reaches the healthy one, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Loop()
        self.bad: list[Raw] = []
        self.ended: list[Raw] = []
        self.frames = 0

    @initialize(clients=st.integers(2, 5))
    def start(self, clients: int) -> None:
        self.bus = FakeBus()
        self.serving = serving(self.bus, clients=clients, drain_s=0.05, pending=4)
        self.gateway: Gateway = self.run(self.serving.__aenter__())
        self.healthy: Raw = self.run(self.gateway.join())

    async def _join(self) -> None:
        answer = await self.gateway.greet()
        if answer != DISCONNECT:
            raw = await self.gateway.open(answer[4] | answer[5] << 8)
            self.bad.append(raw)

    @rule()
    def join(self) -> None:
        self.run(self._join())

    @rule()
    def only_reserve(self) -> None:
        self.run(self.gateway.greet())

    @rule(first=pieces)
    def knock(self, first: bytes) -> None:
        async def knock() -> None:
            raw = await self.gateway.open()
            self.bad.append(raw)
            raw.writer.write(first)

        self.run(knock())

    @precondition(lambda self: self.bad)
    @rule(i=st.integers(0, 100), data=st.lists(pieces, max_size=5))
    def send(self, i: int, data: list[bytes]) -> None:
        async def send() -> None:
            raw = self.bad[i % len(self.bad)]
            if raw not in self.ended:
                raw.writer.write(b"".join(data))
            await asyncio.sleep(0)

        self.run(send())

    @precondition(lambda self: self.bad)
    @rule(i=st.integers(0, 100), how=st.sampled_from(["close", "reset", "eof", "stall", "abort"]))
    def leave(self, i: int, how: str) -> None:
        async def leave() -> None:
            raw = self.bad[i % len(self.bad)]
            transport = raw.writer.transport
            if transport.is_closing() or raw in self.ended:
                return
            if how == "close":
                await raw.close()
            elif how == "reset":
                await raw.reset()
            elif how == "eof":
                self.ended.append(raw)
                with contextlib.suppress(OSError):
                    transport.write_eof()
            elif how == "stall":
                transport.pause_reading()  # type: ignore[attr-defined]
            else:
                transport.abort()

        self.run(leave())

    @rule(n=st.integers(1, 50))
    def hear(self, n: int) -> None:
        async def hear() -> None:
            for _ in range(n):
                self.frames += 1
                self.bus.hear(with_checksum(b"\x80\x05\xbf" + (0xE000 + self.frames).to_bytes(2, "big")))

        self.run(hear())

    @rule(held=st.booleans())
    def hold(self, held: bool) -> None:
        async def hold() -> None:
            self.bus.held = held
            if not held:
                self.bus.release()

        self.run(hold())

    @invariant()
    def healthy_is_served(self) -> None:
        if not hasattr(self, "healthy"):
            return

        async def served() -> None:
            """Its ping comes back; before it every frame that was on the bus, the bad clients' messages among them."""
            await self.healthy.send(PING)
            seen = getattr(self, "seen", 0)
            while True:
                header = await self.healthy.read(8)
                if header == PING:
                    break
                assert header[3:] == b"\0\x64\0\0\0"
                data = await self.healthy.read(header[2])
                if header[:3] == b"\x80\xbf\x02" and data[0] >= 0xE0:
                    seen += 1
                    assert int.from_bytes(data, "big") == 0xE000 + seen
            assert seen == self.frames
            self.seen = seen

        self.run(asyncio.wait_for(served(), HEALTHY_PATIENCE_S))

    def teardown(self) -> None:
        async def end() -> None:
            self.bus.held = False
            self.bus.release()
            for raw in self.bad:
                raw.writer.transport.abort()
            await self.serving.__aexit__(None, None, None)

        if hasattr(self, "gateway"):
            self.run(end())
        self.run.loop.run_until_complete(self.run.loop.shutdown_asyncgens())
        self.run.loop.close()


TestGatewayMachine = GatewayMachine.TestCase
TestGatewayMachine.settings = settings(max_examples=100, stateful_step_count=30)


@settings(max_examples=200)
@given(chunks=st.lists(pieces, max_size=8), main=st.booleans())
def test_any_stream_and_the_next_client_is_served(chunks: list[bytes], main: bool) -> None:
    async def run() -> None:
        async with serving(clients=2, drain_s=0.05) as gateway:
            raw = await gateway.open() if main else await gateway.join()
            for chunk in chunks:
                raw.writer.write(chunk)
                await asyncio.sleep(0)
            raw.writer.transport.abort()
            await (await gateway.join_when_free()).ping()

    asyncio.run(run())


async def misbehave(gateway: Gateway, seed: int, stop: asyncio.Event) -> None:
    """One bad client after the other: dying, stalling, flooding, garbage."""
    rng = random.Random(seed)
    while not stop.is_set():
        answer = await gateway.greet()
        if answer == DISCONNECT:
            await asyncio.sleep(0.01)
            continue
        raw = await gateway.open(answer[4] | answer[5] << 8)
        transport = raw.writer.transport
        kind = rng.choice(["garbage", "flood", "stall", "half", "die"])
        if kind == "garbage":
            transport.write(rng.randbytes(3000))
        elif kind == "flood":
            transport.write(bytes.fromhex("68 18 01 00 64 00 00 00 01") * 2000)
        elif kind == "stall":
            transport.pause_reading()  # type: ignore[attr-defined]
        elif kind == "half":
            transport.write(PING[: rng.randrange(8)])
        await asyncio.sleep(rng.uniform(0, 0.1))
        if kind == "die":
            await raw.reset()
        else:
            transport.abort()


OURS = b"\x5a\xa5\x0f"  # how the frames begin that are counted


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


async def soak(seconds: float, clients: int = 64, healthy: int = 32) -> None:
    """Healthy clients among bad ones, a frame each millisecond: nothing lost, nothing leaked."""
    gc.collect()
    files, stop, loop = open_files(), asyncio.Event(), asyncio.get_running_loop()
    async with serving(clients=clients, write_buffer=8192, rate_per_s=5, burst=10, drain_s=0.5) as gateway:
        assert gateway.bus is not None and gateway.server is not None
        raws = [await gateway.join() for _ in range(healthy)]
        bad = [asyncio.create_task(misbehave(gateway, seed, stop)) for seed in range(clients - healthy)]
        received = [0] * healthy

        async def read(i: int) -> None:
            while True:
                header = await raws[i].reader.readexactly(8)
                if header == PING:
                    continue
                data = await raws[i].reader.readexactly(header[2])
                if header[:2] == b"\x80\xbf" and data.startswith(OURS):  # garbage may be a message from 80 to BF, too
                    received[i] += 1
                    assert int.from_bytes(data[len(OURS) :], "big") == received[i]

        readers = [asyncio.create_task(read(i)) for i in range(healthy)]
        sent, end_s, ping_s = 0, loop.time() + seconds, loop.time()
        while loop.time() < end_s:
            sent += 1
            gateway.bus.hear(with_checksum(b"\x80\x0a\xbf" + OURS + sent.to_bytes(4, "big")))
            if loop.time() >= ping_s:
                ping_s += 1.0
                for raw in raws:
                    raw.writer.write(PING)
            await asyncio.sleep(0.001)
        stop.set()
        everything = asyncio.create_task(until(lambda: all(n == sent for n in received), "every frame everywhere"))
        done, _ = await asyncio.wait((everything, *readers), return_when=asyncio.FIRST_COMPLETED)
        assert done.pop().exception() is None
        await everything
        await asyncio.wait_for(asyncio.gather(*bad), 10)
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert gateway.server.counters.sessions > healthy + 50
    await asyncio.sleep(0.05)
    gc.collect()
    assert open_files() <= files + 1


async def test_soak_short() -> None:
    await soak(3.0)


@pytest.mark.soak
async def test_soak_long() -> None:
    await soak(120.0)
