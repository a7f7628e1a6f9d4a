"""openkline on the PC: joins a board's USB serial link to the OpenBM gateway protocol, logs and tools."""

from openkline.kline_package import own_version

__version__ = own_version()

__all__ = ["__version__"]
