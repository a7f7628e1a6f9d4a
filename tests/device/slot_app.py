"""What the slots of mpy_update*.py hold: an application that is the real one, under the version of its slot.

A slot's kline/device/app.py is two lines that lead here. The firmware itself is imported once, from the source tree,
and put back in sys.modules when a slot's application starts; main.py's removal and import of the slot's modules is
real.
"""

import sys

import kline.device.app
import kline.device.obd.service
import kline.device.updater
import kline.protocol.link.link
from kline.device import board as boards

STUB = "from slot_app import start\n\n\ndef run(boot):\n    start(%r, boot)\n"
_modules = {name: module for name, module in sys.modules.items() if name == "kline" or name.startswith("kline.")}
_app = kline.device.app

running = []  # versions that have been started, the newest last
current = None  # the newest Application


def start(version, boot):
    global current
    sys.modules.update(_modules)
    running.append(version)
    _app.VERSION = version
    current = _app.Application(boards.load(), boot=boot)
    current.run()


def files(version, body=STUB, filler=b""):
    """{path: bytes} of a slot's modules."""
    app = (body % version if "%r" in body else body).encode()
    return {
        "kline/__init__.py": b"",
        "kline/device/__init__.py": b"",
        "kline/device/app.py": app,
        "kline/protocol/filler.bin": filler,
    }
