"""The examples run as they are, on the virtual board, until Ctrl-C."""

import builtins
import json
import os

import sim
from rig import BOARD, frame

IGNITION = frame(0x80, 0xBF, b"\x11\x01")
VOLUME = frame(0x50, 0x68, b"\x32\x11")


def _run(name, seconds):
    """-> (world, printed lines) of an example that gets Ctrl-C after so long, with two frames on the wire."""
    world = sim.World(board=BOARD)
    ours = world.board.stage.driver.record()
    with open("board.json", "w") as file:
        json.dump(BOARD, file)
    sim.Module(world.wire, 0x80).send(IGNITION, at_us=100_000)
    sim.Module(world.wire, 0x50).send(VOLUME, at_us=300_000)
    world.at(int(seconds * 1_000_000), lambda _: world.interrupt(KeyboardInterrupt()), None)
    with open(os.getenv("OPENKLINE_ROOT") + "/firmware/examples/" + name) as file:
        code = file.read()
    lines = []
    plain = builtins.print
    builtins.print = lambda *words: lines.append(" ".join([str(word) for word in words]))
    try:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    finally:
        builtins.print = plain
    assert world.errors == [], world.errors
    assert len(ours) == 0, "a sniffer says nothing"
    return world, lines


def test_sniffer():
    _, lines = _run("sniffer.py", 0.5)
    assert lines == [
        "80 04 bf 11 01 2b  IKE -> GLO  Ignition",
        "50 04 68 32 11 1f  MFL -> RAD  Volume",
    ], lines


def test_sniffer_asyncio():
    world, lines = _run("sniffer_asyncio.py", 5.5)
    assert lines == [
        "80 04 bf 11 01 2b  IKE -> GLO  Ignition",
        "50 04 68 32 11 1f  MFL -> RAD  Volume",
        "seen: IKE 1, MFL 1",
    ], lines
    assert world.now < 6_000_000
