"""The gateway alone: processor time of one frame to N clients, beside plain sockets that are sent the same bytes.

No daemon, no link: what is left is the gateway's own share. (test_gateway.py measures the whole daemon.)
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path

import pytest

from openkline.gateway.wire import encode_frame

sys.path.insert(0, str(Path(__file__).parents[2]))  # pytest's importlib mode knows no package above this one
from tests.host.openbm.conftest import serving

FRAME = bytes.fromhex("80 09 BF 13 02 10 00 00 00 00 37")
MESSAGE = encode_frame(FRAME)
BATCH, ROUNDS = 50, 40


def drain(socks: list[socket.socket], n: int) -> None:
    for sock in socks:
        left = n
        while left:
            left -= len(sock.recv(left))


def plain(clients: int) -> float:
    """Seconds of processor time a frame."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        readers = [socket.create_connection(listener.getsockname()) for _ in range(clients)]
        writers = [listener.accept()[0] for _ in range(clients)]
    used_s = 0.0
    for sock in writers:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(ROUNDS):
        start_s = time.process_time()
        for _ in range(BATCH):
            for sock in writers:
                sock.send(MESSAGE)
        used_s += time.process_time() - start_s
        drain(readers, BATCH * len(MESSAGE))
    for sock in readers + writers:
        sock.close()
    return used_s / ROUNDS / BATCH


async def gateway(clients: int) -> float:
    used_s = 0.0
    async with serving(clients=clients) as made:
        assert made.bus is not None
        socks = []
        for _ in range(clients):
            port = await made.reserve()
            sock = socket.socket()
            await asyncio.get_running_loop().run_in_executor(None, sock.connect, ("127.0.0.1", port))
            socks.append(sock)
        while made.server is not None and made.server.counters.sessions < clients:
            await asyncio.sleep(0.001)
        for _ in range(ROUNDS):
            start_s = time.process_time()
            for _ in range(BATCH):
                made.bus.hear(FRAME)
            used_s += time.process_time() - start_s
            drain(socks, BATCH * len(MESSAGE))
        for sock in socks:
            sock.close()
    return used_s / ROUNDS / BATCH


@pytest.mark.parametrize("clients", [1, 8, 64])
async def test_processor_time_of_a_frame(clients: int) -> None:
    ours_s, plain_s = await gateway(clients), plain(clients)
    print(
        f"{clients:2} clients: gateway {ours_s * 1e6:.1f} us a frame, plain sockets {plain_s * 1e6:.1f} us: "
        f"{ours_s / plain_s:.2f} times"
    )
    if clients >= 8:
        assert ours_s < 2 * plain_s
