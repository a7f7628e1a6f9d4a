"""A FakeBoard that can be updated: the records' side of it. No slots: what it got is in `installed`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crccheck.crc import CrcModbus

from kline.protocol.link import records
from kline.protocol.update import codes

from .fake_device import FakeBoard

PASSWORD = 0x11223344


def crc_of(data: bytes) -> int:
    return int(CrcModbus.calc(data))


class FakeUpdates:
    """refuse: {record type: code} instead of obeying; deaf_to: types without an answer; safe: bytes between counts."""

    def __init__(self, board: FakeBoard) -> None:
        self.board = board
        self.refuse: dict[int, int] = {}
        self.refuse_bundle = 0
        self.deaf_to: set[int] = set()
        self.safe = 512
        self.heard: list[tuple[int, bytes]] = []
        self.installed: bytes | None = None
        self.version = (0, 0)
        self.wrong = 0
        self.wait_s = 0  # after a wrong password
        self.restarts: Callable[[], object] = lambda: None  # after SWITCHING
        self._data = bytearray()
        self._length = self._crc = 0
        self._state = codes.STATE_IDLE
        board.capabilities |= records.CAN_UPDATE
        board.on_other = self.record
        board.reboot()

    def kinds(self) -> list[int]:
        """Types of the records that came, without the data."""
        return [kind for kind, _ in self.heard if kind != codes.UPDATE_DATA]

    def record(self, kind: int, payload: bytes) -> None:
        self.heard.append((kind, payload))
        if kind in self.deaf_to:
            return
        if kind in self.refuse:
            self._state = codes.STATE_IDLE
            self._say(self.refuse[kind])
        elif kind == codes.UPDATE_OPEN:
            right = int.from_bytes(payload, "little") == PASSWORD
            self.wrong += not right
            self._state = codes.STATE_OPEN if right else codes.STATE_IDLE
            self._say(codes.OK if right else codes.ERROR_PASSWORD, wait_s=0 if right else self.wait_s)
        elif kind == codes.UPDATE_BEGIN:
            self._begin(payload)
        elif kind == codes.UPDATE_DATA and self._state == codes.STATE_WRITING:
            self._take(payload)
        elif kind == codes.UPDATE_ABORT:
            self._state = codes.STATE_IDLE
            self._say()

    def _begin(self, payload: bytes) -> None:
        if self._state != codes.STATE_OPEN:
            self._say(codes.ERROR_NOT_INITIALISED)
            return
        self._length, self._crc = int.from_bytes(payload[:4], "little"), int.from_bytes(payload[4:6], "little")
        self.version = (payload[6], payload[7])
        self._data = bytearray()
        self._state = codes.STATE_WRITING
        self._say()

    def _take(self, payload: bytes) -> None:
        before = len(self._data)
        assert int.from_bytes(payload[:4], "little") == before and 1 <= len(payload) - 4 <= codes.MAX_DATA
        self._data += payload[4:]
        count = len(self._data)
        if count < self._length:
            if count // self.safe != before // self.safe:
                self._say(count=count // self.safe * self.safe)
            return
        self._say(count=count)
        if crc_of(bytes(self._data)) != self._crc or self.refuse_bundle:
            self._state = codes.STATE_IDLE
            self._say(self.refuse_bundle or codes.ERROR_CRC)
            return
        for self._state in (codes.STATE_UNPACKING, codes.STATE_SWITCHING):
            self._say(count=count)
        self.installed = bytes(self._data)
        asyncio.get_running_loop().call_soon(self.restarts)

    def _say(self, code: int = 0, count: int = 0, wait_s: int = 0) -> None:
        out = bytearray(16)
        n = codes.pack_status(out, code, self._state, count, wait_s)
        self.board.send_record(codes.UPDATE_STATUS, bytes(out[:n]))
