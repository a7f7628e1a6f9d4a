"""The board's flash: blocks in memory with a real littlefs on them, as the port makes it. Power can fail at any write.

    flash = Flash()
    flash.power_on()            # the current directory is the root of its file system
    flash.fail_at(17)           # the 17th program or erase from now does nothing (tear: half of it), PowerCut is raised
    flash.power_on()            # power is back: what is there now

With a World, erasing and programming take their time, and no interrupt is served meanwhile: of what comes over USB only
as much is kept as the UART's FIFO holds.
"""

import os
from errno import EIO

import vfs

from .costs import ERASE_US, PROGRAM_US, READ_BYTES, RX_FIFO, STDIN_RING
from .world import current

BLOCK = 4096
_POINT = "/flash"

_mounted = None


class PowerCut(BaseException):
    """The power has failed. Raised at the firmware's next call of the hardware; littlefs, being C, gets errors."""


def power_off():
    """Of the board that is on, if one is."""
    global _mounted
    if _mounted is not None:
        _mounted.dead = True
        _mounted = None
        os.chdir("/")
        vfs.umount(_POINT)


class Flash:
    """operations: programs and erases so far; erased: blocks erased; reads: transactions of at most 64 bytes.

    world: whose time it takes, None = nobody's; read_us: of a read, 60 to 310 on an emulated chip (E2); 0 = none

    image: another flash's contents to begin with, else it is formatted
    """

    def __init__(self, blocks=128, image=None):
        self.image = bytearray(blocks * BLOCK) if image is None else bytearray(image)
        self.operations = 0
        self.broken = False  # every write fails
        self.erased = 0
        self.reads = 0
        self.world = None
        self.read_us = 0
        self._fail_at = -1
        self._tear = False
        if image is None:
            vfs.VfsLfs2.mkfs(_Device(self))

    def power_on(self):
        """Mount what is there; what was open before is lost. Only one board is on at a time."""
        global _mounted
        power_off()
        _mounted = _Device(self)
        vfs.mount(vfs.VfsLfs2(_mounted), _POINT)
        os.chdir(_POINT)

    def fail_at(self, n, tear=False):
        """The n-th operation from now, counting from 1, is the last."""
        self._fail_at = self.operations + n
        self._tear = tear

    def operate(self, device, at, data):
        """Program (or, all FF, erase) the bytes from `at` on. -> 0 or an error"""
        if device.dead or self.broken:
            return -EIO
        self.operations += 1
        if self.operations == self._fail_at:
            device.dead = True
            if self._tear:
                half = len(data) // 2
                self.image[at : at + half] = data[:half]
            current().interrupt(PowerCut())
            return -EIO
        self.image[at : at + len(data)] = data
        return 0

    def take_time(self, us):
        w = self.world
        w.enter("misc")
        usb = w.usb
        usb.limit = min(STDIN_RING, usb.count + RX_FIFO)
        w.burn(us)
        usb.limit = STDIN_RING
        w.leave()


class _Device:
    """What VfsLfs2 asks of a block device, like the port's Partition."""

    def __init__(self, flash):
        self.flash = flash
        self.dead = False

    def readblocks(self, block, buf, offset=0):
        if self.dead:
            return -EIO
        at = block * BLOCK + offset
        flash = self.flash
        buf[:] = memoryview(flash.image)[at : at + len(buf)]
        reads = (len(buf) + READ_BYTES - 1) // READ_BYTES
        flash.reads += reads
        if flash.world is not None and flash.read_us:
            flash.take_time(reads * flash.read_us)
        return 0

    def writeblocks(self, block, buf, offset=0):
        error = self.flash.operate(self, block * BLOCK + offset, buf)
        if self.flash.world is not None:
            self.flash.take_time(len(buf) * PROGRAM_US)
        return error

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.flash.image) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            error = self.flash.operate(self, arg * BLOCK, _ERASED)
            self.flash.erased += 1
            if self.flash.world is not None:
                self.flash.take_time(ERASE_US)
            return error
        return 0


_ERASED = b"\xff" * BLOCK
