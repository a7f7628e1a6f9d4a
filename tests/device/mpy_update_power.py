"""The power fails at every write of an update, and of what follows it: the board always starts, and can be updated.

The file system is a real littlefs; a write is a program or an erase of its flash. Each is tried twice: not done, and
half done.
"""

import gc

import sim  # noqa: F401
import slot_app
from sim.flash import PowerCut
from update_rig import RESET, Board, Late, pack

from kline.protocol import update

TIMEOUT = 120
OLD, NEW, NEXT = "0.1.0", "0.2.0", "0.3.0"
FILLER = b"filler" * 150


def updating(version):
    data = pack(slot_app.files(version, filler=FILLER), tuple(int(n) for n in version.split(".")))

    def script(pc):
        status = yield from pc.upload(data, version=data[5:7])
        assert status[:2] == (update.OK, update.STATE_SWITCHING), status

    return script


def hello(pc):
    yield from pc.opened()


def until_confirmed(board, version, script):
    """Updates and restarts as often as it takes without a power cut; the update must succeed at once."""
    assert board.start(script) == RESET
    assert board.start(hello, limit_s=3) == Late
    assert slot_app.running[-1] == version, slot_app.running


def cut_at(flashed, n, tear, new, following):
    """One power cut. -> False when the update was through before it."""
    board = flashed.copy()
    del slot_app.running[:]
    board.flash.fail_at(n, tear)
    ended = board.start(new)
    if ended == RESET:
        ended = board.start(hello, limit_s=3)
    if ended != PowerCut:
        return False
    # Power is back. Whatever is there runs, says HELLO, and stays what it is.
    assert board.start(hello, limit_s=3) == Late, "cut %d: no HELLO" % n
    first = slot_app.running[-1]
    assert first in (OLD, NEW), slot_app.running
    assert board.start(hello, limit_s=3) == Late
    assert slot_app.running[-1] == first, (n, tear, slot_app.running)
    until_confirmed(board, NEXT, following)
    return True


def sweep(every):
    flashed = Board(running=OLD)
    new, following = updating(NEW), updating(NEXT)
    n = 1
    cuts = 0
    while cut_at(flashed, n, cuts & 1, new, following):
        if every == 1:
            assert cut_at(flashed, n, True, new, following)
        n += every
        cuts += 1
        gc.collect()
    print("power cuts:", cuts, "operations:", n)
    assert cuts >= 10


def test_power_cuts_all_over_an_update():
    sweep(7)


def soak_a_power_cut_at_every_write_of_an_update():
    sweep(1)
