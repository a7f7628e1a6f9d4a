"""The firmware messages of one client: 66 67, 66 69, 66 75.

    IDLE -66 69-> ASKING -board agrees, 66 69-> OPEN -66 75-> RECEIVING -all bytes, CRC-> WRITING -switches-> IDLE
      ^              |                            |               |                         |
      '--------------'----------------------------'---------------'-------------------------'   66 75 with an error

The version is answered from the board's own. An upload is kept only while an update of this client is open; otherwise
its bytes are counted and thrown away. Nothing of it ever reaches the bus. Errors: openkline.update.errors.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from kline.protocol.checksum import crc16
from kline.protocol.update import codes
from openkline.bus import Bus
from openkline.gateway.counters import ClientCounters
from openkline.gateway.wire import FirmwareVersion, InitFirmwareUpdate, UploadData, UploadFirmware, UploadStatus
from openkline.update import errors
from openkline.update.errors import UpdateError
from openkline.update.updater import Updater
from openkline.words import plural

log = logging.getLogger("openkline.gateway")

_IDLE_S = 30.0  # an open update waits so long for its upload, and an upload for its next bytes


class FirmwareState(enum.Enum):
    IDLE = "idle"
    ASKING = "asking"
    OPEN = "open"
    RECEIVING = "receiving"
    WRITING = "writing"


class FirmwareSession:
    """handle() each message; close() when the client has gone. write: bytes to this client."""

    def __init__(
        self,
        bus: Bus,
        updater: Updater | None,
        counters: ClientCounters,
        read_only: bool,
        write: Callable[[bytes], None],
    ) -> None:
        self.state = FirmwareState.IDLE
        self._bus = bus
        self._updater = updater
        self._counters = counters
        self._read_only = read_only
        self._write = write
        self._upload = UploadFirmware(0)
        self._answered = False  # the upload that comes has got its answer already
        self._buffer = bytearray()
        self._crc = 0
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def answers(self) -> bool:
        """From "go on" to the last answer 66 75 means an answer to this client, and must not mean a bus message."""
        return self.state in (FirmwareState.OPEN, FirmwareState.RECEIVING, FirmwareState.WRITING)

    def handle(self, message: FirmwareVersion | InitFirmwareUpdate | UploadFirmware | UploadData) -> None:
        if isinstance(message, FirmwareVersion):
            restarting = self._updater is not None and self._updater.switching
            version = None if restarting else self._bus.firmware_version
            self._write(FirmwareVersion(*(version or (0, 0))[:2]).to_bytes())
        elif isinstance(message, InitFirmwareUpdate):
            self._init(int.from_bytes(message.password, "big"))
        elif isinstance(message, UploadFirmware):
            self._begin(message)
        else:
            self._receive(message)

    def close(self) -> None:
        """The client has gone, or must go: the board forgets what it has of an upload."""
        if self.state is FirmwareState.RECEIVING:
            self._end(codes.ERROR_WRONG_LENGTH)
        elif self.state is not FirmwareState.IDLE:
            self._end()

    # -- messages

    def _init(self, password: int) -> None:
        if self._read_only:
            self._refuse(errors.ERROR_READ_ONLY)
        elif self._updater is None:
            self._refuse(errors.ERROR_NO_UPDATE)
        elif self.state not in (FirmwareState.IDLE, FirmwareState.OPEN) or not self._updater.take(self):
            self._refuse(errors.ERROR_OTHER_CLIENT)
        else:
            self.state = FirmwareState.ASKING
            self._start(partial(self._ask, self._updater, password))

    def _begin(self, upload: UploadFirmware) -> None:
        self._counters.uploads += 1
        self._upload = upload
        self._answered = False
        self._buffer = bytearray()
        self._crc = 0xFFFF
        if self.state is FirmwareState.OPEN:
            self.state = FirmwareState.RECEIVING
            self._wait()
        if not upload.length:
            self._received()

    def _receive(self, part: UploadData) -> None:
        self._counters.upload_bytes += len(part.data)
        if self.state is FirmwareState.RECEIVING:
            self._buffer += part.data
            self._crc = crc16(part.data, 0, len(part.data), self._crc)
            self._wait()
        if not part.left:
            self._received()

    def _received(self) -> None:
        """The upload is whole, wherever its bytes went."""
        if self._answered:
            return
        if self.state in (FirmwareState.IDLE, FirmwareState.ASKING):
            self._refuse(codes.ERROR_NOT_INITIALISED)
        elif self.state is FirmwareState.WRITING:
            self._refuse(errors.ERROR_OTHER_CLIENT)
        elif not self._buffer:
            self._end(codes.ERROR_WRONG_LENGTH)
        elif self._crc != self._upload.crc:
            self._end(codes.ERROR_CRC)
        elif self._updater is not None:
            self.state = FirmwareState.WRITING
            self._start(partial(self._to_board, self._updater, self._upload, bytes(self._buffer)))

    # -- the update

    async def _ask(self, updater: Updater, password: int) -> None:
        await updater.open(password)
        self.state = FirmwareState.OPEN
        self._write(InitFirmwareUpdate().to_bytes())
        self._wait()

    async def _to_board(self, updater: Updater, upload: UploadFirmware, raw: bytes) -> None:
        log.info(
            "update to version %d.%d: sending %s to the board", upload.major, upload.minor, plural(len(raw), "byte")
        )
        await updater.write(raw, upload.crc, (upload.major, upload.minor), self._progress)
        self._counters.updates += 1
        log.info("update: the board has verified it and restarts")
        self._finish()

    def _progress(self, count: int) -> None:
        self._write(UploadStatus(uploaded=count).to_bytes())

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._stop_waiting()
        self._task = asyncio.get_running_loop().create_task(self._guarded(work), name="openkline gateway update")

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except UpdateError as error:
            log.log(logging.INFO if self.state is FirmwareState.WRITING else logging.DEBUG, "%s", error)
            self._finish()
            self._refuse(error.code)

    def _end(self, code: int = 0) -> None:
        """Break it off from our side."""
        self._answered = self.state is FirmwareState.RECEIVING
        if self._task is not None:
            self._task.cancel()
        if self._updater is not None:
            self._updater.abort()
        self._finish()
        if code:
            log.info("update broken off: %s", errors.MEANINGS[code])
            self._refuse(code)

    def _finish(self) -> None:
        self._stop_waiting()
        self._buffer = bytearray()
        self._task = None
        self.state = FirmwareState.IDLE
        if self._updater is not None:
            self._updater.free(self)

    def _refuse(self, code: int) -> None:
        """An answer costs a client nothing: what it may repeat without end must not fill a log."""
        self._counters.updates_refused += 1
        self._write(UploadStatus(error=code).to_bytes())

    # -- time

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(_IDLE_S, self._end, errors.ERROR_TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
