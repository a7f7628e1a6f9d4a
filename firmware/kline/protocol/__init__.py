"""Pure protocol code, the same on MicroPython and CPython: bytes in, values out. No I/O, no clock, no `machine`."""
