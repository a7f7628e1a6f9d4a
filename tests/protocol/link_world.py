"""Two Links and the wires between them on simulated time: every fault of a USB serial line can be had."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.framing import RAW_AT
from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import OPEN, Link
from kline.protocol.ticks import TICKS_PERIOD

STEP_US = 10_000
TEXTS = (
    b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
    b'Traceback (most recent call last):\r\n  File "app.py", line 1, in turn\r\nOSError: 5\r\n',
    b"MPY: soft reboot\r\n",
    b"\x00",
    b"\xff\x80\xfe\x00",
)


class Wire:
    """One direction: what is written arrives in order, after `delay` steps, damaged at the given rates."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.rates: dict[str, float] = {}  # per write: drop, flip, double, text, truncate
        self.delay = 1
        self.cut = False
        self.steps = 0
        self.bytes_written = 0
        self._queue: list[tuple[int, bytes]] = []
        self.sent: set[bytes] = set()  # every raw record that was ever written

    def write(self, buf: bytearray, n: int) -> None:
        self.bytes_written += n
        data = bytearray(buf[:n])
        for fault in ("drop", "flip", "double", "text", "truncate"):
            if self.rng.random() < self.rates.get(fault, 0.0):
                data = self._spoil(data, fault)
        if not self.cut:
            self._queue.append((self.steps + self.delay, bytes(data)))

    def _spoil(self, data: bytearray, fault: str) -> bytearray:
        at = self.rng.randrange(len(data)) if data else 0
        if fault == "drop":
            return bytearray()
        if fault == "double":
            return data + data
        if fault == "text":
            return data[:at] + self.rng.choice(TEXTS) + data[at:]
        if fault == "truncate":
            return data[:at]
        if data:
            data[at] ^= 1 << self.rng.randrange(8)
        return data

    def lose(self) -> None:
        """What is on its way is gone."""
        self._queue.clear()

    def arrived(self) -> bytes:
        self.steps += 1
        data = b""
        while self._queue and self._queue[0][0] <= self.steps:
            data += self._queue.pop(0)[1]
        return data


class Peer:
    """One end with what it was given and what it has delivered. Records carry their number as payload."""

    def __init__(self, link: Link, out: Wire, into: Wire) -> None:
        self.link = link
        self.out = out
        self.greetings: list[int] = []
        self.delivered: list[int] = []
        link.on_record = self._on_record
        self._only_real_records(into)

    def _only_real_records(self, into: Wire) -> None:
        """Give the link an ideal CRC: one damaged record in 65536 would pass 16 bits, too often for a test."""
        deframer = self.link.deframer
        handle = deframer.on_frame
        assert handle is not None

        def on_frame(buf: bytearray, start: int, end: int) -> None:
            if bytes(buf[start:end]) in into.sent:
                handle(buf, start, end)

        deframer.on_frame = on_frame

    def _on_record(self, kind: int, channel: int, buf: bytearray, start: int, end: int) -> None:
        if kind > records.LAST_UNSEQUENCED:
            assert channel == 0
            self.delivered.append(records.get_u32(buf, start))
            assert bytes(buf[start + 4 : end]) == filler(self.delivered[-1])
        elif kind in (records.HELLO, records.WELCOME):
            self.greetings.append(kind)

    def write(self, buf: bytearray, n: int) -> None:
        self.out.sent.add(raw_record(buf, n))
        self.out.write(buf, n)


def raw_record(buf: bytearray, n: int) -> bytes:
    """The record in its encoded form out[0:n]: without delimiters, COBS and CRC."""
    assert buf[0] == buf[n - 1] == 0
    raw = bytearray()
    i = 1
    while i < n - 1:
        code = buf[i]
        raw += buf[i + 1 : i + code]
        i += code
        if code < 255 and i < n - 1:
            raw.append(0)
    return bytes(raw[:-2])


def filler(number: int) -> bytes:
    """Payloads of all sizes, now and then the longest."""
    return bytes(258) if number % 97 == 96 else bytes([number & 0xFF]) * (number * 7 % 40)


class DevicePeer(Peer):
    link: DeviceLink


class HostPeer(Peer):
    link: HostLink


class World:
    def __init__(self, seed: int = 1, start_us: int = TICKS_PERIOD - 3_000_000, ring_size: int = 1024) -> None:
        self.rng = random.Random(seed)
        self.now_us = start_us
        self.ring_size = ring_size
        self.up = Wire(self.rng)  # device -> PC
        self.down = Wire(self.rng)
        self.accepted: dict[str, list[int]] = {"device": [], "pc": []}
        self.delivered: dict[str, list[int]] = {"device": [], "pc": []}  # by whom they were sent
        self.excused: dict[str, int] = {"device": 0, "pc": 0}  # given up by links that are gone
        self.numbers = 0
        self.boots = 0
        self.device = self._new_device()
        self.pc = self._new_pc()
        self.reopen(resume=False)

    def _new_device(self) -> DevicePeer:
        self.boots += 1
        device = DevicePeer(DeviceLink(ring_size=self.ring_size), self.up, self.down)
        device.link.identity = records.pack_welcome(self.boots, 64, 1, (0, 1, 0), (1, 27, 0), "SIM", b"\x01\x02")
        device.delivered = self.delivered["pc"]
        return device

    def _new_pc(self) -> HostPeer:
        pc = HostPeer(HostLink(ring_size=self.ring_size), self.down, self.up)
        pc.delivered = self.delivered["device"]
        return pc

    # -- events ----------------------------------------------------------------------------------------------------

    def queue(self, who: str) -> bool:
        number = self.numbers
        self.numbers += 1
        payload = number.to_bytes(4, "little") + filler(number)
        kind = records.FRAME if who == "device" else records.TRANSMIT
        if self.peer(who).link.queue(kind, 0, payload, len(payload)):
            self.accepted[who].append(number)
            return True
        return False

    def peer(self, who: str) -> Peer:
        return self.device if who == "device" else self.pc

    def reset_device(self) -> None:
        self.excused["device"] += self.device.link.outbox.ring.count + self.device.link.abandoned
        self.up.write(bytearray(TEXTS[0]), len(TEXTS[0]))
        self.down.lose()
        self.device = self._new_device()

    def restart_pc(self, same_number: bool) -> None:
        """Another process on the same port; by accident it may take the same session number.

        A device that has not heard the first one beyond HELLO can't tell them apart: the second gets from the beginning
        what the first was given.
        """
        number = self.pc.link.handshake.number()
        if same_number and self._unheard() and self.pc.link._rx_seq:
            del self.delivered["device"][-self.pc.link._rx_seq :]
        self.excused["pc"] += self.pc.link.outbox.ring.count + self.pc.link.abandoned
        self.pc = self._new_pc()
        self.pc.link.open(number if same_number else self.rng.getrandbits(32))

    def _unheard(self) -> bool:
        """Whether both are in one session, of which the device knows no more than the HELLO."""
        device, pc = self.device.link, self.pc.link
        same_start = pc.handshake._boot_id == device.identity[records.WELCOME_BOOT_ID :][:4]
        same_session = records.get_u32(device._session, 0) == pc.handshake.number()
        return pc.known and device._fresh and same_start and same_session

    def reopen(self, resume: bool) -> None:
        self.pc.link.open(self.pc.link.handshake.number() if resume else self.rng.getrandbits(32))

    def run(self, us: int, until: Callable[[], bool] | None = None) -> bool:
        for _ in range(us // STEP_US):
            if until is not None and until():
                return True
            self.now_us += STEP_US
            ticks = self.now_us % TICKS_PERIOD
            for peer, into, limit in ((self.device, self.up, 115), (self.pc, self.down, 4096)):
                peer.link.pump(ticks, peer.write, limit)
                self.check_bounds(peer.link)
                del into
            for peer, wire in ((self.device, self.down), (self.pc, self.up)):
                data = wire.arrived()
                while data:  # in pieces of any size, as a serial port gives them
                    n = self.rng.randint(1, len(data))
                    peer.link.feed(data[:n], n, ticks)
                    data = data[n:]
        return until is not None and until()

    # -- what always holds -----------------------------------------------------------------------------------------

    def check_bounds(self, link: Link) -> None:
        box = link.outbox
        assert box.ring.used <= box.ring.size == self.ring_size
        assert len(link.deframer._buf) == 320
        assert len(link._speaker.out) == RAW_AT + 4 + 272 + 3
        assert box.outstanding <= 100
        assert box.outstanding <= 1 or box.outstanding_bytes <= box.window
        if isinstance(link, HostLink):
            assert box.outstanding <= 1 or box.outstanding_bytes <= 192

    def check_order(self) -> None:
        for who in ("device", "pc"):
            got = self.delivered[who]
            assert all(a < b for a, b in pairwise(got)), "twice, or out of order"
            assert set(got) <= set(self.accepted[who])

    def settled(self) -> bool:
        return not self.device.link.outbox.ring.count and not self.pc.link.outbox.ring.count and self.both_open()

    def both_open(self) -> bool:
        number = records.get_u32(self.device.link._session, 0)
        return self.device.link.state == self.pc.link.state == OPEN and number == self.pc.link.handshake.number()

    def heal(self) -> None:
        """Without faults everything that is still queued arrives, soon; what never arrives was counted."""
        for wire in (self.up, self.down):
            wire.rates = {}
            wire.delay = 1
            wire.cut = False
        if self.pc.link.state == 0:
            self.reopen(resume=True)
        assert self.run(20_000_000, self.settled), "does not come to rest"
        self.check_order()
        for who in ("device", "pc"):
            missing = len(self.accepted[who]) - len(self.delivered[who])
            excused = self.excused[who] + self.peer(who).link.abandoned
            assert missing <= excused, (who, missing, excused)
