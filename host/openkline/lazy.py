"""Modules that are loaded when they are first used: a command that doesn't need them starts without them."""

from __future__ import annotations

import sys
from typing import Any


class LazyModule:
    """Stands for a module of the standard library until then, for whoever writes `name.attribute` only.

    asyncio takes four times as long to load as Python takes to start. Use:

        if TYPE_CHECKING:
            import asyncio
        else:
            asyncio = LazyModule("asyncio")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        __import__(self._name)
        return getattr(sys.modules[self._name], attribute)
