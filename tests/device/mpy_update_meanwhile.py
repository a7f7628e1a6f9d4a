"""What goes on during an update: the bus, messages, the link; and what it costs in memory."""

import gc
import hashlib

import sim
import slot_app
from mpy_load import Flood
from rig import board as kline_board
from rig import frame
from update_rig import BOARD, PASSWORD, RESET, Board, Done, hello, pack

from kline.device.updater import Updater
from kline.protocol.checksum import crc16
from kline.protocol.link import host_records, records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.link import OPEN
from kline.protocol.update import codes

NEW = slot_app.files("0.2.0", filler=bytes(range(256)) * 20)


def test_every_frame_of_a_full_bus_is_reported_during_an_update_with_slow_flash():
    board = Board(blocks=128)
    files = dict(NEW)
    files["kline/more.bin"] = hashlib.sha256(b"").digest() * 1700
    data = pack(files)
    made = []

    def prepare(world):
        board.flash.world = world

    def script(pc):
        yield from pc.opened()
        made.append(Flood(pc.world, 25))
        begun_us = pc.world.now
        assert (yield from pc.upload(data))[:2] == (codes.OK, codes.STATE_SWITCHING)
        print("update of %d bytes: %.1f s (modelled)" % (len(data), (pc.world.now - begun_us) / 1e6))

    gc.collect()
    assert board.start(script, limit_s=120, prepare=prepare) == RESET
    frames = board.pc.frames
    print("frames %d of %d, blocks erased %d" % (len(frames), len(made[0].sent), board.flash.erased))
    assert len(frames) > 200
    assert frames == made[0].sent[: len(frames)]
    assert board.pc.world.usb.lost == 0


def test_an_update_in_obd_mode():
    board = Board(fields=dict(BOARD, mode="obd"))
    assert board.start(lambda pc: pc.upload(pack(NEW))) == RESET
    assert board.start(hello) == Done
    assert slot_app.running == ["0.1.0", "0.2.0"]


class Deaf:
    """Nothing comes from the board for a while once its new slot is whole."""

    def __init__(self, world):
        self.world = world
        self.from_us = None

    def apply(self, data):
        if self.from_us is None:
            with open("boot.json") as file:
                if "trial" in file.read():
                    self.from_us = self.world.now
        lost = self.from_us is not None and self.world.now < self.from_us + 700_000
        return (b"" if lost else data), 0


def test_the_board_waits_with_its_restart_until_the_pc_knows():
    board = Board(before=None)
    heard = []

    def script(pc):
        pc.host.from_device = Deaf(pc.world)
        heard.append((yield from pc.upload(pack(NEW))))
        yield from pc.wait(0.3)

    assert board.start(script) == RESET
    assert heard and heard[0][1] == codes.STATE_SWITCHING, heard


def until_nothing_is_heard(pc):
    """The whole bundle has gone to the board, which says that it switches: from then on the PC is deaf."""
    pc.host.from_device = Deaf(pc.world)
    yield from pc.opened()
    yield from pc.login()
    yield from pc.begin(pack(NEW))
    yield from pc.data(pack(NEW))
    while pc.host.from_device.from_us is None:
        yield


def test_a_board_that_nobody_hears_restarts_all_the_same():
    board = Board(before=None)

    def script(pc):
        yield from until_nothing_is_heard(pc)
        pc.host.from_device.from_us += 60_000_000

    assert board.start(script) == RESET
    assert board.start(hello) == Done
    assert slot_app.running[-1] == "0.2.0"


def test_once_the_board_switches_it_is_too_late_to_abort():
    board = Board(before=None)

    def script(pc):
        yield from until_nothing_is_heard(pc)
        yield from pc.send(codes.UPDATE_ABORT, 0)
        yield from pc.send(codes.UPDATE_OPEN, codes.pack_open(pc._out, PASSWORD))

    assert board.start(script) == RESET
    assert board.start(hello) == Done
    assert slot_app.running[-1] == "0.2.0"


def test_messages_are_sent_once_each_during_an_update():
    board = Board()
    data = pack(dict(NEW, **{"kline/more.bin": bytes(20_000)}))
    sent = [bytes((0x18, 4, 0xFF, i, 0)) for i in range(20)]
    out = bytearray(32)

    def prepare(world):
        board.flash.world = world
        board.radio = sim.Module(world.wire, 0x68)
        world.at(1_500_000, talk, world)

    def talk(world):
        board.radio.send(frame(0x68, 0x18, b"\x01"))
        world.at(world.now + 70_000, talk, world)

    def script(pc):
        work = pc.upload(data)
        begun_us = None
        for i, body in enumerate(sent):
            while pc.link.state != OPEN or (begun_us and pc.world.now < begun_us + i * 150_000):
                yield next(work)
            begun_us = begun_us or pc.world.now
            n = host_records.pack_transmit(out, i, 5, 0, 0, body)
            while not pc.link.queue(records.TRANSMIT, 0, out, n):
                yield
        yield from work

    ended = board.start(script, prepare=prepare)
    assert ended == RESET, (ended, board.pc.statuses, board.pc.results)
    assert sorted(board.pc.results) == [(i, records.RESULT_SENT) for i in range(20)], board.pc.results
    heard = [f[:-1] for _, f in board.radio.heard if f[0] == 0x18]
    assert heard == sent, heard


def test_the_memory_for_an_update_does_not_grow_with_it():
    """What the steps hold beside the window of the decompressor: measured with every step of a big one."""
    sim.World()
    board = Board(blocks=128)
    files = {"kline/device/module%02d.mpy" % i: bytes((i,)) * 1100 for i in range(45)}
    data = pack(files)
    board.slot = "a"  # all that is asked of a Boot here
    board.on_trial = False
    board.try_next = lambda slot: None
    link = DeviceLink()
    link.queue = lambda kind, channel, buf, n: True
    out = bytearray(160)
    updater = Updater(kline_board(password=PASSWORD), board, link, lambda: 0)
    updater.record(codes.UPDATE_OPEN, out, 0, codes.pack_open(out, PASSWORD))
    n = codes.pack_begin(out, len(data), crc16(data, 0, len(data)), 0, 2)
    gc.collect()
    before = gc.mem_alloc()
    updater.record(codes.UPDATE_BEGIN, out, 0, n)
    while updater.state == codes.STATE_IDLE or updater.state == codes.STATE_OPEN:
        updater.step()
    most = at = 0
    while updater.state != codes.STATE_SWITCHING:
        if at < len(data) and not updater.full():
            n = codes.pack_data(out, at, data[at : at + 128])
            updater.record(codes.UPDATE_DATA, out, 0, n)
            at += 128
        updater.step()
        gc.collect()
        most = max(most, gc.mem_alloc() - before)
        assert updater.state != codes.STATE_IDLE
    print("at most %d bytes for a bundle of %d (64 bit)" % (most, len(data)))
    assert most < 24_000, most
