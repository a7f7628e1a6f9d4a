"""Single ends of a link, each with its clock, for tests that say and hear record by record.

What is on the stream is read with the package cobs, not with the link's own decoder.
"""

from __future__ import annotations

from cobs import cobs

from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.framing import encode_record
from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import OPEN, Link
from kline.protocol.ticks import TICKS_MASK

SESSION = 0x11223344


class End:
    """One end with its clock; `pump()` returns what it says as (type, seq, ack, payload)."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.now_us = 1_000_000
        self.stream = b""
        self.got: list[tuple[int, bytes]] = []
        self.states: list[int] = []
        self.link.on_record = lambda kind, channel, buf, a, b: self.got.append((kind, bytes(buf[a:b])))
        self.link.on_state = self.states.append

    def pump(self, after_us: int = 0, limit: int = 10_000) -> list[tuple[int, int, int, bytes]]:
        self.now_us += after_us
        parts: list[bytes] = []
        n = self.link.pump(self.now_us & TICKS_MASK, lambda buf, n: parts.append(bytes(buf[:n])), limit)
        self.stream = b"".join(parts)
        assert n == len(self.stream)
        raw = [cobs.decode(part) for part in self.stream.split(b"\0") if part]
        return [(r[0], r[2], r[3], r[4:-2]) for r in raw]

    def hear(self, kind: int, seq: int = 0, ack: int = 0, payload: bytes = b"") -> None:
        out = bytearray(400)
        n = encode_record(out, kind, 0, seq, ack, payload, 0, len(payload))
        self.feed(bytes(out[:n]))

    def feed(self, data: bytes) -> None:
        self.link.feed(data, len(data), self.now_us & TICKS_MASK)

    def queue(self, *payloads: bytes) -> None:
        for payload in payloads:
            assert self.link.queue(records.FRAME, 0, payload, len(payload))


class DeviceEnd(End):
    link: DeviceLink

    def __init__(self, **options: int) -> None:
        super().__init__(DeviceLink(**options))

    @property
    def session(self) -> int:
        return records.get_u32(self.link._session, 0)


class HostEnd(End):
    link: HostLink

    def __init__(self, **options: int) -> None:
        super().__init__(HostLink(**options))

    @property
    def session(self) -> int:
        return self.link.handshake.number()


def hello(session: int = SESSION, window: int = 2048, attempt: int = 1, proto: int = 1) -> bytes:
    return bytes([proto]) + session.to_bytes(4, "little") + window.to_bytes(2, "little") + bytes([attempt])


def open_device(window: int = 2048, **options: int) -> DeviceEnd:
    end = DeviceEnd(**options)
    end.hear(records.HELLO, payload=hello(window=window))
    end.pump()
    end.hear(records.HEARTBEAT, payload=b"\x05")
    return end


def open_pair(**options: int) -> tuple[DeviceEnd, HostEnd]:
    device, pc = DeviceEnd(**options), HostEnd(**options)
    pc.link.open(SESSION)
    talk(device, pc, 3)
    assert device.link.state == pc.link.state == OPEN
    return device, pc


def talk(device: DeviceEnd, pc: HostEnd, turns: int = 1, after_us: int = 10_000) -> None:
    for _ in range(turns):
        pc.pump(after_us)
        device.feed(pc.stream)
        device.pump(after_us)
        pc.feed(device.stream)


def sequenced(said: list[tuple[int, int, int, bytes]]) -> list[int]:
    return [seq for kind, seq, _, _ in said if kind > records.LAST_UNSEQUENCED]
