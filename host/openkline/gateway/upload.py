"""A client's half of an update through a gateway: password, "go on", the bundle, and counts until the board has it all.

client                                       gateway
  | -- 66 69, password ----------------------> |
  | <------------------- 66 69, or 66 75 error |   within 3 s
  | -- 66 75 length CRC version, all bytes --> |
  | <---------------------------- 66 75 count  |   again and again; the last count is the length, or an error comes
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from kline.protocol.checksum import crc16
from kline.protocol.update.codes import MAX_BUNDLE
from openkline.errors import GatewayError
from openkline.gateway.wire import InitFirmwareUpdate, UploadFirmware, UploadStatus
from openkline.update.errors import Progress, UpdateError
from openkline.words import plural

_GO_ON_S = 5.0  # the page: 3 s
_COUNT_S = 150.0  # between two counts; the board unpacks and verifies before the last one

Answer: TypeAlias = InitFirmwareUpdate | UploadStatus


@dataclass(slots=True)
class Upload:
    """One upload: run() it, and hear() what the gateway answers. write: bytes to the gateway."""

    write: Callable[[bytes], None]
    raw: bytes
    version: tuple[int, int]
    password: int
    progress: Progress
    _answers: asyncio.Queue[Answer | None] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        if not 0 < len(self.raw) <= MAX_BUNDLE:
            raise ValueError(f"the bundle has {plural(len(self.raw), 'byte')}, must be 1..{MAX_BUNDLE}")

    async def run(self) -> None:
        """Until the board has verified it all and restarts. UpdateError: refused; GatewayError: no answer."""
        self.write(InitFirmwareUpdate(self.password.to_bytes(4, "big")).to_bytes())
        answer = await self._next(_GO_ON_S)
        if isinstance(answer, UploadStatus):
            raise UpdateError(answer.error)
        header = UploadFirmware(len(self.raw), crc16(self.raw, 0, len(self.raw)), *self.version)
        self.write(header.to_bytes() + self.raw)  # in one piece: a Ping in between would be taken for firmware
        while True:
            answer = await self._next(_COUNT_S)
            if isinstance(answer, UploadStatus):
                if answer.error:
                    raise UpdateError(answer.error)
                self.progress(answer.uploaded)
                if answer.uploaded >= len(self.raw):
                    return

    async def _next(self, timeout_s: float) -> Answer:
        try:
            answer = await asyncio.wait_for(self._answers.get(), timeout_s)
        except TimeoutError:
            raise GatewayError(
                f"the gateway did not answer within {timeout_s:.0f} s: does it know firmware updates?"
            ) from None
        if answer is None:
            raise GatewayError(
                "the connection to the gateway was lost during the update: when it is there again, "
                "`openkline status` says which version the board runs"
            )
        return answer

    def hear(self, answer: Answer | None) -> None:
        """None: the connection is gone."""
        self._answers.put_nowait(answer)
