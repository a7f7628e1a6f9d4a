"""openkline on the PC: joins a board's USB serial link to the OpenBM gateway protocol, logs and tools."""

from kline.version import VERSION as __version__

__all__ = ["__version__"]
