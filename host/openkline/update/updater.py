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
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from kline.protocol.link import records
from kline.protocol.update import codes
from openkline.device.device import Device, State
from openkline.device.welcome import BoardInfo
from openkline.update.errors import ERROR_BOARD_LOST, ERROR_BOARD_SILENT, ERROR_NO_BOARD, Progress, UpdateError

_OPEN_S = 2.8  # the gateway's clients wait 3 s for the answer to the password
_BEGIN_S = 30.0  # the board empties the other slot: each file costs it some 50 ms of flash
_SILENT_S = 15.0  # it reports each 4 KiB, which take half a second
_UNPACK_S = 120.0  # and writes twice as much as it got
_ROOM_PAUSE_S = 0.005
# Two such records fill the board's window of 192 bytes, so the line is always busy: with 128 bytes each, one after the
# other, the virtual board needs 10 s for 64 KiB instead of 8.
_PIECE = 80
_ABORT_S = 0.5
_LOOK_S = 1.0
_STATUS_SIZE = 9


@dataclass(frozen=True, slots=True)
class _Status:
    code: int
    state: int
    count: int
    wait_s: int


@contextlib.asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    """UpdateError: what is inside has not ended in time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UpdateError(ERROR_BOARD_SILENT) from None


class Updater:
    """Of one device; it listens to the update's records from here on. One update at a time: take(), free()."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.switching = False  # the board restarts into the new version, and has not said WELCOME yet
        self._boot_id = 0  # of the start that ends so
        self._owner: object = None
        self._statuses: deque[_Status] = deque(maxlen=32)
        self._changed = asyncio.Event()
        self._reset = False
        self._not_before_s = 0.0
        device.serve(records.UPDATE_FIRST, records.UPDATE_LAST, self)

    def take(self, owner: object) -> bool:
        """Whether the owner may update now; then until free() nobody else may."""
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

        After a wrong one the board says how long it will refuse any: so long it isn't asked again. A client that does
        nothing but try takes nothing of the line away.
        """
        self.check_able()
        left_s = self._not_before_s - time.monotonic()
        if left_s > 0:
            raise UpdateError(codes.ERROR_PASSWORD, math.ceil(left_s))
        self._statuses.clear()
        self._reset = False
        out = bytearray(4)
        codes.pack_open(out, password)
        with self._or_abort():
            async with _within(_OPEN_S):
                await self._send(codes.UPDATE_OPEN, bytes(out))
                await self._until(codes.STATE_OPEN)

    async def write(self, raw: bytes, crc: int, version: tuple[int, int], progress: Progress) -> None:
        """After open(): the bundle. Returns when the board switches to it. UpdateError: it did not; nothing changed.

        progress(count): so many bytes are safe on the board; len(raw) only when it has verified all and switches
        """
        with self._or_abort():
            await self._begin(len(raw), crc, version)
            await self._data(raw, progress)
            await self._verified(len(raw), progress)
        assert self.device.info is not None
        self.switching, self._boot_id = True, self.device.info.boot_id
        progress(len(raw))

    async def _begin(self, length: int, crc: int, version: tuple[int, int]) -> None:
        out = bytearray(8)
        codes.pack_begin(out, length, crc, *version)
        async with _within(_BEGIN_S):
            await self._send(codes.UPDATE_BEGIN, bytes(out))
            await self._until(codes.STATE_WRITING)

    async def _data(self, raw: bytes, progress: Progress) -> None:
        for at in range(0, len(raw), _PIECE):
            piece = raw[at : at + _PIECE]
            out = bytearray(4 + len(piece))
            codes.pack_data(out, at, piece)
            async with _within(_SILENT_S):
                await self._send(codes.UPDATE_DATA, bytes(out))
            while self._statuses:
                self._tell(await self._next(), progress, len(raw))

    async def _verified(self, length: int, progress: Progress) -> None:
        """Until the board switches."""
        state = codes.STATE_WRITING
        while state != codes.STATE_SWITCHING:
            async with _within(_UNPACK_S if state == codes.STATE_UNPACKING else _SILENT_S):
                status = await self._next()
            state = status.state
            self._tell(status, progress, length)

    def abort(self) -> None:
        """Nobody wants this update any more; for who cancels open() or write(). A board that switches goes on."""
        if not self.switching:
            self.device.send_record(codes.UPDATE_ABORT, b"")

    async def abort_and_wait(self) -> None:
        """The same before the port is closed: the board has heard it, or does not listen."""
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
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._change(), _LOOK_S)
                    if self.device.refusal is not None:
                        raise self.device.refusal
        except TimeoutError:
            return None
        return self.device.info

    # -- the conversation

    @contextlib.contextmanager
    def _or_abort(self) -> Iterator[None]:
        """What the board doesn't know: that we wait no longer."""
        try:
            yield
        except UpdateError as error:
            if error.code == ERROR_BOARD_SILENT:
                self.abort()
            raise

    @staticmethod
    def _tell(status: _Status, progress: Progress, length: int) -> None:
        """The whole length is kept back until the board has verified what it got."""
        if status.state in (codes.STATE_WRITING, codes.STATE_UNPACKING) and 0 < status.count < length:
            progress(status.count)

    async def _until(self, state: int) -> None:
        while (await self._next()).state != state:
            pass  # what the board said to an update before this one

    async def _next(self) -> _Status:
        """The next thing the board says. UpdateError: it refuses, or is lost."""
        while not self._statuses:
            self._check_reset()
            await self._change()
        status = self._statuses.popleft()
        if status.code != codes.OK:
            self._not_before_s = time.monotonic() + status.wait_s
            raise UpdateError(status.code, status.wait_s)
        return status

    async def _send(self, kind: int, payload: bytes) -> None:
        """When the piece before it is on its way, and the board ready. UpdateError: it is lost."""
        while self.device.link.backlog > 1 or not self.device.send_record(kind, payload):
            self._check_reset()
            await asyncio.sleep(_ROOM_PAUSE_S)

    def _check_reset(self) -> None:
        if self._reset:
            raise UpdateError(ERROR_BOARD_LOST)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # -- device.Service

    def on_reset(self) -> None:
        self._reset = True
        self._not_before_s = 0.0
        # A new session before the restart: nothing stops a board that switches.
        self.switching = self.switching and self.device.info is not None and self.device.info.boot_id == self._boot_id
        self._changed.set()

    def on_record(self, kind: int, payload: bytes) -> None:
        if kind == codes.UPDATE_STATUS and len(payload) >= _STATUS_SIZE and self._owner is not None:
            self._statuses.append(_Status(*codes.unpack_status(payload)))
            self._changed.set()
