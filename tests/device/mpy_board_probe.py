"""The hardware probe runs, and measures on the virtual board what the model is made of."""

import builtins
import os
import sys

import sim

sys.path.append(os.getenv("OPENKLINE_ROOT") + "/tests/hardware")


def _rows(tries, **board):
    world = sim.World(board=board)
    import board_probe

    lines = []
    plain = builtins.print
    builtins.print = lambda *args: lines.append(args[0])
    try:
        stages = (("stage", board.get("tx_invert", True), board.get("rx_invert", False)),)
        board_probe.probe(stages=stages, tries=tries)
    finally:
        builtins.print = plain
    assert world.errors == []
    assert lines[-1].startswith("done")
    rows = {}
    for line in lines[:-1]:
        stage, what, value, expected = line.split("\t")
        assert stage == "stage" and expected
        rows[what] = value
        print(line)
    return rows


def _median(text):
    return int(text.split("/")[1])


def _check(rows):
    for what in (
        "edges when constructed on spare",
        "byte values that came back wrong",
        "windows that were not silent",
        "pin callbacks that never came",
        "pad not quiet after the release, of 10",
        "wrong echoes after it, of 10",
    ):
        assert rows[what] == "0", (what, rows[what])
    assert 1500 <= _median(rows["time_pulse_us over 1500 silent us"]) < 1520
    assert 20 <= _median(rows["write() to start bit"]) < 50
    assert 20 <= _median(rows["end of silent window to start bit"]) < 60
    assert 1140 <= _median(rows["start bit to any() > 0"]) < 1200
    assert 10 <= _median(rows["start bit to pin callback"]) < 200


def test_an_inverting_stage():
    rows = _rows(10)
    _check(rows)
    assert rows["edges when constructed with TX"] == "2"


def test_a_stage_that_does_not_invert():
    rows = _rows(5, tx_invert=False)
    _check(rows)
    assert rows["edges when constructed with TX"] == "0"


def test_without_the_wire_it_says_so_and_ends():
    world = sim.World()
    world.board.stage.set_fault("rx_open")
    import board_probe

    lines = []
    plain = builtins.print
    builtins.print = lambda *args: lines.append(args[0])
    try:
        board_probe.probe(stages=(("stage", True, False),), tries=5)
    finally:
        builtins.print = plain
    assert lines[-2].startswith("stage\tbyte values that came back wrong\t256\t"), lines
