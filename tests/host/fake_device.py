"""A board without a bus, for faults: the device's side of the link over a socket pair, in the test's own event loop.

port = FakePort(); device = Device(port, FAST); port.board.send_frame(..); port.unplug(); port.board.reboot()
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable

from kline.protocol.checksum import xor8
from kline.protocol.link import records, unpack
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.ticks import TICKS_MASK
from openkline.bus import TransmitResult
from openkline.device.device import Device
from openkline.device.port import ProtocolFactory
from openkline.device.state import DeviceSettings, State
from openkline.errors import DeviceError, DeviceMissing

Fault = Callable[[bytes], bytes]

FAST = DeviceSettings(backoff_min_s=0.01, backoff_max_s=0.05, resume_s=5.0, silence_s=2.0, patience_s=5.0)
BODY = bytes.fromhex("68 03 18 01")


def no_fault(data: bytes) -> bytes:
    return data


class Noisy:
    """Drops, flips or doubles a byte, with probability `rate` each byte, until `bytes_left` have passed."""

    def __init__(self, rate: float, seed: int, bytes_left: int = 1 << 30) -> None:
        self.rate = rate
        self.bytes_left = bytes_left
        self.faults = 0
        self._random = random.Random(seed)

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            self.bytes_left -= 1
            if self.bytes_left < 0 or self._random.random() >= self.rate:
                out.append(byte)
                continue
            self.faults += 1
            fault = self._random.randrange(3)
            if fault == 1:
                out.append(byte ^ 1 << self._random.randrange(8))
            elif fault == 2:
                out += bytes((byte, byte))
        return bytes(out)


class FakeBoard:
    """The firmware's manners on the link. on_transmit decides what becomes of a message: see answer()."""

    def __init__(
        self,
        micropython: tuple[int, int, int] = (1, 28, 0),
        firmware: tuple[int, int, int] = (0, 1, 0),
        protocol: int = records.PROTOCOL,
        max_frame: int = 64,
        start_ticks: int = (1 << 30) - 2_000_000,
    ) -> None:
        self.micropython = micropython
        self.firmware = firmware
        self.protocol = protocol
        self.max_frame = max_frame
        self.transmits: list[unpack.Transmit] = []
        self.configured: list[tuple[int, int]] = []
        self.on_transmit: Callable[[unpack.Transmit], None] = self.succeed
        self.capabilities = records.CAN_IBUS
        self.on_other: Callable[[int, bytes], None] = lambda kind, payload: None  # records of OBD, update, probe
        self.refuses: dict[int, int] = {}  # settings that it won't change: key -> what it keeps
        self.mute = False
        self.boots = 0
        self.text = b""
        self._start_ticks = start_ticks
        self._out = bytearray(320)
        self.reboot()

    def reboot(self) -> None:
        """All state is gone, time starts anew; WELCOME goes out by itself."""
        self.boots += 1
        self._zero_s = time.monotonic()
        self.link = DeviceLink()
        identity = records.pack_welcome(
            1000 + self.boots, self.max_frame, self.capabilities, self.firmware, self.micropython, "FAKE", b"\x01\x02"
        )
        identity[0] = self.protocol
        self.link.identity = identity
        self.link.on_record = self._on_record

    def ticks(self) -> int:
        return (self._start_ticks + int((time.monotonic() - self._zero_s) * 1e6)) & TICKS_MASK

    def feed(self, data: bytes) -> None:
        self.link.feed(data, len(data), self.ticks())

    def pump(self) -> bytes:
        out = bytearray(self.text)
        self.text = b""
        if not self.mute:
            self.link.pump(self.ticks(), lambda buf, n: out.extend(buf[:n]), 4096)
        return bytes(out)

    def send_frame(self, frame: bytes, own: bool = False, ticks: int | None = None) -> bool:
        at = self.ticks() if ticks is None else ticks
        n = records.pack_frame(self._out, at, int(own), frame, len(frame))
        return self.link.queue(records.FRAME, 0, self._out, n)

    def send_event(self, code: int) -> None:
        self.link.queue(records.EVENT, 0, self._out, records.pack_event(self._out, code, self.ticks()))

    def send_record(self, kind: int, payload: bytes) -> None:
        self.link.queue(kind, 0, payload, len(payload))

    def answer(self, ident: int, code: int, detail: int = 0, tries: int = 1) -> None:
        n = records.pack_result(self._out, ident, code, detail, tries, 1500, self.ticks())
        self.link.queue(records.RESULT, 0, self._out, n)

    def succeed(self, message: unpack.Transmit) -> None:
        self.send_frame(message.body + bytes((xor8(message.body, 0, len(message.body)),)), own=True)
        self.answer(message.ident, records.RESULT_SENT)

    def hold(self, message: unpack.Transmit) -> None:
        """An on_transmit that leaves the message without a result."""

    def bodies(self) -> list[bytes]:
        return [message.body for message in self.transmits]

    def _on_record(self, kind: int, channel: int, buf: bytearray, start: int, end: int) -> None:
        if kind == records.TRANSMIT:
            message = unpack.unpack_transmit(buf, start, end)
            self.transmits.append(message)
            self.on_transmit(message)
        elif kind == records.CONFIGURE:
            key, value = unpack.unpack_configure(buf, start, end)
            self.configured.append((key, value))
            ok = key not in self.refuses
            self.send_record(records.CONFIGURED, bytes((key, ok)) + self.refuses.get(key, value).to_bytes(4, "little"))
        elif records.OBD_FIRST <= kind <= records.PROBE_LAST:
            self.on_other(kind, bytes(buf[start:end]))


class _BoardEnd(asyncio.Protocol):
    def __init__(self, port: FakePort) -> None:
        self._port = port

    def data_received(self, data: bytes) -> None:
        self._port.arrived(data)


class FakePort:
    """A Port (see serial_io) with a FakeBoard at its other end."""

    name = "fake"

    def __init__(self, board: FakeBoard | None = None) -> None:
        self.board = board or FakeBoard()
        self.to_board: Fault = no_fault
        self.to_host: Fault = no_fault
        self.plugged = True
        self.opened = 0
        self.error: DeviceError | None = None
        self._far: asyncio.WriteTransport | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        if self.error is not None:
            raise self.error
        if not self.plugged:
            raise DeviceMissing("fake: there is no such port")
        self.opened += 1
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        transport, _ = await loop.create_connection(factory, sock=near)
        self._far, _ = await loop.create_connection(lambda: _BoardEnd(self), sock=far)
        if self._task is None:
            self._task = asyncio.create_task(self._pump())
        return transport

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._far is not None:
            self._far.abort()

    def unplug(self) -> None:
        self.plugged = False
        self.hang_up()

    def hang_up(self) -> None:
        if self._far is not None:
            self._far.abort()
            self._far = None

    def arrived(self, data: bytes) -> None:
        if not self.board.mute:
            self.board.feed(self.to_board(data))
        self.flush()

    def flush(self) -> None:
        data = self.board.pump()
        if data and self._far is not None:
            self._far.write(self.to_host(data))

    async def _pump(self) -> None:
        while True:
            self.flush()
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(port: FakePort, settings: DeviceSettings = FAST) -> AsyncIterator[Device]:
    """A Device on this port, READY; stopped in the end."""
    device = Device(port, settings)
    await device.start()
    try:
        await device.wait_for(State.READY, timeout_s=10)
        yield device
    finally:
        await device.stop()


async def result_of(future: asyncio.Future[TransmitResult]) -> TransmitResult:
    return await asyncio.wait_for(future, 10)


async def until(condition: Callable[[], object], what: str = "", timeout_s: float = 10.0) -> None:
    """Wait until condition() is true; AssertionError with `what` when it does not become so."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, what or "the condition did not come true"
        await asyncio.sleep(0.005)


def frames(count: int, start: int = 0) -> list[bytes]:
    """Different valid frames."""
    out = []
    for n in range(start, start + count):
        body = bytes((0x68, 5, 0x18, n >> 8 & 0xFF, n & 0xFF, 0x55))
        out.append(body + bytes((xor8(body, 0, len(body)),)))
    return out


def joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)
