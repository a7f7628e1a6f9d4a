"""docs/obd-device.md's session, typed on the virtual board: what is printed is what it shows."""

import json
import os

import sim
from obd_rig import KWP
from sim.obdcar import Car


def test_the_session_in_the_document():
    board = {"rx": 16, "tx": 17, "spare": 4, "tx_invert": False}
    with open("board.json", "w") as file:
        json.dump(board, file)
    world = sim.World(board=board)
    Car(world.wire, dict(KWP, dtcs=["P0133"]))
    with open(os.getenv("OPENKLINE_ROOT") + "/docs/obd-device.md") as file:
        text = file.read()
    lines = text[text.index("```python") :].split("```")[1].split("\n")[1:]
    names = {}
    shown = []
    for line in lines:
        if not line.startswith(">>> "):
            if line:
                assert shown and shown.pop(0) == line, (line, shown)
            continue
        assert not shown, (line, shown)
        code = line[4:]
        if code.startswith(("from ", "import ")) or " = " in code.split("(")[0]:
            exec(code, names)
        else:
            value = eval(code, names)
            if value is not None:
                shown.append(repr(value))
    assert not shown and names["tester"].initialized
