"""The virtual board: a discrete-event model of one wire, the board on it and its neighbours. See docs/virtual-board.md.

import sim
w = sim.World(seed=1)          # import sim comes before anything of the firmware
m = sim.Module(w.wire, 0x68)
m.send(b"\\x68\\x03\\x18\\x01\\x72", at_us=10_000)
"""

from .module import Module, Peer, Talker
from .noise import Noise
from .player import Player
from .usb import Faults, UsbHost
from .world import Stuck, World, current

__all__ = ("Faults", "Module", "Noise", "Peer", "Player", "Stuck", "Talker", "UsbHost", "World", "current")
