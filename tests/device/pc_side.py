"""The PC's end of the link in a test, in the same process as the board's.

Where the firmware charges for its bytecode the PC's end must not: it gets modules of its own, from the plain source.
"""

import os
import sys

if os.getenv("OPENKLINE_CHIP"):
    _board = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "kline"}
    sys.path.insert(0, os.getenv("OPENKLINE_ROOT") + "/firmware")

from kline.protocol.link import host_records, records
from kline.protocol.link.host_end import HostLink

if os.getenv("OPENKLINE_CHIP"):
    sys.path.pop(0)
    for _name in list(sys.modules):
        if _name.split(".")[0] == "kline":
            del sys.modules[_name]
    sys.modules.update(_board)

__all__ = ("HostLink", "host_records", "records")
