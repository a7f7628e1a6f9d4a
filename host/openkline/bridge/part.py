"""What the bridge is made of: parts that it starts, stops and reports on without knowing what each does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Part(Protocol):
    async def start(self) -> None:
        """Begin. OSError: an address or a port can't be had."""
        ...

    async def stop(self) -> None:
        """End, whether it was started or not; nothing of it runs on."""
        ...

    def stats(self) -> Mapping[str, object]:
        """Sections of `openkline status` by name (docs/status.md), of values that JSON knows."""
        ...

    def trouble(self) -> str:
        """What only a new start of the bridge can mend; "" for nothing."""
        ...
