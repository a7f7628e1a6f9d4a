"""From reset to the first WELCOME, with main.py, on the virtual clock. Modelled; imports cost no time there."""

import json
import os

import sim
from pc_side import HostLink, records
from rig import BOARD

from kline.protocol.link.link import OPEN


def test_from_reset_to_hello():
    world = sim.World(board=BOARD)
    with open("board.json", "w") as file:
        json.dump(BOARD, file)
    host = sim.UsbHost(world)
    pc = HostLink()
    opened = []

    def look(_):
        if pc.state == OPEN:
            opened.append(world.now)
            pc.send_now(records.QUIT, 0, b"", 0)
        else:
            world.at(world.now + 1_000, look)

    pc.open(0x11223344)
    host.attach(pc)
    world.at(0, look)
    with open(os.getenv("OPENKLINE_ROOT") + "/firmware/main.py") as file:
        exec(file.read(), {"__name__": "__main__"})
    print("from reset to HELLO answered: %.0f ms, of it 1000 ms boot window; imports not counted" % (opened[0] / 1000))
    assert opened[0] < 1_500_000
