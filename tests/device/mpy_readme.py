"""The README's session at the REPL, typed on the virtual board: what it shows is what happens."""

import json
import os

import sim
from rig import BOARD, frame


def session():
    """[(what is typed, [lines that follow])] of README.md's first block with a prompt."""
    with open(os.getenv("OPENKLINE_ROOT") + "/README.md") as file:
        text = file.read()
    block = text[text.index("```python\n>>> ") :]
    block = block[10 : block.index("\n```")]
    turns = []
    for line in block.split("\n"):
        if line.startswith(">>> "):
            turns.append((line[4:].split("  #")[0].strip(), []))
        else:
            turns[-1][1].append(line)
    return turns


def test_the_readmes_session():
    world = sim.World()
    with open("board.json", "w") as file:
        json.dump(BOARD, file)
    instruments = sim.Module(world.wire, 0x80)
    lights = sim.Module(world.wire, 0xD0)
    changer = sim.Module(world.wire, 0x18)
    changer.on_frame = lambda t, whole: whole[2] == 0x18 and changer.send(frame(0x18, 0xFF, b"\x02\x00"))
    instruments.send(frame(0x80, 0xBF, b"\x11\x01"), at_us=1_000_000)
    lights.send(frame(0xD0, 0xBF, b"\x5b\x00\x00\x00\x00"), at_us=2_000_000)

    shown = []
    scope = {"print": lambda *words: shown.append(" ".join([str(word) for word in words]))}
    turns = session()
    assert len(turns) >= 6
    for typed, follows in turns:
        del shown[:]
        try:
            value = eval(typed, scope)
            if value is not None:
                shown.append(repr(value))
        except SyntaxError:
            exec(typed, scope)
        assert shown == follows, (typed, shown, follows)
