"""The yardstick: what comes out of a terminal goes to N sockets, unread and unchanged. argv: terminal, port, N, how.

how "plain": one blocking read, N writes; no program that writes the same bytes to the same sockets is cheaper. It can
do nothing else, though: a gateway also waits for its clients and for the time. "asyncio": the same in an event loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys


def accept(port: int, clients: int) -> list[socket.socket]:
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        print("ready", flush=True)
        sockets = [listener.accept()[0] for _ in range(clients)]
    for sock in sockets:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets


def plain(source: int, sockets: list[socket.socket]) -> None:
    while data := os.read(source, 4096):
        for sock in sockets:
            sock.sendall(data)


async def in_a_loop(source: int, sockets: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    transports = [(await loop.create_connection(asyncio.Protocol, sock=sock))[0] for sock in sockets]

    def read() -> None:
        data = os.read(source, 4096)
        for transport in transports:
            transport.write(data)

    os.set_blocking(source, False)
    loop.add_reader(source, read)
    await loop.create_future()


def main(terminal: str, port: str, clients: str, how: str) -> None:
    source = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    sockets = accept(int(port), int(clients))
    if how == "plain":
        plain(source, sockets)
    else:
        asyncio.run(in_a_loop(source, sockets))


if __name__ == "__main__":
    main(*sys.argv[1:])
