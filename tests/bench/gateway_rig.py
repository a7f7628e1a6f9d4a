"""A board on a pseudo terminal, the real daemon (or the yardstick) behind it, and N clients.

One thread and one selector, so that the same clock stamps a frame's way in and every copy's way out.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openkline.gateway.wire import HELLO, PING, encode_frame

from .decoder_load import BUS_BYTES_PER_S, frames

sys.path.insert(0, str(Path(__file__).parents[2]))  # pytest's importlib mode knows no package above this one
from tests.host.fake_device import FakeBoard
from tests.ports import free_port

FRAMES = frames(400)
PIPE = Path(__file__).with_name("gateway_pipe.py")
PATIENCE_S = 30.0


@dataclass
class Result:
    """delays_s: from the last byte written at the board to the last byte read at a client, each copy."""

    delays_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_kib: tuple[int, int] = (0, 0)  # before, after

    def add(self, other: Result) -> None:
        self.delays_s += other.delays_s
        self.cpu_s += other.cpu_s
        self.wall_s += other.wall_s
        self.memory_kib = (self.memory_kib[0] or other.memory_kib[0], other.memory_kib[1])

    def quantile_ms(self, q: float) -> float:
        ordered = sorted(self.delays_s)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)] * 1e3


class Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.due = 0  # bytes still to come
        self.pings = 0

    def read(self) -> bool:
        """True: everything that was due is here."""
        self.due -= len(self.sock.recv(65536))
        return self.due <= 0


class Rig:
    def __init__(self, master: int, process: subprocess.Popen[bytes], clients: list[Client], board: FakeBoard | None):
        self.master, self.process, self.clients, self.board = master, process, clients, board
        self.selector = selectors.DefaultSelector()
        self.selector.register(master, selectors.EVENT_READ)
        for client in clients:
            self.selector.register(client.sock, selectors.EVENT_READ, client)

    def handle_board(self) -> None:
        if self.board is not None:
            self.board.feed(os.read(self.master, 4096))
            self.flush()

    def flush(self) -> None:
        if self.board is not None and (out := self.board.pump()):
            os.write(self.master, out)

    def turn(self, timeout_s: float, on_copy: Callable[[], None] = lambda: None) -> None:
        """Once round whatever is readable."""
        for key, _ in self.selector.select(max(timeout_s, 0)):
            if key.data is None:
                self.handle_board()
            elif key.data.read():
                on_copy()

    def put(self, frame: bytes) -> None:
        message = encode_frame(frame)
        for client in self.clients:
            client.due += len(message)
        if self.board is None:
            os.write(self.master, message)
        else:
            assert self.board.send_frame(frame)
            self.flush()

    def paced(self, load: float = 1.0, count: int = len(FRAMES)) -> Result:
        """Frames at `load` times a full bus; each copy's delay."""
        result = Result(memory_kib=(self.memory_kib(), 0))
        cpu_s, begun = self.cpu_s(), time.perf_counter()
        due = begun
        for i in range(count):
            frame = FRAMES[i % len(FRAMES)]
            due += len(frame) / BUS_BYTES_PER_S / load
            while (left := due - time.perf_counter()) > 0:
                self.turn(left)
            self.put(frame)
            put_at, missing = time.perf_counter(), len(self.clients)

            def copied(put_at: float = put_at) -> None:
                nonlocal missing
                missing -= 1
                result.delays_s.append(time.perf_counter() - put_at)

            while missing and time.perf_counter() < put_at + PATIENCE_S:
                self.turn(1.0, copied)
            assert not missing, f"{missing} of {len(self.clients)} copies of frame {i} are lost"
        result.wall_s = time.perf_counter() - begun
        result.cpu_s = self.cpu_s() - cpu_s
        result.memory_kib = (result.memory_kib[0], self.memory_kib())
        return result

    def flat_out(self, count: int = 2000) -> Result:
        """As many as the link's window lets through."""
        result = Result()
        cpu_s, begun = self.cpu_s(), time.perf_counter()
        for i in range(count):
            message = len(encode_frame(FRAMES[i % len(FRAMES)]))
            for client in self.clients:
                client.due += message
            if self.board is None:
                os.write(self.master, encode_frame(FRAMES[i % len(FRAMES)]))
                self.turn(0)
            else:
                while not self.board.send_frame(FRAMES[i % len(FRAMES)]):
                    self.turn(1.0)
                self.flush()
        while any(client.due > 0 for client in self.clients):
            assert time.perf_counter() < begun + PATIENCE_S
            self.turn(1.0)
        result.wall_s = time.perf_counter() - begun
        result.cpu_s = self.cpu_s() - cpu_s
        return result

    def rest(self) -> None:
        """Now and then while nothing is measured here: the board answers, the clients stay."""
        self.turn(0)
        self.flush()
        self.ping_all()

    def ping_all(self) -> None:
        """Keeps the sessions; needed each 10 s."""
        if self.board is not None:
            for client in self.clients:
                client.due += len(PING)
                client.sock.sendall(PING)
            while any(client.due > 0 for client in self.clients):
                self.turn(1.0)

    def cpu_s(self) -> float:
        """On any core since its start, in nanoseconds' resolution."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def memory_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@contextlib.contextmanager
def rig(kind: str, n: int) -> Iterator[Rig]:
    """kind: "daemon", "plain" or "asyncio" (the yardsticks); n clients."""
    master, slave = os.openpty()
    tty.setraw(slave)
    terminal, port = os.ttyname(slave), free_port(n + 1)
    words = [sys.executable, str(PIPE), terminal, str(port), str(n), kind]
    if kind == "daemon":
        words = [sys.executable, "-m", "openkline", "bridge", "-d", terminal, "-p", str(port), "-c", str(n), "-l", "3"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    clients: list[Client] = []
    try:
        board = FakeBoard() if kind == "daemon" else None
        made = Rig(master, process, clients, board)
        for _ in range(n):
            where = _greet(made, port) if board is not None else port
            clients.append(Client(_connect(where)))
            made.selector.register(clients[-1].sock, selectors.EVENT_READ, clients[-1])
        _settle(made)
        yield made
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        for client in clients:
            client.sock.close()
        os.close(master)
        os.close(slave)


def _connect(port: int) -> socket.socket:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        except ConnectionRefusedError:
            assert time.monotonic() < end, "nobody listens"
            time.sleep(0.02)


def _greet(made: Rig, port: int) -> int:
    with _connect(port) as sock:
        sock.sendall(HELLO)
        answer = b""
        while len(answer) < 8:
            answer += sock.recv(8 - len(answer))
            made.turn(0)
    assert answer[:2] == b"ct", answer
    return int.from_bytes(answer[4:6], "little")


def _settle(made: Rig) -> None:
    """Until the daemon has its board, and one frame has reached everybody."""
    end = time.monotonic() + PATIENCE_S
    while made.board is not None and not made.board.link.known:
        assert time.monotonic() < end, "the daemon does not greet its board"
        made.turn(0.05)
    made.paced(load=10, count=20)
    made.ping_all()
