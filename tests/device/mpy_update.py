"""Updates of a flashed board through the link: the whole way, and every refusal with its code."""

import json
import os

import sim  # noqa: F401
import slot_app
from rig import board as kline_board
from update_rig import BOARD, PASSWORD, RESET, Board, Done, Late, hello, pack

from kline.device.updater import Updater
from kline.protocol.checksum import crc16
from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.update import codes

_SLOTS = records.RUNS_SLOT_A | records.RUNS_SLOT_B
RUNNING = ("a", "boot.json", "board.json")
NEW = slot_app.files("0.2.0", filler=bytes(range(256)) * 20)


def refusal(code):
    return (code, codes.STATE_IDLE, 0, 0)


def run(script, board=None, limit_s=200, **options):
    """Starts a board (a new one), and lets the PC's script run to its end. -> the board"""
    board = board or Board(**options)
    before = board.digest(*RUNNING)

    def whole(pc):
        yield from pc.opened()
        yield from script(pc)
        pc.world.interrupt(Done())

    assert board.start(whole, limit_s=limit_s) == Done, board.pc.text
    assert board.digest(*RUNNING) == before, "the running slot has changed"
    return board


def test_an_update_is_tried_confirmed_and_stays():
    board = Board()
    data = pack(NEW)
    counts = []

    def script(pc):
        yield from pc.opened()
        assert pc.capabilities & records.CAN_UPDATE
        assert pc.capabilities & _SLOTS == records.RUNS_SLOT_A
        assert (yield from pc.login()) == (codes.OK, codes.STATE_OPEN, 0, 0)
        assert (yield from pc.begin(data)) == (codes.OK, codes.STATE_WRITING, 0, 0)
        yield from pc.data(data)
        while True:
            code, state, count, _ = yield from pc.status()
            assert code == codes.OK
            counts.append((state, count))

    assert board.start(script) == RESET
    whole = len(data)
    states = codes.STATE_UNPACKING, codes.STATE_SWITCHING
    assert counts[-3:] == [(codes.STATE_WRITING, whole)] + [(state, whole) for state in states], counts
    assert all(0 < b - a < 8192 for (_, a), (_, b) in zip(counts[:-3], counts[1:-2])), counts
    with open("boot.json") as file:
        assert json.load(file) == {"slot": "a", "trial": "b"}
    for script in (lambda pc: pc.opened(), hello):
        assert board.start(script, limit_s=70) in (Late, Done)  # the trial's minute is over
        assert board.pc.version == (0, 2, 0)
        assert board.pc.capabilities & _SLOTS == records.RUNS_SLOT_B  # already while it is on trial
        with open("boot.json") as file:
            assert json.load(file) == {"slot": "b"}
    assert slot_app.running == ["0.1.0", "0.2.0", "0.2.0"]
    with open("b/slot.json") as file:
        found = json.load(file)
    assert (found["version"], found["board"]) == ("0.2.0", "SIM")
    assert sorted(found["files"]) == sorted(NEW)
    for path, data in NEW.items():
        with open("b/" + path, "rb") as file:
            assert file.read() == data, path
    assert "update.okb" not in os.listdir("b")
    # and back into a
    board.start(lambda pc: pc.upload(pack(NEW, (0, 3, 0)), version=(0, 3)))
    assert board.start(hello) == Done
    with open("boot.json") as file:
        assert json.load(file) == {"slot": "a"}


def test_what_the_bundle_says_about_itself_is_checked():
    good = pack(NEW)
    path = "kline/device/app.py"
    other = dict(NEW)
    other["../boot.json"] = b"{}"
    rooted = dict(NEW)
    rooted["slot.json"] = b"{}"
    damaged = bytearray(good)
    damaged[-100] ^= 1
    cases = (
        (pack(NEW, boards="ESP32_GENERIC,ESP32_GENERIC_C3"), codes.ERROR_WRONG_BOARD),
        (pack(NEW, mpy=5), codes.ERROR_UNSUPPORTED),
        (good[:4] + b"\x02" + good[5:], codes.ERROR_UNSUPPORTED),
        (good[:9] + b"\x10" + good[10:], codes.ERROR_BUNDLE),
        (b"OKB2" + good[4:], codes.ERROR_BUNDLE),
        (pack(NEW, version=(0, 3, 0)), codes.ERROR_BUNDLE),  # announced: 0.2
        (pack(NEW, digests={path: bytes(32)}), codes.ERROR_BUNDLE),
        (pack(NEW, count=len(NEW) + 1), codes.ERROR_BUNDLE),
        (pack(NEW, count=len(NEW) - 1), codes.ERROR_BUNDLE),
        (pack(other), codes.ERROR_BUNDLE),
        (pack(rooted), codes.ERROR_BUNDLE),
        (bytes(damaged), codes.ERROR_BUNDLE),
        (good[:-50], codes.ERROR_BUNDLE),
        (good[:30] + bytes(range(255, 0, -1)) * 9, codes.ERROR_BUNDLE),
        (bytes(100), codes.ERROR_BUNDLE),
    )

    def script(pc):
        for i, (data, code) in enumerate(cases):
            status = yield from pc.upload(data)
            assert status == refusal(code), (i, status, code)
            assert "slot.json" not in os.listdir("b"), i

    board = run(script)
    assert board.start(lambda pc: pc.upload(pack(NEW, boards="X,SIM"))) == RESET
    assert board.start(hello) == Done
    assert slot_app.running[-1] == "0.2.0"


def test_what_the_pc_says_about_the_bundle_is_checked():
    data = pack(NEW)

    def data_of(pc, offset, part):
        yield from pc.send(codes.UPDATE_DATA, codes.pack_data(pc._out, offset, part))

    def ready(pc, **options):
        yield from pc.login()
        status = yield from pc.begin(data, **options)
        assert status == (codes.OK, codes.STATE_WRITING, 0, 0), status

    def script(pc):
        assert (yield from pc.begin(data)) == refusal(codes.ERROR_NOT_INITIALISED)
        for length in (0, 16, 65536, 0xFFFFFFFF):
            yield from pc.login()
            assert (yield from pc.begin(data, length=length)) == refusal(codes.ERROR_WRONG_LENGTH), length
            assert (yield from pc.begin(data)) == refusal(codes.ERROR_NOT_INITIALISED)
        assert (yield from pc.upload(data, crc=crc16(data, 0, len(data)) ^ 1)) == refusal(codes.ERROR_CRC)
        # too long: a byte more in its last record, and a record more
        yield from ready(pc, length=len(data) - 1)
        yield from pc.data(data)
        assert (yield from pc.upload_ends()) == refusal(codes.ERROR_WRONG_LENGTH)
        yield from ready(pc)
        yield from pc.data(data + bytes(128 - len(data) % 128 + 128))
        assert (yield from pc.upload_ends()) == refusal(codes.ERROR_WRONG_LENGTH)
        # too short: nothing more comes
        yield from ready(pc)
        yield from pc.data(data[:-1])
        begun_us = pc.world.now
        assert (yield from pc.upload_ends()) == refusal(codes.ERROR_WRONG_LENGTH)
        assert 29 < (pc.world.now - begun_us) / 1e6 < 32
        # a hole, a repetition, a part without data, one that is too big
        for offset, part in ((127, b"x"), (129, b"x"), (128, b""), (128, bytes(129)), (0xFFFFFFFF, b"x")):
            yield from ready(pc)
            yield from data_of(pc, 0, data[:128])
            yield from data_of(pc, offset, part)
            assert (yield from pc.upload_ends()) == refusal(codes.ERROR_CHUNK), offset

    run(script)


def test_abort_busy_and_what_comes_too_late():
    data = pack(NEW)

    def script(pc):
        yield from pc.login()
        assert (yield from pc.begin(data)) == (codes.OK, codes.STATE_WRITING, 0, 0)
        yield from pc.data(data[:1000])
        for kind, n in (
            (codes.UPDATE_OPEN, codes.pack_open(pc._out, PASSWORD)),
            (codes.UPDATE_BEGIN, codes.pack_begin(pc._out, 100, 0, 0, 0)),
        ):
            yield from pc.send(kind, n)
            assert (yield from pc.status()) == (codes.ERROR_BUSY, codes.STATE_WRITING, 0, 0)
        yield from pc.send(codes.UPDATE_ABORT, 0)
        assert (yield from pc.status()) == refusal(codes.OK)
        yield from pc.data(data[:1000])  # its late rest
        yield from pc.wait(1)
        assert pc.statuses == []
        yield from pc.login()
        yield from pc.wait(62)
        assert (yield from pc.begin(data)) == refusal(codes.ERROR_NOT_INITIALISED)

    board = run(script)
    assert board.start(lambda pc: pc.upload(data)) == RESET


def test_a_client_that_vanishes_leaves_nothing_behind():
    data = pack(NEW)

    def script(pc):
        for size in (0, 1, 700, len(data) - 1, len(data)):
            yield from pc.login()
            yield from pc.begin(data)
            yield from pc.data(data[:size])
            if size == len(data):
                while not pc.statuses or pc.statuses[-1][1] != codes.STATE_UNPACKING:
                    yield
            else:
                yield from pc.wait(0.3)
            pc.link.open(0x77000101 + size)  # another program, another session
            yield
            yield from pc.opened()
            yield from pc.wait(0.3)
            assert [s for s in pc.statuses if s[0] != codes.OK] == [], pc.statuses
            del pc.statuses[:]
            assert (yield from pc.begin(data)) == refusal(codes.ERROR_NOT_INITIALISED)
        yield from pc.login()
        yield from pc.begin(data)
        yield from pc.data(data[:700])
        pc.link.close()  # the cable
        yield from pc.wait(40)
        pc.link.open(pc.link.handshake.number())
        yield from pc.opened()
        assert (yield from pc.upload_ends()) == refusal(codes.ERROR_WRONG_LENGTH)

    board = run(script)
    assert "slot.json" not in os.listdir("b")
    assert board.start(hello) == Done
    assert slot_app.running == ["0.1.0", "0.1.0"]
    assert board.start(lambda pc: pc.upload(data)) == RESET


def test_wrong_passwords_make_it_wait_longer_and_longer():
    def wrong(pc, expected):
        for wait_s in expected:
            assert (yield from pc.login(wait_s)) == (codes.ERROR_PASSWORD, codes.STATE_IDLE, 0, wait_s)
            status = yield from pc.login()  # the right one, too early
            assert status[:3] == (codes.ERROR_PASSWORD, codes.STATE_IDLE, 0) and 0 < status[3] <= wait_s, status
            yield from pc.wait(wait_s + 1)

    def script(pc):
        yield from wrong(pc, (1, 2, 4))
        assert (yield from pc.login()) == (codes.OK, codes.STATE_OPEN, 0, 0)
        yield from wrong(pc, (1, 2, 4, 8))  # counted from the beginning again

    board = run(script)

    def after_restart(pc):
        code, _, _, wait_s = yield from pc.login()
        assert code == codes.ERROR_PASSWORD and 4 <= wait_s <= 8, (code, wait_s)
        yield from pc.wait(wait_s + 1)
        assert (yield from pc.login())[0] == codes.OK

    run(after_restart, board)
    run(lambda pc: pc.login(), board)
    with open("wrong.json") as file:
        assert json.load(file) == 0
    for content in ("", "{}", "[1", '"x"', "-5", "null", "1e999"):
        with open("wrong.json", "w") as file:
            file.write(content)

        def open_at_once(pc):
            assert (yield from pc.login())[0] == codes.OK

        run(open_at_once, board)


def test_the_wait_after_wrong_passwords_ends_at_an_hour():
    board = Board()  # for its file system
    clock = [0]
    link = DeviceLink()
    out = bytearray(8)
    waits = []
    link.queue = lambda kind, channel, buf, n: waits.append(codes.unpack_status(buf)[3]) or True
    board.slot = "a"  # all that is asked of a Boot here
    updater = Updater(kline_board(password=PASSWORD), board, link, lambda: clock[0])
    for i in range(16):
        n = codes.pack_open(out, i)
        updater.record(codes.UPDATE_OPEN, out, 0, n)
        updater.step()
        clock[0] += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600, 3600], waits
    clock[0] = 3599  # after a restart
    updater = Updater(kline_board(password=PASSWORD), board, link, lambda: clock[0])
    for expected in (1, 0):
        updater.record(codes.UPDATE_OPEN, out, 0, codes.pack_open(out, PASSWORD))
        updater.step()
        assert waits[-1] == expected, waits
        clock[0] += 1
    assert updater.state == codes.STATE_OPEN


def test_boards_without_password_or_slots_refuse():
    slots = []

    def script(pc):
        assert not pc.capabilities & records.CAN_UPDATE
        slots.append(pc.capabilities & _SLOTS)
        assert (yield from pc.login()) == refusal(codes.ERROR_UNSUPPORTED)

    fields = dict(BOARD)
    del fields["password"]
    run(script, fields=fields)
    board = Board(before=None)
    os.remove("a/slot.json")  # what is started then is the source tree's
    run(script, board)
    assert slots == [records.RUNS_SLOT_A, 0]


def test_a_full_file_system_is_told():
    big = dict(NEW)
    big["kline/big.bin"] = bytes(60_000)
    data = pack(big)

    def script(pc):
        assert (yield from pc.upload(data)) == refusal(codes.ERROR_NO_ROOM)

    for blocks in (20, 34, 40):  # not for the bundle, not for its contents, nearly
        board = run(script, blocks=blocks)
        assert board.start(hello) == Done
    assert set(slot_app.running) == {"0.1.0"}


def test_a_file_system_that_cannot_be_written_is_told():
    board = Board()
    data = pack(NEW)

    def script(pc):
        yield from pc.login()
        board.flash.broken = True
        assert (yield from pc.begin(data)) == refusal(codes.ERROR_FILE_SYSTEM)
        board.flash.broken = False
        yield from pc.login()
        yield from pc.begin(data)
        yield from pc.data(data[:5000])
        board.flash.broken = True
        yield from pc.send(codes.UPDATE_DATA, codes.pack_data(pc._out, 5000, data[5000:5128]))
        assert (yield from pc.upload_ends()) == refusal(codes.ERROR_FILE_SYSTEM)

    run(script, board)
