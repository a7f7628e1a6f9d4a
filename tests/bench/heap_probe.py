"""On MicroPython, with the stand-ins of bare/: what the heap holds after each stage of the board's start.

    micropython heap_probe.py MAIN.PY

Two lines for each stage: a JSON object, and what micropython.qstr_info() says. alloc: bytes of this port's heap;
buffers: of these, bytes in bytearrays, garbage among them; modules: those loaded by then.
"""

import builtins
import gc
import json
import os  # noqa: F401
import select  # noqa: F401
import sys
import time  # noqa: F401

import machine  # noqa: F401
import micropython

FIELDS = {"rx": 16, "tx": 17, "spare": 4, "led": 2}
buffers = 0
before = 0
plain = bytearray


def counted(*arguments):
    global buffers
    made = plain(*arguments)
    buffers += len(made)
    return made


def note(stage):
    gc.collect()
    gc.collect()
    alloc = gc.mem_alloc() - before
    modules = sorted([name for name in sys.modules if name.startswith("kline")])
    print(json.dumps({"stage": stage, "alloc": alloc, "buffers": buffers, "modules": modules}))
    micropython.qstr_info()


builtins.bytearray = counted
note("")
gc.collect()
before = gc.mem_alloc()
note("boot")

with open(sys.argv[1]) as file:  # noqa: PTH123
    text = file.read()
assert text.endswith("\nmain()\n")
exec(text[: -len("main()\n")])
del text, file
note("main.py")

# Both are in this module as it is compiled for a board.
from kline.device.app import Application, Board  # noqa: E402

application = Application(Board(**FIELDS))
note("I-Bus")

from kline.device.obd.service import ObdService  # noqa: E402

service = ObdService(application.transport, application.link, application._out)
note("both handlers")

import kline.device.updater  # noqa: E402
import kline.device.wire_probe  # noqa: E402, F401

note("update and doctor too")
