"""What scripted cars know and how they misbehave; the cars of boards/SIM/cars; errors in a script."""

import os

from sim.ecu_script import ScriptError, load, setups, strip_comments
from tester import Bench, framed

FAST = {"protocol": "kwp_fast", "key_bytes": "E9 8F", "pids": {"0C": "0D 20"}}
ISO = {"protocol": "iso9141", "pids": {"0C": "0D 20"}}
RPM = framed("84 F1 10 41 0C 0D 20")


def fast(*rules, **more):
    script = dict(FAST, rules=list(rules))
    script.update(more)
    b = Bench(script)
    b.fast()
    return b


def iso(**more):
    b = Bench(dict(ISO, **more))
    assert b.slow()[-1:] == b"\xcc"
    return b


def data(bench, request, header=3, **options):
    """Asks a KWP request's data; returns the answers' data, a list."""
    n = len(request.split())
    heard = bench.ask("%02X 33 F1 " % (0xC0 | n) + request, **options)
    found = []
    while heard:
        n = heard[0] & 0x3F
        assert sum(heard[: n + 3]) & 255 == heard[n + 3], heard
        found.append(" ".join(["%02X" % b for b in heard[3 : n + 3]]))
        heard = heard[n + 4 :]
    return found


def rule(request, **actions):
    return dict(actions, request=request)


def starts(bench, n):
    """us between the end of each byte and the next's start, of the last n bytes."""
    t = [t for t, _ in bench.tester.heard[-n - 1 :]]
    return [b - a - bench.tester.fmt.frame_us for a, b in zip(t, t[1:])]


# what it knows


def test_supported_pids():
    b = fast(pids={"04": "00", "0C": "00 00", "21": "00 00", "42": "00 00"})
    assert data(b, "01 00") == ["41 00 90 10 00 01"]
    assert data(b, "01 20") == ["41 20 80 00 00 01"]
    assert data(b, "01 40") == ["41 40 40 00 00 00"]
    assert data(b, "01 60") == ["7F 01 12"] and data(b, "01 05") == ["7F 01 12"]
    b = fast(pids={"0C": "00 00"})
    assert data(b, "01 00") == ["41 00 80 10 00 00"] and data(b, "01 20") == ["7F 01 12"]


def test_what_it_does_not_know():
    for unsupported, pid, service in ((None, ["7F 01 12"], ["7F 06 11"]), ("silent", [], []),
                                      ("10", ["7F 01 10"], ["7F 06 10"])):  # fmt: skip
        b = fast(**({} if unsupported is None else {"unsupported": unsupported}))
        assert data(b, "01 05") == pid and data(b, "06 00", wait_us=60_000) == service
    b = iso()
    assert b.ask("68 6A F1 01 05", quiet_us=100_000) == b""
    assert b.ask("68 6A F1 06 00", quiet_us=100_000) == b"" and b.refused() == []
    b = iso(unsupported="12")
    assert b.ask("68 6A F1 01 05") == framed("48 6B 10 7F 01 12")


def test_values_that_change():
    b = fast(pids={"0D": ["39", "3A"], "05": {"bytes": 1, "from": 253, "to": 255, "step": 1}})
    assert [data(b, "01 0D")[0] for _ in range(3)] == ["41 0D 39", "41 0D 3A", "41 0D 39"]
    assert [data(b, "01 05")[0][-2:] for _ in range(4)] == ["FD", "FE", "FF", "FD"]


def test_trouble_codes_three_to_a_frame():
    b = fast(dtcs=["P0133", "C0035", "B1342", "U0100"], pending=["P0171"], monitors="07 65 04")
    assert data(b, "03") == ["43 01 33 40 35 93 42", "43 C1 00 00 00 00 00"]
    assert data(b, "07") == ["47 01 71 00 00 00 00"]
    assert data(b, "0A") == ["7F 0A 11"]
    assert data(b, "01 01") == ["41 01 84 07 65 04"]
    assert data(b, "04") == ["44"]
    assert data(b, "03") == ["43 00 00 00 00 00 00"] and data(b, "01 01") == ["41 01 00 07 65 04"]
    b = fast(permanent=["P0420"], no_dtc="silent")
    assert data(b, "0A") == ["4A 04 20 00 00 00 00"] and data(b, "03") == []


def test_freeze_frame():
    b = fast(freeze={"dtc": "P0133", "pids": {"0C": "0D 20"}})
    assert data(b, "02 00 00") == ["42 00 00 40 10 00 00"]
    assert data(b, "02 02 00") == ["42 02 00 01 33"]
    assert data(b, "02 0C 00") == ["42 0C 00 0D 20"]
    assert data(b, "02 0D 00") == ["7F 02 12"] and data(b, "02 0C 01") == ["7F 02 12"]
    data(b, "04")
    assert data(b, "02 02 00") == ["42 02 00 00 00"] and data(b, "02 0C 00") == ["7F 02 12"]


def test_vin_calibration_and_cvn_in_numbered_frames():
    b = fast(vin="1M8GDM9AXKP042788", calibration=["ABC", "0123456789ABCDEF"], cvn=["12 34 56 78"])
    assert data(b, "09 00") == ["49 00 01 FC 00 00 00"]
    assert data(b, "09 01") == ["49 01 05"] and data(b, "09 03") == ["49 03 08"] and data(b, "09 05") == ["49 05 01"]
    frames = [f.split() for f in data(b, "09 02")]
    assert [f[2] for f in frames] == ["01", "02", "03", "04", "05"]
    text = bytes([int(w, 16) for f in frames for w in f[3:]])
    assert text == b"\x00\x00\x001M8GDM9AXKP042788"
    frames = [f.split() for f in data(b, "09 04")]
    text = bytes([int(w, 16) for f in frames for w in f[3:]])
    assert text == b"ABC" + bytes(13) + b"0123456789ABCDEF" and frames[7][2] == "08"
    assert data(b, "09 06") == ["49 06 01 12 34 56 78"]
    assert data(b, "09 08") == ["7F 09 12"]
    b = iso(vin="1M8GDM9AXKP042788", timing_ms={"P2": 25})
    heard = b.ask("68 6A F1 09 02")
    assert len(heard) == 5 * 11 and heard[:11] == framed("48 6B 10 49 02 01 00 00 00 31")
    gaps = starts(b, 54)
    assert [g for g in gaps if g] == [25_000] * 4, "P2 between its frames"


def test_several_pids_in_one_request():
    b = fast(pids={"0C": "0D 20", "0D": "39"}, multi_pid=3)
    assert data(b, "01 0C 0D") == ["41 0C 0D 20 0D 39"] and data(b, "01 0D 05") == ["41 0D 39"]
    assert data(b, "01 0C 0D 0C 0D") == ["7F 01 12"]
    assert data(fast(), "01 0C 0D") == ["7F 01 12"]


def test_headers_of_answers():
    for header, answer in (("extra_length", "80 F1 10 04 41 0C 0D 20"), ("short", "04 41 0C 0D 20")):
        b = fast(answer_header=header, key_bytes="EF 8F")
        assert b.ask("C2 33 F1 01 0C") == framed(answer)


# how it misbehaves


def test_negative_answers_then_the_answer():
    b = fast(rule("01 0C", times=2, nrc="21"))
    assert [data(b, "01 0C")[0] for _ in range(3)] == ["7F 01 21", "7F 01 21", "41 0C 0D 20"]
    b = fast(rule("01", skip=1, nrc=0x12))
    assert [data(b, "01 0C")[0] for _ in range(3)] == ["41 0C 0D 20", "7F 01 12", "7F 01 12"]


def test_response_pending():
    b = fast(rule("01 0C", pending=3, pending_ms=900, times=1))
    assert data(b, "01 0C", quiet_us=1_000_000) == ["7F 01 78"] * 3 + ["41 0C 0D 20"]
    assert [g for g in starts(b, 29) if g] == [26_000, 900_000, 900_000, 900_000]
    assert data(b, "01 0C") == ["41 0C 0D 20"]
    b = fast(rule("01 0C", pending=1, pending_ms=4_900, delay_ms=3_000))
    assert data(b, "01 0C", quiet_us=8_000_000) == ["7F 01 78", "41 0C 0D 20"], "the session waits with the tester"
    # who asks again while it is pending, isn't heard
    b = fast(rule("01 0C", pending=1, pending_ms=500))
    assert data(b, "01 0C") == ["7F 01 78"] and data(b, "01 0C", quiet_us=500_000) == ["41 0C 0D 20"]
    assert b.names() == ["pending"]


def test_delay_and_times_beyond_the_limits():
    b = fast(rule("01 0C", times=1, delay_ms=60), rule("01 0C", times=1, p2_ms=24.999), rule("01 0C", p1_ms=20.001))
    data(b, "01 0C", quiet_us=200_000)
    assert starts(b, 8)[0] == 86_000
    data(b, "01 0C")
    assert starts(b, 8)[0] == 24_999
    data(b, "01 0C", quiet_us=100_000)
    assert starts(b, 8) == [26_000] + [20_001] * 7


def test_stray_byte_and_pulse_before_an_answer():
    b = fast(rule("01 0C", times=1, glitch_ms=5), rule("01 0C", times=1, glitch_ms=0.1, glitch_us=40))
    assert b.ask("C2 33 F1 01 0C") == b"\x00" + RPM
    assert starts(b, 9)[0] == 5_000
    log = b.world.wire.record()
    assert b.ask("C2 33 F1 01 0C") == RPM
    assert 40 in [y - x for (x, low), (y, _) in zip(log, list(log)[1:]) if not low]
    assert b.refused() == []


def test_a_stray_byte_does_not_disturb_the_other_ecu():
    b = fast(rule("01 0C", glitch_ms=5), ecus=[{"address": "10"}, {"address": "18", "pids": {"0C": "00 00"}}])
    assert b.ask("C2 33 F1 01 0C") == b"\x00" + RPM + framed("84 F1 18 41 0C 00 00")
    assert b.car.refusals == []


def test_wrong_checksum_truncation_raw_and_foreign_answers():
    b = fast(
        rule("01 0C", times=1, bad_checksum=True), rule("01 0C", times=1, truncate=5),
        rule("01 0C", times=1, raw="84 F1 11 41 0C FF FF 00"), rule("01 0C", times=1, answer="41 0D 39"),
        rule("01 0C", times=1, answer=["41 0D 39", "41 0C 00 00"]), rule("01 0C", times=1, silent=True),
    )  # fmt: skip
    assert b.ask("C2 33 F1 01 0C") == RPM[:-1] + bytes((RPM[-1] ^ 0x55,))
    assert b.ask("C2 33 F1 01 0C") == RPM[:5]
    assert b.ask("C2 33 F1 01 0C") == b"\x84\xf1\x11\x41\x0c\xff\xff\x00"
    assert data(b, "01 0C") == ["41 0D 39"] and data(b, "01 0C") == ["41 0D 39", "41 0C 00 00"]
    assert data(b, "01 0C", quiet_us=100_000) == [] and b.ask("C2 33 F1 01 0C") == RPM


def test_answers_without_a_gap():
    b = fast(rule("03", no_gap=True), rule("01 0C", repeat=2, no_gap=True), dtcs=["P0133"] * 5)
    assert len(data(b, "03")) == 2 and [g for g in starts(b, 22) if g] == [26_000]
    assert b.ask("C2 33 F1 01 0C") == RPM + RPM and [g for g in starts(b, 16) if g] == [26_000]


def test_two_ecus_take_turns():
    b = fast(ecus=[{"address": "10", "vin": "1M8GDM9AXKP042788"}, {"address": "18", "timing_ms": {"P2": 27}}])
    heard = data(b, "09 02")
    assert len(heard) == 6 and heard[-1] == "7F 09 12", "the one with the shorter P2 keeps the word"
    assert b.car.refusals == [] and max(starts(b, 50)) <= 50_000
    # both at once: they collide, and know it
    b = Bench(dict(FAST, ecus=[{"address": "10"}, {"address": "18", "timing_ms": {"P2": 26}}]))
    b.fast()
    assert "collision" in b.names() + b.names(1)


def test_reset_ignition_and_boot_time():
    b = fast(rule("01 0C", skip=1, times=1, reset=True), boot_ms=700)
    assert b.fast(idle_us=1_000_000) != b"" and b.ask("C2 33 F1 01 0C") == RPM
    assert b.ask("C2 33 F1 01 0C", quiet_us=100_000) == b"", "it resets"
    assert b.fast(idle_us=300_000) == b"" and b.refused() == [], "deaf while it boots"
    assert b.fast(idle_us=1_000_000) != b""
    b.car.ignition(False)
    assert b.ask("C2 33 F1 01 0C") == b"" and b.fast() == b"" and b.refused() == []
    b.car.ignition(True)
    assert b.fast(idle_us=1_000_000) != b"" and b.ask("C2 33 F1 01 0C") == RPM
    assert [e[1] for e in b.ecu.notes.events if e[1] in ("reset", "ignition")] == ["reset", "ignition", "ignition"]


def test_ignition_off_in_the_middle_of_an_answer():
    b = fast()
    b.world.at(b.world.now + 36_000 + 26_000, lambda _: b.car.ignition(False))
    assert 0 < len(b.ask("C2 33 F1 01 0C")) < len(RPM) and b.world.wire.level == 1
    b.car.ignition(True)
    assert b.fast() != b""


def test_events_by_the_clock():
    b = fast(events=[{"at_s": 2, "ignition": False}, {"at_s": 3, "ignition": True}, {"at_s": 6, "reset": 0},
                     {"at_s": 8, "fault": {"request": "01 0C", "nrc": "22"}}])  # fmt: skip
    b.world.run_until(2_500_000)
    assert b.fast() == b""
    b.world.run_until(3_500_000)
    assert b.fast() != b""
    b.world.run_until(6_500_000)
    assert b.ask("C2 33 F1 01 0C") == b"" and b.names() == ["no_session"]
    b.world.run_until(8_500_000)
    b.fast()
    assert data(b, "01 0C") == ["7F 01 22"] and data(b, "01 0C") == ["41 0C 0D 20"]


def test_faults_of_a_running_car():
    b = fast(ecus=[{"address": "10"}, {"address": "18", "pids": {"0C": "00 00"}}])
    b.car.fault("01 0C", ecu=1, silent=True)
    assert data(b, "01 0C") == ["41 0C 0D 20"] and len(data(b, "01 0C")) == 2
    b.car.fault("", nrc=0x10, times=-1)
    assert data(b, "01 0C") == ["7F 01 10"] * 2 and data(b, "03") == ["7F 03 10"] * 2


# scripts


def test_comments_are_no_json():
    assert strip_comments('{"a": "x//y", // why\n"b": 1} // end').split() == ['{"a":', '"x//y",', '"b":', "1}"]
    assert strip_comments('"a\\"//b"//c') == '"a\\"//b"'


def test_errors_name_the_key():
    for script, words in (
        ({"protocol": "can"}, "protocol: can is none of"), ({"speed": 3}, "speed: no such key"),
        ({"key_bytes": "08"}, "key_bytes: expected two"), ({"key_bytes": "0x"}, "key_bytes: expected hex"),
        ({"timing_ms": {"P9": 3}}, "timing_ms: P9 is none of"), ({"limits_ms": {"Q": [0, 1]}}, "limits_ms: Q"),
        ({"rules": [{"reqest": "01"}]}, "rule: reqest is none of"), ({"ecus": [{"adress": 1}]}, "ecus: adress"),
        ({"answer_header": "no"}, "answer_header: no is none of"),
        ({"rules": [{"nrc": "78 00"}]}, "rule: nrc: expected"),
    ):  # fmt: skip
        try:
            setups(script)
        except ScriptError as e:
            assert words in str(e), e
            continue
        raise AssertionError(script)
    for script, words in (
        ({"dtcs": ["X0133"]}, "like P0133"), ({"vin": "123"}, "17 letters"),
        ({"pids": {"05": {"from": 3}}}, "a counter"),
    ):  # fmt: skip
        try:
            Bench(script)
        except ScriptError as e:
            assert words in str(e), e
            continue
        raise AssertionError(script)


# the cars that come along


def car(name):
    return os.getenv("OPENKLINE_ROOT") + "/boards/SIM/cars/" + name + ".json"


def test_every_car_can_be_read():
    names = os.listdir(os.getenv("OPENKLINE_ROOT") + "/boards/SIM/cars")
    assert len(names) >= 4
    for name in names:
        Bench(car(name[:-5]))


def test_iso_9141_car():
    b = Bench(car("iso9141"))
    assert b.slow() == b"\x55\x08\x08\xf7\xcc"
    assert b.ask("68 6A F1 01 0C") == framed("48 6B 10 41 0C 0C 80")
    assert b.ask("68 6A F1 03") == framed("48 6B 10 43 01 33 03 01 00 00")
    assert len(b.ask("68 6A F1 09 02")) == 55 and b.refused() == []


def test_kwp_cars():
    b = Bench(car("kwp_slow"))
    assert b.slow() == b"\x55\xe9\x8f\x70\xcc"
    assert b.ask("C2 33 F1 01 0C") == RPM and len(data(b, "03")) == 2 and b.refused() == []
    b = Bench(car("kwp_fast"))
    assert b.fast() == framed("83 F1 18 C1 E9 8F") + framed("83 F1 10 C1 E9 8F")
    assert b.ask("C2 33 F1 01 0C") == framed("83 F1 18 7F 01 12") + RPM and b.refused() == []


def test_difficult_car():
    b = Bench(car("difficult"), baud=9_600)
    b.run_for(600_000)
    assert b.slow(address=0x13) == b"" and b.slow(address=0x13) == b"\x55\x8f\xef\x10\xec"
    assert sorted(data(b, "01 05")) == ["7F 01 12", "7F 01 21"]
    assert [d for d in data(b, "09 02", quiet_us=1_000_000) if d == "7F 09 78"] == ["7F 09 78"] * 3
    assert [load(car("difficult"))["events"][0]["at_s"]] == [60]
    b.world.run_until(61_000_000)
    assert b.slow(address=0x13)[-1:] == b"\xec"
