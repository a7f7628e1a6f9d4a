"""The README's sessions at the REPL, typed on the virtual board: what they show is what happens."""

import json
import os

import sim
from obd_rig import KWP
from rig import BOARD, frame
from sim.obdcar import Car


def session(index):
    """[(what is typed, [lines that follow])] of README.md's blocks with a prompt: the one of that index."""
    with open(os.getenv("OPENKLINE_ROOT") + "/README.md") as file:
        text = file.read()
    block = text.split("```python\n>>> ")[1 + index]
    turns = []
    for line in (">>> " + block[: block.index("\n```")]).split("\n"):
        if line.startswith(">>> "):
            turns.append((line[4:].split("  #")[0].strip(), []))
        else:
            turns[-1][1].append(line)
    return turns


def type_in(turns):
    """Each line is evaluated; what it prints and what its value shows must be the lines that follow it."""
    shown = []
    scope = {"print": lambda *words: shown.append(" ".join([str(word) for word in words]))}
    for typed, follows in turns:
        del shown[:]
        try:
            value = eval(typed, scope)
            if value is not None:
                shown.append(repr(value))
        except SyntaxError:
            exec(typed, scope)
        assert shown == follows, (typed, shown, follows)


def test_sniff_and_send():
    world = sim.World()
    with open("board.json", "w") as file:
        json.dump(BOARD, file)
    instruments = sim.Module(world.wire, 0x80)
    lights = sim.Module(world.wire, 0xD0)
    changer = sim.Module(world.wire, 0x18)
    changer.on_frame = lambda t, whole: whole[2] == 0x18 and changer.send(frame(0x18, 0xFF, b"\x02\x00"))
    instruments.send(frame(0x80, 0xBF, b"\x11\x01"), at_us=1_000_000)
    lights.send(frame(0xD0, 0xBF, b"\x5b\x00\x00\x00\x00"), at_us=2_000_000)
    turns = session(0)
    assert len(turns) == 6
    type_in(turns)


def test_read_a_pid():
    board = {"rx": 16, "tx": 17, "spare": 4, "tx_invert": False}
    with open("board.json", "w") as file:
        json.dump(board, file)
    world = sim.World(board=board)
    Car(world.wire, dict(KWP))
    turns = session(1)
    assert len(turns) == 6
    type_in(turns)
