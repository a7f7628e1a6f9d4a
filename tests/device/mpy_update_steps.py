"""What an update costs the bus while Python and flash take the time they take on a chip: no step holds it up for long.

Sizes are those of the real firmware: the slot that is emptied has as many files, and the bundle as many bytes.
"""

import gc
import hashlib
import os

import sim  # noqa: F401
import slot_app
from mpy_load import Flood
from update_rig import RESET, Board, pack

from kline.device.updater import Updater
from kline.protocol.update import codes

CHIP = "160"
TIMEOUT = 300
HEAP = "64M"
READ_US = 310  # of a flash read: the slow end of what was seen (E2)
LONGEST_US = 200_000
LIMITS_S = (2.8, 45, 15, 120)  # of the PC: openkline/update/updater.py: open, begin, silent, unpack


def module(size, seed):
    """Bytes like those of a module: they don't repeat."""
    out = bytearray()
    while len(out) < size:
        seed = hashlib.sha256(seed).digest()
        out += seed
    return bytes(out[:size])


def firmware(version, sizes):
    files = slot_app.files(version)
    for i, size in enumerate(sizes):
        files["kline/device/obd/module%02d.mpy" % i] = module(size, b"%d" % i)
    return files


def old_layout(slot):
    """What a slot held when each module was a file of its own: 60 files in nine folders."""
    os.mkdir(slot + "/kline/device/obd")
    for folder in ("link", "ibus", "obd", "update"):
        os.mkdir(slot + "/kline/protocol/" + folder)
    for folder in ("device", "device/obd", "protocol", "protocol/link", "protocol/obd", "protocol/update"):
        for i in range(10):
            with open(slot + "/kline/%s/module_%02d.mpy" % (folder, i), "wb") as file:
                file.write(module(1600, folder.encode()))


class Part(Flood):
    """The same frames with silences between them: this share of the bus."""

    def __init__(self, world, seconds, share):
        self.share = share
        super().__init__(world, int(seconds * share))

    def _more(self, _):
        if self.block < len(self.sent):
            part = self.sent[self.block]
            self.block += 1
            self.module.send_raw(part)
            self.world.at(self.world.now + int(len(part) * 1146 / self.share), self._more)


class Steps:
    """Every step of the updater, and what it did."""

    def __init__(self, world):
        self.world = world
        self.longest = []  # (us, state before, after)
        self._step = Updater.step

    def __enter__(self):
        steps = self

        def step(updater):
            charger = steps.world.charger
            charger.settle()
            begun, state = steps.world.now, updater.state
            try:
                steps._step(updater)
            finally:
                charger.settle()
                steps.longest.append((steps.world.now - begun, state, updater.state))
                steps.longest.sort(reverse=True)
                del steps.longest[12:]

        Updater.step = step
        return self

    def __exit__(self, *_):
        Updater.step = self._step


def note(pc, told):
    """told: (time, state) of each status that the PC hears."""
    heard = pc.link.on_record

    def on_record(kind, channel, buf, start, end):
        if kind == codes.UPDATE_STATUS:
            told.append((pc.world.now, codes.unpack_status(buf, start)[1]))
        heard(kind, channel, buf, start, end)

    pc.link.on_record = on_record


def longest_s(told, state):
    """Seconds between one word in this state and the next one."""
    return max([b[0] - a[0] for a, b in zip(told, told[1:]) if a[1] == state]) / 1e6


def update(share, seconds, sizes=(24_000, 16_000, 5000, 4000, 2000, 1000, 1000, 500)):
    """An update while `share` of the bus is in use. -> (board, frames sent, Steps)"""
    board = Board(blocks=512)
    old_layout("b")
    with open("a/more.mpy", "wb") as file:
        file.write(module(85_000, b"a"))
    data = pack(firmware("0.2.0", sizes))
    made = []
    marks = []
    told = []

    def prepare(world):
        board.flash.world = world
        board.flash.read_us = READ_US
        made.append(Steps(world))
        made[0].__enter__()

    def script(pc):
        note(pc, told)
        yield from pc.opened()
        made.append(Flood(pc.world, seconds) if share == 1 else Part(pc.world, seconds, share))
        marks.append(pc.world.now)
        status = yield from pc.login()
        marks.append(pc.world.now)
        assert status[0] == codes.OK
        yield from pc.begin(data)
        marks.append(pc.world.now)
        yield from pc.data(data)
        assert (yield from pc.upload_ends())[:2] == (codes.OK, codes.STATE_SWITCHING), pc.statuses
        marks.append(pc.world.now)

    gc.collect()
    ended = board.start(script, limit_s=seconds + 30, prepare=prepare)
    steps = made[0]
    steps.__exit__()
    spans = [(b - a) / 1e6 for a, b in zip(marks, marks[1:])]
    print("bundle of %d bytes, load %d %%" % (len(data), share * 100))
    print("opened in %.2f s, slot empty in %.1f s, the rest in %.1f s" % tuple(spans))
    quiet = [longest_s(told, state) for state in (codes.STATE_WRITING, codes.STATE_UNPACKING)]
    print("longest without a word: %.1f s of writing, %.1f s of unpacking" % tuple(quiet))
    for known, limit_s in zip(spans[:2] + quiet, LIMITS_S):
        assert 3 * known <= limit_s, (known, limit_s)
    for step in steps.longest:
        print("  step %7d us, state %d -> %d" % step)
    print("frames %d, sent by then %d" % (len(board.pc.frames), len(made[1].sent)))
    assert ended == RESET, (ended, board.pc.statuses, board.pc.text)
    return board, made[1], steps


def check(share, seconds):
    board, flood, steps = update(share, seconds)
    frames = board.pc.frames
    transport = slot_app.current.transport
    assert frames == flood.sent[: len(frames)]
    # All that was read before the restart: the rest is the beginning of a frame.
    left = transport.rx_bytes - sum([len(frame) for frame in frames])
    print("bytes of the bus read %d, of these not delivered %d" % (transport.rx_bytes, left))
    assert 0 <= left < 40
    assert steps.longest[0][0] <= LONGEST_US, steps.longest[0]
    print("bytes from the PC lost while the flash was erased, and repeated: %d" % board.pc.world.usb.lost)


def test_full_load():
    check(1, 90)


def test_a_third_of_it():
    check(0.33, 60)
