"""The bridge's logs as one part: frames, or messages, each written by a thread of its own (openkline.log.files)."""

from __future__ import annotations

import asyncio
from typing import Any

from openkline.log.files import FrameLog


class Logs:
    """They are open from the beginning, so that a file that can't be written shows at once; stop() closes them."""

    def __init__(self) -> None:
        self.writers: list[FrameLog[Any]] = []

    def reopen(self) -> None:
        for writer in self.writers:
            writer.reopen()

    # -- bridge.part.Part

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        for writer in self.writers:
            await asyncio.get_running_loop().run_in_executor(None, writer.close)

    def stats(self) -> dict[str, object]:
        return {"logs": [writer.stats() for writer in self.writers]}

    def trouble(self) -> str:
        dead = next((writer for writer in self.writers if not writer.is_alive), None)
        return f"the log's thread has ended ({dead.stats()['name']})" if dead is not None else ""
