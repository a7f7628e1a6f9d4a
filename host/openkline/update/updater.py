"""An update's way from the PC to the board: password, bundle, and the board's word that it switches to the new version.

    IDLE -open-> OPEN -write-> WRITING -> UNPACKING -> SWITCHING -> IDLE, when the board has said WELCOME again
      ^            |              |           |
      '------------'--------------'-----------'       abort(), a refusal, a board that has gone

Records and the board's codes: kline.protocol.update.codes. Frames and messages share the line meanwhile: only one piece
of the bundle at a time waits on the PC for its turn, so a message for the bus has at most three of them before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass

from kline.protocol.link import records, unpack
from kline.protocol.update import codes
from openkline.device.calls import Call, Calls, Failure
from openkline.device.device import Device
from openkline.device.state import State
from openkline.device.welcome import BoardInfo
from openkline.update.errors import ERROR_BOARD_LOST, ERROR_BOARD_SILENT, ERROR_NO_BOARD, Progress, UpdateError

# The gateway's clients wait 3 s for the answer to the password. The board loads its updater before it: 0.5 s, modelled.
_OPEN_S = 2.8
# The board empties the other slot. Modelled with a full bus and 310 us a flash read: 11 s for 60 files in nine folders.
_BEGIN_S = 45.0
_SILENT_S = 15.0  # it reports each 4 KiB, which take half a second
_UNPACK_S = 120.0  # and writes twice as much as it got
_ROOM_PAUSE_S = 0.005
# Two such records fill the board's window of 192 bytes, so the line is always busy: with 128 bytes each, one after the
# other, the virtual board needs 10 s for 64 KiB instead of 8.
_PIECE = 80
_ABORT_S = 0.5
_LOOK_S = 1.0
_STATUS_SIZE = 9
_CODES = {Failure.GONE: ERROR_BOARD_LOST, Failure.RESET: ERROR_BOARD_LOST, Failure.SILENT: ERROR_BOARD_SILENT}


@dataclass(frozen=True, slots=True)
class _Status:
    code: int
    state: int
    count: int
    wait_s: int


class Updater:
    """Updates of one device. It hears the update's records from here on. One update at a time: take(), free()."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.switching = False  # the board restarts into the new version, and has not said WELCOME yet
        self._boot_id = 0  # of the start that ends so
        self._owner: object = None
        self._lost = False  # a new session since open(): the board knows of no update
        self._not_before_s = 0.0
        self._new_session = asyncio.Event()
        self._calls: Calls[_Status] = Calls(
            device,
            records.UPDATE_FIRST,
            records.UPDATE_LAST,
            read=_read,
            ends=lambda status: status.code != codes.OK,
            failure=lambda why, words: UpdateError(_CODES[why]),
            numbered=False,
            cancel=codes.UPDATE_ABORT,
            patient=True,
            on_reset=self._on_reset,
        )

    def take(self, owner: object) -> bool:
        """Whether the owner may update now; until free() no other one may."""
        if self._owner is None and not self.switching:
            self._owner = owner
        return self._owner is owner

    def free(self, owner: object) -> None:
        if self._owner is owner:
            self._owner = None

    def check_able(self) -> None:
        """UpdateError: there is no board, or one that no password would help."""
        info = self.device.info
        if info is None or self.device.state is not State.READY:
            raise UpdateError(ERROR_NO_BOARD)
        if not info.capabilities & records.CAN_UPDATE:
            raise UpdateError(codes.ERROR_UNSUPPORTED)

    async def open(self, password: int) -> None:
        """Ask whether an update with this password may begin. UpdateError: no.

        After a wrong password the board says how long it will refuse any other. It is not asked again before that, so
        a client that only guesses takes no time of the USB line.
        """
        self.check_able()
        left_s = self._not_before_s - time.monotonic()
        if left_s > 0:
            raise UpdateError(codes.ERROR_PASSWORD, math.ceil(left_s))
        self._lost = False
        out = bytearray(4)
        codes.pack_open(out, password)
        async with self._calls.begin(_OPEN_S) as call:
            await call.send(codes.UPDATE_OPEN, bytes(out))
            await self._until(call, codes.STATE_OPEN)

    async def write(self, raw: bytes, crc: int, version: tuple[int, int], progress: Progress) -> None:
        """After open(): the bundle. Returns when the board switches to it. UpdateError: it did not; nothing changed.

        progress(count): so many bytes are safe on the board; len(raw) only when it has verified all and switches
        """
        if self._lost:
            raise UpdateError(ERROR_BOARD_LOST)
        async with self._calls.begin() as call:
            await self._begin(call, len(raw), crc, version)
            await self._data(call, raw, progress)
            await self._verified(call, len(raw), progress)
        assert self.device.info is not None
        self.switching, self._boot_id = True, self.device.info.boot_id
        self.device.patience.restart_is_due()
        progress(len(raw))

    async def _begin(self, call: Call[_Status], length: int, crc: int, version: tuple[int, int]) -> None:
        out = bytearray(8)
        codes.pack_begin(out, length, crc, *version)
        async with call.within(_BEGIN_S):
            await call.send(codes.UPDATE_BEGIN, bytes(out))
            await self._until(call, codes.STATE_WRITING)

    async def _data(self, call: Call[_Status], raw: bytes, progress: Progress) -> None:
        for at in range(0, len(raw), _PIECE):
            piece = raw[at : at + _PIECE]
            out = bytearray(4 + len(piece))
            codes.pack_data(out, at, piece)
            async with call.within(_SILENT_S):
                await call.send(codes.UPDATE_DATA, bytes(out))
            while call.waiting:
                self._tell(await self._next(call), progress, len(raw))

    async def _verified(self, call: Call[_Status], length: int, progress: Progress) -> None:
        """Until the board switches."""
        state = codes.STATE_WRITING
        while state != codes.STATE_SWITCHING:
            async with call.within(_UNPACK_S if state == codes.STATE_UNPACKING else _SILENT_S):
                status = await self._next(call)
            state = status.state
            self._tell(status, progress, length)

    def abort(self) -> None:
        """This update is no longer wanted. A board that switches goes on."""
        if not self.switching:
            self.device.send_record(codes.UPDATE_ABORT, b"")

    async def abort_and_wait(self) -> None:
        """The same before the port is closed: until the board has it, or doesn't listen."""
        self.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ABORT_S):
                while self.device.link.backlog:
                    await asyncio.sleep(_ROOM_PAUSE_S)

    async def back(self, timeout_s: float) -> BoardInfo | None:
        """After write(): what the board says of itself when it is back; None: not in time. DeviceRefused."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.switching:
                    self._new_session.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._new_session.wait(), _LOOK_S)
                    if self.device.refusal is not None:
                        raise self.device.refusal
        except TimeoutError:
            return None
        return self.device.info

    # -- what the board says

    @staticmethod
    def _tell(status: _Status, progress: Progress, length: int) -> None:
        """The whole length is kept back until the board has verified what it got."""
        if status.state in (codes.STATE_WRITING, codes.STATE_UNPACKING) and 0 < status.count < length:
            progress(status.count)

    async def _until(self, call: Call[_Status], state: int) -> None:
        while (await self._next(call)).state != state:
            pass  # what the board said to an update before this one

    async def _next(self, call: Call[_Status]) -> _Status:
        """UpdateError: the board refuses, or is lost."""
        status = await call.next()
        if status.code != codes.OK:
            self._not_before_s = time.monotonic() + status.wait_s
            raise UpdateError(status.code, status.wait_s)
        return status

    def _on_reset(self) -> None:
        self._lost = True
        self._not_before_s = 0.0
        # A new session before the restart: nothing stops a board that switches.
        self.switching = self.switching and self.device.info is not None and self.device.info.boot_id == self._boot_id
        self._new_session.set()


def _read(kind: int, payload: bytes) -> _Status | None:
    if kind != codes.UPDATE_STATUS:
        return None
    if len(payload) < _STATUS_SIZE:
        raise unpack.RecordError(f"UPDATE_STATUS: expected {_STATUS_SIZE} bytes or more, got {payload.hex(' ')}")
    return _Status(*codes.unpack_status(payload))
