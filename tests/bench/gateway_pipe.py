"""The yardstick: what comes out of a terminal goes to N sockets, unread and unchanged. argv: terminal, port, N."""

from __future__ import annotations

import os
import socket
import sys


def main(terminal: str, port: str, clients: str) -> None:
    source = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    with socket.create_server(("127.0.0.1", int(port)), backlog=64) as listener:
        print("ready", flush=True)
        sockets = [listener.accept()[0] for _ in range(int(clients))]
    for sock in sockets:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := os.read(source, 4096):
        for sock in sockets:
            sock.sendall(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
