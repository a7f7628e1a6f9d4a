"""On MicroPython: how often an import reads the flash. Prints a JSON list; tests/device/test_costs_start.py runs it.

    micropython flash_reads.py MODULES NAME ..

MODULES: a folder with kline/, copied to slot a of a formatted flash. Each NAME is imported; for each the list has the
number of reads. Behind them: that of a statvfs.
"""

import builtins
import json
import os
import sys

import sim
import usys
from sim.flash import Flash

# Built-in modules that a file may replace: MicroPython looks for one first, at each import.
EXTENSIBLE = ("array", "binascii", "deflate", "errno", "hashlib", "io", "json", "machine", "os", "random", "select",
              "struct", "time")  # fmt: skip
PATH = ("a", "", "lib")  # sys.path on a board, without what is frozen
SUFFIXES = ("", ".py", ".mpy")


def look_for(name):
    """A built-in module: it is nowhere."""
    for folder in PATH:
        for suffix in SUFFIXES:
            try:
                os.stat(folder + "/" + name + suffix if folder else name + suffix)
            except OSError:
                pass


def copy(source, target):
    for entry in os.ilistdir(source):
        name = entry[0]
        if name in (".", ".."):
            continue
        if entry[1] == 0x4000:
            os.mkdir(target + "/" + name)
            copy(source + "/" + name, target + "/" + name)
        else:
            with open(source + "/" + name, "rb") as file:
                data = file.read()
            with open(target + "/" + name, "wb") as file:
                file.write(data)


def board(modules):
    """A flash as `openkline flash` leaves it."""
    flash = Flash(blocks=512)
    flash.power_on()
    os.mkdir("a")
    copy(modules, "/flash/a")
    for name, size in (("a/slot.json", 5000), ("main.py", 4500), ("board.json", 150), ("boot.json", 13)):
        with open(name, "wb") as file:
            file.write(bytes(size))
    flash.power_on()
    return flash


def hook():
    """From now on imports of built-in modules look for files first; the model's own are in sys.modules here."""
    real = builtins.__import__

    def find(name, *rest):
        if name in EXTENSIBLE:
            look_for(name)
        return real(name, *rest)

    builtins.__import__ = find
    sys.path[:] = ["a", "", ".frozen", "lib"]


def main():
    sim.World()
    for name in EXTENSIBLE:
        __import__(name)
    flash = board(usys.argv[1])
    hook()
    counts = []
    for name in usys.argv[2:]:
        before = flash.reads
        __import__(name)
        counts.append(flash.reads - before)
    before = flash.reads
    os.statvfs("")
    counts.append(flash.reads - before)
    print(json.dumps(counts))


main()
