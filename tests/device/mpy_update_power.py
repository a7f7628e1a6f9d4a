"""The power fails at every write of an update, and of what follows it: the board always starts, and can be updated.

The file system is a real littlefs; a write is a program or an erase of its flash. Each is tried twice: not done, and
half done.
"""

import binascii
import gc
import hashlib
import json

import sim  # noqa: F401
import slot_app
from sim.flash import PowerCut
from update_rig import RESET, Board, Done, hello, pack

from kline.protocol.update import codes

TIMEOUT = 120
OLD, NEW, NEXT = "0.1.0", "0.2.0", "0.3.0"
FILLER = b"filler" * 150


def updating(version):
    data = pack(slot_app.files(version, filler=FILLER), tuple(int(n) for n in version.split(".")))

    def script(pc):
        status = yield from pc.upload(data, version=data[5:7])
        assert status[:2] == (codes.OK, codes.STATE_SWITCHING), status

    return script


def whole_slots(board):
    """A slot whose slot.json can be read has all its files. -> their names"""
    board.flash.power_on()
    found = []
    for slot in ("a", "b"):
        try:
            with open(slot + "/slot.json") as file:
                files = json.load(file)["files"]
        except (OSError, ValueError):
            continue
        for path, digest in files.items():
            with open(slot + "/" + path, "rb") as file:
                assert binascii.hexlify(hashlib.sha256(file.read()).digest()).decode() == digest, (slot, path)
        found.append(slot)
    return found


def until_confirmed(board, version, script):
    """Updates and restarts as often as it takes without a power cut; the update must succeed at once."""
    assert board.start(script) == RESET
    assert board.start(hello) == Done
    assert slot_app.running[-1] == version, slot_app.running


def cut_at(flashed, n, tear, new, following):
    """One power cut. -> False when the update was through before it."""
    board = flashed.copy()
    del slot_app.running[:]
    board.flash.fail_at(n, tear)
    ended = board.start(new)
    if ended == RESET:
        ended = board.start(hello)
    if ended != PowerCut:
        return False
    assert whole_slots(board)
    # Power is back. Whatever is there runs, says HELLO, and stays what it is.
    assert board.start(hello) == Done, "cut %d: no HELLO" % n
    first = slot_app.running[-1]
    assert first in (OLD, NEW), slot_app.running
    assert board.start(hello) == Done
    assert slot_app.running[-1] == first, (n, tear, slot_app.running)
    until_confirmed(board, NEXT, following)
    return True


def sweep(both):
    """both: each write not done and half done; else the one or the other in turn."""
    flashed = Board(running=OLD)
    new, following = updating(NEW), updating(NEXT)
    n = 1
    while cut_at(flashed, n, bool(n & 1), new, following):
        if both:
            assert cut_at(flashed, n, not n & 1, new, following)
        n += 1
        gc.collect()
    print("writes:", n - 1)
    assert n > 60


def test_a_power_cut_at_every_write_of_an_update():
    sweep(both=False)


def test_bytes_that_are_called_safe_are():
    """The power fails as soon as the PC has heard of them; the file has them all the same."""
    data = pack(slot_app.files(NEW, filler=bytes(range(256)) * 50))
    board = Board(running=OLD)
    seen = [0]

    def script(pc):
        yield from pc.opened()
        yield from pc.login()
        yield from pc.begin(data)
        sending = pc.data(data)
        while not pc.statuses or pc.statuses[-1][2] <= seen[-1]:
            next(sending, None)
            yield
        seen.append(pc.statuses[-1][2])
        pc.world.interrupt(PowerCut())

    while seen[-1] < len(data):
        assert board.start(script) == PowerCut
        board.flash.power_on()
        with open("b/update.okb", "rb") as file:
            written = file.read()
        assert len(written) >= seen[-1] and written == data[: len(written)], (len(written), seen)
    assert len(seen) > 3 and seen[1] < 5000, seen


def soak_power_cuts_at_every_write_done_by_half_and_not_at_all():
    sweep(both=True)


def soak_power_cuts_one_after_the_other():
    """The power fails again and again, at any moment; what comes through must be an update that is whole."""
    board = Board(running=OLD)
    rng = sim.World(seed=99).rng
    done = 0
    former = OLD
    for i in range(600):
        before = slot_app.running[-1] if slot_app.running else OLD
        version = "0.%d.0" % (i % 200 + 4)
        board.flash.fail_at(rng.between(1, 140), bool(i & 1))
        ended = board.start(updating(version))
        if ended == RESET:
            ended = board.start(hello)
        assert whole_slots(board)
        # The one before may have been whole, and cut off in the first moment of its trial: then it is tried now.
        assert slot_app.running[-1] in (before, former, version), (i, former, slot_app.running[-3:])
        former = version
        done += ended == Done
        del slot_app.running[:-1]
        gc.collect()
    print("updates that came through:", done)
    assert 100 < done < 500
