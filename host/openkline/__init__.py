"""openkline on the PC: joins a board's USB serial link to the OpenBM gateway protocol, logs and tools.

What a Python program needs is in `__all__`, loaded when it is first used; docs/python.md shows each at work.
"""

from openkline.kline_package import own_version

TYPE_CHECKING = False  # not from typing, which takes as long to load as Python takes to start
__version__ = own_version()

__all__ = [
    "FORMATS",
    "BusFrame",
    "Device",
    "DeviceError",
    "Diagnostics",
    "GatewayBusy",
    "GatewayClient",
    "GatewayError",
    "GatewayLost",
    "GatewayUnreachable",
    "LogFrame",
    "LogProblem",
    "ObdError",
    "ObdSession",
    "OpenklineError",
    "Outcome",
    "TransmitResult",
    "__version__",
    "connect",
    "encode",
    "open_device",
    "read_frames",
]

if TYPE_CHECKING:
    from kline.protocol.ibus.frames import encode
    from openkline.bus import BusFrame, Outcome, TransmitResult
    from openkline.device.device import Device
    from openkline.device.opening import open_device
    from openkline.errors import (
        DeviceError,
        GatewayBusy,
        GatewayError,
        GatewayLost,
        GatewayUnreachable,
        ObdError,
        OpenklineError,
    )
    from openkline.gateway.client import GatewayClient
    from openkline.gateway.sync import connect
    from openkline.log.formats import FORMATS, LogFrame, LogProblem
    from openkline.log.reader import read_frames
    from openkline.obd.diagnostics import Diagnostics
    from openkline.obd.session import ObdSession
else:
    _HOMES = {
        "kline.protocol.ibus.frames": ("encode",),
        "openkline.bus": ("BusFrame", "Outcome", "TransmitResult"),
        "openkline.device.device": ("Device",),
        "openkline.device.opening": ("open_device",),
        "openkline.errors": (
            "DeviceError", "GatewayBusy", "GatewayError", "GatewayLost", "GatewayUnreachable", "ObdError",
            "OpenklineError",
        ),
        "openkline.gateway.client": ("GatewayClient",),
        "openkline.gateway.sync": ("connect",),
        "openkline.log.formats": ("FORMATS", "LogFrame", "LogProblem"),
        "openkline.log.reader": ("read_frames",),
        "openkline.obd.diagnostics": ("Diagnostics",),
        "openkline.obd.session": ("ObdSession",),
    }  # fmt: skip
    _HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

    def __getattr__(name):
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(__import__(home, fromlist=(name,)), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
