"""The firmware messages of a client: 66 67, 66 69, 66 75.

The version is answered from the board's own. An update over this protocol is not offered: 66 69 would mean "go on", so
the refusal is 66 75 with an error. An upload's bytes are counted and thrown away; nothing of it reaches the bus.

    error   meaning
    0103    upload without an update begun (the original's number)
    0201    this gateway offers no firmware update
    0202    the gateway is read-only
"""

from __future__ import annotations

from openkline.bus import Bus
from openkline.gateway.counters import ClientCounters
from openkline.gateway.wire import FirmwareVersion, InitFirmwareUpdate, UploadData, UploadFirmware, UploadStatus

ERROR_NOT_INITIALISED = 0x0103
ERROR_NO_UPDATE = 0x0201
ERROR_READ_ONLY = 0x0202


class FirmwareDesk:
    """Answers one client; bytes to send back, or b""."""

    def __init__(self, bus: Bus, counters: ClientCounters, read_only: bool) -> None:
        self._bus = bus
        self._counters = counters
        self._read_only = read_only

    def handle(self, message: FirmwareVersion | InitFirmwareUpdate | UploadFirmware | UploadData) -> bytes:
        if isinstance(message, FirmwareVersion):
            version = self._bus.firmware_version or (0, 0, 0)
            return FirmwareVersion(version[0], version[1]).to_bytes()
        if isinstance(message, InitFirmwareUpdate):
            return UploadStatus(error=ERROR_READ_ONLY if self._read_only else ERROR_NO_UPDATE).to_bytes()
        if isinstance(message, UploadFirmware):
            self._counters.uploads += 1
            return b"" if message.length else UploadStatus(error=ERROR_NOT_INITIALISED).to_bytes()
        self._counters.upload_bytes += len(message.data)
        return b"" if message.left else UploadStatus(error=ERROR_NOT_INITIALISED).to_bytes()
