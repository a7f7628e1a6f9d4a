"""sys, micropython and gc as the firmware sees them. The originals stay reachable as usys and through REAL.

Built-in modules that MICROPYPATH can't replace are replaced in sys.modules when this package is imported, which has to
be before the firmware is. bind() ties them, and machine, time and select, to a World.
"""

import gc
import io

import micropython
import usys

REAL = {"gc": gc, "micropython": micropython, "sys": usys}


class _Shim:
    _world = None

    def __getattr__(self, name):
        return getattr(self._real, name)


class SysShim(_Shim):
    """sys with the modelled USB link as stdin and stdout, and the ESP32's platform name."""

    _real = usys
    platform = "esp32"

    def print_exception(self, e, file=None):
        """Through the modelled link once somebody listens there, else plainly (a test, for the person who reads it)."""
        if file is None and (self._world is None or self._world.usb.on_output is None):
            usys.print_exception(e)
            return
        text = io.StringIO()
        usys.print_exception(e, text)
        (file or self.stdout).write(text.getvalue())


class MicropythonShim(_Shim):
    """micropython with the port's scheduler depth and an interrupt character of the modelled link."""

    _real = micropython

    def kbd_intr(self, char):
        self._world.usb.interrupt_char = char

    def schedule(self, fn, arg):
        w = self._world
        w.enter("misc")
        if not w.post(fn, arg):
            w.dropped -= 1  # refused loudly, not lost
            w.busy = False
            raise RuntimeError("schedule queue full")
        w.leave()


class GcShim(_Shim):
    """gc whose collect() and mem_free() take model time."""

    _real = gc

    def collect(self):
        w = self._world
        if w is None:
            gc.collect()
            return
        w.enter("gc_obd" if w.charger is not None and "kline.device.obd.service" in usys.modules else "gc")
        gc.collect()
        w.leave()

    def mem_free(self):
        w = self._world
        if w is None:
            return gc.mem_free()
        w.enter("mem_free")
        free = gc.mem_free()
        w.leave()
        return free


class AsyncioShim:
    """What asyncio takes from the compiled `_asyncio`."""

    def __getattr__(self, name):
        from . import aio

        return getattr(aio, name)


_shims = {"sys": SysShim(), "micropython": MicropythonShim(), "gc": GcShim()}
for _name in _shims:
    usys.modules[_name] = _shims[_name]
usys.modules["_asyncio"] = AsyncioShim()


def bind(world):
    for name in _shims:
        _shims[name]._world = world
    shim = _shims["sys"]
    shim.stdin = world.usb.stdin
    shim.stdout = shim.stderr = world.usb.stdout
    for name in ("machine", "time", "select"):
        __import__(name)._bind(world)
