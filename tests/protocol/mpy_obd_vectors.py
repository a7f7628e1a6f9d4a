"""The exchanges of tests/vectors on MicroPython: the same files that CPython's tests read."""

import os

import kline_vectors

from kline.protocol.obd import answers, dtc, keybytes, kwp, nrc, pids, requests, timing, words

VECTORS = kline_vectors.read((os.getenv("OPENKLINE_ROOT") or ".") + "/tests/vectors")


def _rows(kind):
    rows = [row for row in VECTORS if row[0] == kind]
    assert rows
    return rows


def test_checksums_and_headers():
    for _, frame, _, _ in _rows("frame"):
        if frame[0] == 0x68:
            assert kwp.encode_iso9141(frame[3:-1]) == frame
        else:
            assert kwp.encode(frame[3:-1], frame[1], frame[2], frame[0] >> 6) == frame
        assert kwp.data_start(frame, len(frame)) == 3


def test_key_bytes():
    for _, two, _, meaning in _rows("key"):
        key = keybytes.KeyBytes(two[0], two[1])
        protocol, word = [int(n) for n in meaning.split()]
        assert (key.protocol, key.key_word) == (protocol, word), key.text()


def test_exchanges():
    for _, request, replies, meaning in _rows("ask"):
        parser = kwp.FrameParser(kwp.HEAR_ADDRESSED)
        assembly = requests.Assembly(request[3:-1])
        parser.feed(b"\x00" + b"".join(replies))
        frame = parser.take()
        while frame:
            assert assembly.add(frame) == requests.TAKEN
            frame = parser.take()
        answer = assembly.best()
        assert len(assembly.answers) == len(replies) and answer.ecu == 0x10
        if request[3] == requests.STORED:
            assert answers.codes(answer) == [meaning]
        else:
            value = pids.decode(request[4], answers.payload(assembly.request, answer))[0]
            name, number, unit = meaning.split()
            assert (value.name, value.value, value.unit) == (name, float(number), unit)


def test_tables_work_on_this_python():
    assert pids.RPM == 0x0C and pids.number("no such") == -1
    assert len(pids.known()) > 90
    for pid in pids.known():
        data = bytes(range(200, 200 + pids.length(pid)))
        assert pids.decode(pid, data)
        assert pids.decode(pid, data[1:]) == []
        words.describe(pid, data)
    assert nrc.name(0x12).startswith("12: PID")
    assert dtc.describe("P0301") == "powertrain: ignition or misfire"
    assert dtc.encode("u3fff") == b"\xff\xff"
    assert timing.encode_access_timing(timing.Timing()) == b"\x32\x02\x6e\x14\x0a"
