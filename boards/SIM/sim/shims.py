"""sys, micropython and gc as the firmware sees them. The originals stay reachable as usys and in REAL.

Built-in modules that MICROPYPATH can't replace are replaced in sys.modules, before the firmware imports them.
"""

import gc
import micropython

import usys

REAL = {"gc": gc, "micropython": micropython, "sys": usys}


class _Shim:
    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)


class SysShim(_Shim):
    """sys with the modelled USB link as stdin and stdout, and the ESP32's platform name."""

    platform = "esp32"

    def __init__(self, world):
        super().__init__(usys)
        self.stdin = world.usb.stdin
        self.stdout = world.usb.stdout
        self.stderr = world.usb.stdout


class MicropythonShim(_Shim):
    """micropython with the port's scheduler depth and an interrupt character of the modelled link."""

    def __init__(self, world):
        super().__init__(micropython)
        self._world = world

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
    """gc whose collect() takes model time."""

    def __init__(self, world):
        super().__init__(gc)
        self._world = world

    def collect(self):
        w = self._world
        w.enter("gc")
        gc.collect()
        w.leave()


def install(world):
    modules = usys.modules
    modules["sys"] = SysShim(world)
    modules["micropython"] = MicropythonShim(world)
    modules["gc"] = GcShim(world)
    for name in ("machine", "time", "select"):
        module = __import__(name)
        module._bind(world)
