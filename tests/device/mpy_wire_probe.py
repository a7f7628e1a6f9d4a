"""What doctor's questions measure on the board, on the virtual clock; and that nobody notices them."""

import sim
from rig import Rig, frame
from sim import faults

from kline.protocol.link import probe, records

OURS = b"\x18\x04\xff\x02\x00"
BIT_US = 104


class Patient(Rig):
    """ask() makes one call and waits for its end."""

    def __init__(self, fault=None, **options):
        self.answers, self.ends, self._id = [], [], 0
        super().__init__(**options)
        if fault:
            faults.apply(self.world, fault)
        self.driver = self.world.board.stage.driver.record()

    def _on_record(self, kind, channel, buf, start, end):
        super()._on_record(kind, channel, buf, start, end)
        if kind == probe.PROBE_ANSWER:
            self.answers.append((buf[start + 2], bytes(memoryview(buf)[start + 3 : end])))
        elif kind == probe.PROBE_END:
            self.ends.append((records.get_u16(buf, start), buf[start + 2]))

    def ask(self, operation, arguments=b""):
        """(code, data or None)"""
        self._id += 1
        self.answers.clear()
        out = bytearray(300)
        n = probe.pack_call(out, self._id, operation, arguments)
        begun = self.world.now
        assert self.pc.queue(probe.PROBE_CALL, 0, out, n)
        self.turn_until(lambda: self.ends and self.ends[-1][0] == self._id, 2)
        self.took_us = self.world.now - begun
        assert len(self.answers) <= 1
        return self.ends[-1][1], self.answers[0][1] if self.answers else None

    def pulse(self, flags=0, us=1000):
        code, data = self.ask(probe.OP_PULSE, bytes((flags, us & 0xFF, us >> 8)))
        assert code == probe.PROBE_DONE, code
        return probe.unpack_pulse(data)

    def echo(self, baud, dominant=1):
        """(bytes that came back, widths)"""
        arguments = bytearray(5)
        records.put_u32(arguments, 0, baud)
        arguments[4] = dominant
        code, data = self.ask(probe.OP_ECHO, arguments)
        assert code == probe.PROBE_DONE, code
        n = data[0]
        return data[1 : 1 + n], probe.unpack_widths(data, 1 + n)

    def watch(self, dominant=1):
        data = self.ask(probe.OP_WATCH, bytes((dominant, probe.MAX_PIECES)))[1]
        return data[0], data[1], probe.unpack_widths(data, 2)


def test_listening_leaves_the_wire_alone():
    for fault in (None,) + tuple(faults.NAMES):
        rig = Patient(fault)
        before = len(rig.driver)
        tx = rig.world.board.stage.tx_pad.net.record()
        rig.ask(probe.OP_RX_PULLS)
        rig.watch()
        rig.watch(0)
        rig.ask(probe.OP_BOARD, b"\x00")
        rig.ask(probe.OP_FILE, b"\x00\x00")
        rig.ask(probe.OP_LINK_ECHO, b"hello")
        assert len(rig.driver) == before and len(tx) == 0, fault


def test_a_healthy_stage():
    rig = Patient()
    assert rig.ask(probe.OP_RX_PULLS) == (probe.PROBE_DONE, b"\x07")
    assert rig.watch() == (1, probe.SEEN_RECESSIVE, [])
    assert rig.ask(probe.OP_TX_PULLS) == (probe.PROBE_DONE, b"\x70")
    levels, fall, rise = rig.pulse()
    assert (levels, fall, rise) == (0b101, probe.AT_ONCE, probe.AT_ONCE), (levels, fall, rise)
    for baud in (2400, 4800, 9600, 10400, 19200):
        bit = 1_000_000 // baud
        got, lows = rig.echo(baud)
        assert got == probe.pattern(baud) and abs(min(lows) - bit) <= 2, (baud, lows)
        assert baud < 4800 or abs(max(lows) - 10 * bit) <= 8, (baud, lows)
        got, highs = rig.echo(baud, 0)
        assert got == probe.pattern(baud) and abs(min(highs) - bit) <= 2, (baud, highs)


def test_each_call_is_short_and_what_it_sends_is_shorter_than_a_frame():
    rig = Patient()
    frame_us = 5 * 11 * 1_000_000 // 9600
    for operation, arguments in (
        (probe.OP_ECHO, b"\x60\x09\x00\x00\x01"), (probe.OP_ECHO, b"\xc0\x12\x00\x00\x01"),
        (probe.OP_ECHO, b"\x80\x25\x00\x00\x01"), (probe.OP_ECHO, b"\xa0\x28\x00\x00\x01"),
        (probe.OP_ECHO, b"\x00\x4b\x00\x00\x00"), (probe.OP_PULSE, b"\x00\xd0\x07"), (probe.OP_PULSE, b"\x02\xd0\x07"),
        (probe.OP_PULSE, b"\x01\xd0\x07"), (probe.OP_TX_PULLS, b""), (probe.OP_WATCH, b"\x01\x04"),
        (probe.OP_RX_PULLS, b""),
    ):  # fmt: skip
        rig.driver = rig.world.board.stage.driver.record()
        assert rig.ask(operation, arguments)[0] == probe.PROBE_DONE
        times = [t for t, _ in rig.driver]
        assert not times or times[-1] - times[0] < frame_us, (operation, arguments, times)
        # The PC's question and the board's answer wait for a tick of 10 ms each.
        assert rig.took_us < 50_000 + 25_000, (operation, arguments, rig.took_us)


def test_the_bus_goes_on_afterwards():
    rig = Patient()
    radio = sim.Module(rig.world.wire, 0x68)
    for number, (operation, arguments) in enumerate((
        (probe.OP_RX_PULLS, b""), (probe.OP_TX_PULLS, b""), (probe.OP_PULSE, b"\x00\xe8\x03"),
        (probe.OP_PULSE, b"\x02\xe8\x03"), (probe.OP_ECHO, b"\x60\x09\x00\x00\x01"), (probe.OP_PULSE, b"\x01\xe8\x03"),
    )):  # fmt: skip
        assert rig.ask(operation, arguments)[0] == probe.PROBE_DONE
        assert rig.frames == [] and rig.world.wire.level == 1
        rig.transmit(number, OURS)
        radio.send(frame(0x68, 0x18, bytes((number,))))
        rig.turn_until(lambda: len(rig.results) == number + 1 and len(rig.frames) == 2)
        assert rig.results[-1][:2] == (number, records.RESULT_SENT), (operation, rig.results)
        rig.turn_for(0.1)
        del rig.frames[:]


def test_rx_that_can_only_be_an_input():
    """GPIO 34 to 39 of an ESP32: the question for exchanged wires has no answer there, and TX is the UART's again."""
    rig = Patient()
    rx, tx = rig.world.board.pad(16), rig.world.board.pad(17)
    rx.input_only = True
    source = tx.source
    assert rig.ask(probe.OP_PULSE, b"\x01\xe8\x03") == (probe.PROBE_BAD_CALL, None)
    assert tx.source == source and len(rig.driver) == 0
    assert rig.pulse()[0] == 0b101
    rig.transmit(1, OURS)
    rig.turn_until(lambda: rig.results)
    assert rig.result_codes() == [records.RESULT_SENT]


def test_the_pins_are_given_back_when_the_cable_is_pulled_meanwhile():
    for operation, arguments in (
        (probe.OP_TX_PULLS, b""), (probe.OP_PULSE, b"\x00\xe8\x03"), (probe.OP_PULSE, b"\x01\xe8\x03"),
    ):  # fmt: skip
        rig = Patient()
        pads = rig.world.board.pad(16), rig.world.board.pad(17)
        sources = [pad.source for pad in pads]

        def pull(_, rig=rig, pads=pads, sources=sources):
            if [pad.source for pad in pads] != sources:
                rig.host.link = None  # what the board says is heard by nobody, and nothing comes any more
            else:
                rig.world.at(rig.world.now + 100, pull)

        pull(None)
        out = bytearray(40)
        assert rig.pc.queue(probe.PROBE_CALL, 0, out, probe.pack_call(out, 1, operation, arguments))
        rig.turn_for(0.5)
        assert rig.host.link is None and rig.ends == [], operation
        assert [pad.source for pad in pads] == sources and rig.world.board.stage.driver.level == 1, operation
        sim.Module(rig.world.wire, 0x68).send(frame(0x68, 0x18, b"\x01"))
        rig.turn_until(lambda rig=rig: rig.app.ibus.handler.scanner.frames == 1, 0.1)


def test_the_pull_of_rx_is_given_back_too():
    from machine import Pin

    rig = Patient()
    rig.app.transport.config.rx_invert = True
    rig.pulse(probe.PULSE_PULLED)
    assert rig.world.board.pad(16).pull == Pin.PULL_UP


def test_it_waits_for_a_pause():
    rig = Patient()
    rude = sim.Module(rig.world.wire, 0x68, polite=False)
    rude.send_raw(bytes(200))
    rig.turn_for(0.02)
    before = len(rig.driver)
    assert rig.ask(probe.OP_PULSE, b"\x00\xe8\x03") == (probe.PROBE_BUSY, None)
    assert rig.ask(probe.OP_ECHO, b"\x80\x25\x00\x00\x01")[0] == probe.PROBE_BUSY
    assert rig.ask(probe.OP_TX_PULLS)[0] == probe.PROBE_BUSY
    assert len(rig.driver) == before
    rig.turn_for(0.3)
    assert rig.pulse()[0] == 0b101
    rig.transmit(1, OURS)
    assert rig.ask(probe.OP_PULSE, b"\x00\xe8\x03")[0] == probe.PROBE_BUSY
    rig.turn_until(lambda: rig.results)
    assert rig.result_codes() == [records.RESULT_SENT]


def test_where_rx_and_tx_are_exchanged_it_waits_for_a_pause_too():
    rig = Patient("swapped")
    rude = sim.Module(rig.world.wire, 0x68, polite=False)
    rude.send_raw(bytes(200))
    rig.turn_for(0.02)
    before = len(rig.driver)
    assert rig.ask(probe.OP_PULSE, b"\x01\xe8\x03") == (probe.PROBE_BUSY, None)
    assert len(rig.driver) == before


def test_a_talking_car_is_measured():
    rig = Patient("car_9600")
    widths = []
    for _ in range(20):
        level, seen, found = rig.watch()
        widths += found
    assert len(widths) > 40
    off = [min(w % 1000, 1) for w in widths if abs(w - round(w * 9600 / 1e6) * 1e6 / 9600) > 3]
    assert not off, widths


def test_faults_show():
    for fault, rx_pulls, tx_pulls, levels in (
        ("rx_loose", 0b011, 0x70, 0b111), ("tx_loose", 7, 0x72, 0b111), ("unwired", 0b011, 0x72, 0b111),
        ("swapped", 0, 0x07, 0b000), ("tx_inverted", 0, 0x77, 0b010), ("rx_inverted", 0, 0x00, 0b010),
        ("both_inverted", 7, 0x07, 0b101), ("bus_low", 0, 0x00, 0), ("bus_high", 7, 0x70, 7), ("no_12v", 7, 0x70, 7),
        ("tx_open", 7, 0x70, 7), ("rx_stuck", 0, 0, 0), ("tx_stuck", 0, 0, 0), ("tx_pull_missing", 7, 0x43, 0b101),
        ("rx_pull_missing", 0b011, 0x70, 0b101), ("no_pull_up", 7, 0x70, 0b101),
    ):  # fmt: skip
        rig = Patient(fault)
        rig.turn_for(0.05)
        found = rig.ask(probe.OP_RX_PULLS)[1][0]
        assert found == rx_pulls, (fault, bin(found))
        found = rig.ask(probe.OP_TX_PULLS)[1][0]
        assert found == tx_pulls, (fault, hex(found))
        found = rig.pulse()
        assert found[0] == levels, (fault, found)
        assert rig.world.board.stage.driver.level == (0 if fault in ("tx_inverted", "both_inverted", "tx_stuck") else 1)
    assert found[2] > 2000  # of the missing pull-up
    assert Patient("swapped").pulse(probe.PULSE_SWAPPED)[0] == 0b101
    assert Patient("rx_pull_missing").pulse(probe.PULSE_PULLED)[0] == 0b101
    slow = Patient("slow")
    assert slow.echo(2400)[0] == b"\x55" and slow.echo(9600)[0] != probe.PATTERN
    assert abs(slow.pulse()[2] - 75) < 10
    weak = Patient("weak")
    assert weak.echo(2400)[0] == b"\x55" and weak.echo(9600)[0] != probe.PATTERN


def test_calls_that_can_not_be():
    rig = Patient()
    for operation, arguments in (
        (99, b""), (probe.OP_PULSE, b""), (probe.OP_PULSE, b"\x00\x00\x00"), (probe.OP_PULSE, b"\x00\xd1\x07"),
        (probe.OP_ECHO, b"\x80\x25\x00\x00"), (probe.OP_ECHO, b"\x5f\x09\x00\x00\x01"),
        (probe.OP_ECHO, b"\x01\x96\x00\x00\x01"), (probe.OP_WATCH, b"\x01"),
        (probe.OP_FILE, b"\x00"), (probe.OP_BOARD, b""),
    ):  # fmt: skip
        assert rig.ask(operation, arguments) == (probe.PROBE_BAD_CALL, None), (operation, arguments)
    assert len(rig.driver) == 0


def test_board_and_files():
    import json

    with open("boot.json", "w") as file:
        file.write('{"slot": "b"}')
    rig = Patient()
    text, part = b"", 0
    while True:
        code, data = rig.ask(probe.OP_BOARD, bytes((part,)))
        text += data
        part += 1
        if code == probe.PROBE_NO_MORE:
            break
        assert code == probe.PROBE_DONE and part < 10
    found = json.loads(text)
    assert (found["rx"], found["tx"], found["tx_invert"], found["baud"]) == (16, 17, True, 9600)
    assert found["heap_free"] > 0 and found["fs_free"] > 0 and found["slots"] == 0
    assert found["named"] == "b"
    assert rig.ask(probe.OP_FILE, b"\x00\x00") == (probe.PROBE_NO_MORE, bytes((probe.FILE_NO_SLOT,)) + bytes(32))


def test_files_of_a_slot_are_hashed_again():
    import hashlib
    import json
    import os

    from kline.device import self_probe

    os.mkdir("a")
    os.mkdir("a/kline")
    contents = {"kline/one.mpy": b"x" * 1300, "kline/two.mpy": b"", "kline/gone.mpy": b"?"}
    files = {}
    for path, data in contents.items():
        files[path] = "".join(["%02x" % b for b in hashlib.sha256(data).digest()])
        if "gone" not in path:
            with open("a/" + path, "wb") as file:
                file.write(data)
    files["kline/two.mpy"] = "00" * 32
    with open("a/slot.json", "w") as file:
        json.dump({"version": "0.1.0", "board": "X", "files": files}, file)
    rig = Patient()
    self_probe._root = lambda: "a/"
    found = []
    for number in range(4):
        code, data = rig.ask(probe.OP_FILE, bytes((number, 0)))
        if code == probe.PROBE_NO_MORE:
            break
        found.append((data[33:].decode(), data[0], data[1:33]))
    assert [one[:2] for one in found] == [
        ("kline/gone.mpy", probe.FILE_MISSING), ("kline/one.mpy", probe.FILE_RIGHT), ("kline/two.mpy", probe.FILE_WRONG)
    ]  # fmt: skip
    assert found[1][2] == hashlib.sha256(contents["kline/one.mpy"]).digest() and number == 3


def test_as_a_tester_too():
    rig = Patient("other_tester")
    n = len(rig.configured)
    rig.configure(records.CONFIG_MODE, records.MODE_OBD)
    rig.turn_until(lambda: len(rig.configured) > n)
    widths = []
    for _ in range(10):
        widths += rig.watch()[2]
    assert abs(min(widths) - 96) <= 2, widths
    codes = [rig.ask(probe.OP_PULSE, b"\x00\xe8\x03")[0] for _ in range(10)]
    assert probe.PROBE_DONE in codes
