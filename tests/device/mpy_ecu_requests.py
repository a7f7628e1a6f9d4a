"""An ECU's judgement of requests (P3, P4, form) and what it answers; exchanges published for real cars as vectors."""

from tester import Bench, framed

ISO = {"protocol": "iso9141", "pids": {"0C": "0D 20"}}
FAST = {"protocol": "kwp_fast", "key_bytes": "E9 8F", "pids": {"05": "49", "0C": "0D 20", "0D": "39"}}
RPM = framed("84 F1 10 41 0C 0D 20")


def fast(**more):
    script = dict(FAST)
    script.update(more)
    b = Bench(script)
    assert b.fast() != b""
    return b


def iso(**more):
    script = dict(ISO)
    script.update(more)
    b = Bench(script)
    assert b.slow()[-1:] == b"\xcc"
    return b


def hexed(text):
    return bytes([int(w, 16) for w in text.split()])


def test_published_exchanges():
    b = fast()
    for request, answer in (
        ("C2 33 F1 01 05 EC", "83 F1 10 41 05 49 13"),
        ("C2 33 F1 01 0C F3", "84 F1 10 41 0C 0D 20 FF"),
        ("C2 33 F1 01 0D F4", "83 F1 10 41 0D 39 0B"),
    ):
        assert b.ask(hexed(request)) == hexed(answer), request
    b = fast(ecus=[{"address": "10", "timing_ms": {"P2": 40}}, {"address": "18", "timing_ms": {"P2": 26}}])
    assert b.ask(hexed("C2 33 F1 01 0C F3")) == hexed("83 F1 18 7F 01 12 1E 84 F1 10 41 0C 0D 20 FF")
    b = iso()
    assert b.ask(hexed("68 6A F1 01 00 C4"))[:5] == hexed("48 6B 10 41 00")
    b = Bench(dict(FAST, ecus=[{"address": "10"}, {"address": "18"}]))
    assert b.fast() == hexed("83 F1 10 C1 E9 8F BD 83 F1 18 C1 E9 8F C5")
    b = iso(dtcs=["P0133"])
    assert b.ask("68 6A F1 03")[3:-1] == hexed("43 01 33 00 00 00 00")


def test_p3_at_its_limits():
    for us, good in ((54_999, 0), (55_000, 1), (55_001, 1), (4_999_999, 1), (5_000_000, 1), (5_000_001, 0)):
        for b, request, answer in ((fast(), "C2 33 F1 01 0C", RPM), (iso(), "68 6A F1 01 0C", None)):
            b.ask(request)
            if us < 60_000:  # until_quiet has waited for longer
                b.ask(request, quiet_us=40_000)
            heard = b.ask(request, wait_us=b.after_last(us))
            assert (heard != b"") == bool(good), us
            if good:
                assert b.refused() == [] and b.ecu.accepted[-2][1:] == ("P3", us)
                assert answer is None or heard == answer
            else:
                assert b.refused() == [("P3", us)]
            # too early: the session goes on; too late: it is over
            heard = b.ask(request)
            assert (heard != b"") == (us < 5_000_001)
            assert us < 5_000_001 or b.names() == ["P3", "no_session"]


def test_p3_counts_from_the_last_ecu():
    b = fast(ecus=[{"address": "10"}, {"address": "18", "pids": {"0C": "00 00"}, "timing_ms": {"P2": 45}}])
    b.ask("C2 33 F1 01 0C", quiet_us=30_000)
    # after the first answer, before the second one
    assert len(b.ecu.answers) == 2 and len(b.car.ecus[1].answers) == 1
    b.ask("C2 33 F1 01 0C", quiet_us=100_000)
    assert b.refused() == [("P3", 30_000)] and b.refused(1) == [("pending", 30_000)]
    assert len(b.car.ecus[1].answers) == 2, "the second one speaks when the wire is free"
    assert b.ask("C2 33 F1 01 0C", wait_us=b.after_last(100_000)) != b""


def test_p4_at_its_limits():
    for us, good in ((0, 0), (4_999, 0), (5_000, 1), (5_001, 1), (19_999, 1), (20_000, 1), (20_001, 0), (40_000, 0)):
        for b, request in ((fast(), "C2 33 F1 01 0C"), (iso(), "68 6A F1 01 0C")):
            for i in (1, 5):
                answer = b.ask(request, wait_us=100_000, gaps={i: us})
                assert (answer != b"") == bool(good), (us, i)
            assert b.refused() == ([] if good else [("P4", us)] * 2), b.refused()
            if good:
                assert ("P4", us) in [a[1:] for a in b.ecu.accepted]
            assert b.ask(request, wait_us=100_000) != b"", "the next one is heard"


def test_p4_from_0_by_script():
    for b, request in ((fast(limits_ms={"P4": [0, 20]}), "C2 33 F1 01 0C"),
                       (iso(limits_ms={"P4": [0, 20]}), "68 6A F1 01 0C")):  # fmt: skip
        assert b.ask(request, p4_us=0) != b"" and b.refused() == []
        assert b.ask(request, wait_us=60_000, p4_us=20_000) != b"" and b.refused() == []


def test_form_of_kwp_requests():
    for request, limit in (
        ("C2 33 F1 01 0C F4", "checksum"), ("C2 33 F1 01 0C", "length"), ("C3 33 F1 01 0C F4", "length"),
        ("C2 33 F2 01 0C F4", "header"), ("C2 34 F1 01 0C F4", "header"), ("42 33 F1 01 0C 73", "header"),
        ("C0 33 F1 02 01 0C F3", "header"), ("02 01 0C 0F", "header"), ("68 6A F1 01 0C D0", "length"),
    ):  # fmt: skip
        b = fast()
        assert b.ask(hexed(request), quiet_us=100_000) == b"" and b.names() == [limit], (request, b.refused())
        assert b.ask("C2 33 F1 01 0C") == RPM
    b = fast()
    assert b.ask("82 10 F1 01 0C") == RPM and b.ask("82 33 F1 01 0C") == RPM
    assert b.ask("82 11 F1 01 0C") == b"" and b.refused() == [] and b.ecu.notes.events[-1][1] == "not_mine"


def test_key_bytes_say_which_headers_are_allowed():
    for keys, extra, short in (("E9 8F", 0, 0), ("EF 8F", 1, 1), ("6B 8F", 1, 0), ("D0 8F", 1, 1), ("8F EF", 1, 1)):
        b = fast(key_bytes=keys)
        assert (b.ask("C0 33 F1 02 01 0C") == RPM) == bool(extra), keys
        assert (b.ask("02 01 0C", wait_us=60_000) == RPM) == bool(short), keys


def test_form_of_iso_9141_requests():
    for request, limit in (
        ("68 6A F1 01 0C D1", "checksum"), ("68 6A F1 01 0C", "checksum"), ("68 6B F1 01 0C D1", "header"),
        ("68 6A F2 01 0C D1", "header"), ("68 6A", "length"),
    ):  # fmt: skip
        b = iso()
        assert b.ask(hexed(request), quiet_us=100_000) == b"" and b.names() == [limit], (request, b.refused())
        assert b.ask("68 6A F1 01 0C") != b""


def test_a_byte_with_a_wrong_stop_bit():
    b = fast()
    b.tester.low(b.world.now + 20 * 962 + 100, 400)
    b.ask("C2 33 F1 01 0C", p4_us=20_000 - 962)
    assert "framing" in b.names() or "P4" in b.names() or "checksum" in b.names()
    b = fast()
    t = b.world.now + 60_000
    b.tester.low(t, 2_000)  # a break is no byte
    b.run_for(100_000)
    assert b.refused() == [] and b.ask("C2 33 F1 01 0C", wait_us=60_000) == RPM


def test_speaking_while_it_speaks():
    b = fast()
    t = b.world.now
    end = b.tester.send(t, framed("C2 33 F1 01 0C"))
    b.tester.low(end + 26_000 + 3_000, 5_000)
    b.world.run_until(end + 200_000)
    assert b.names() == ["collision"]
    assert b.ask("C2 33 F1 01 0C") == RPM


def test_its_own_p1_and_p2():
    for p1, p2 in ((0, 25), (20, 50), (20.5, 50.5), (5, 24), (1, 1)):
        for b, request in ((fast(timing_ms={"P1": p1, "P2": p2}), "C2 33 F1 01 0C"),
                           (iso(timing_ms={"P1": p1, "P2": p2}), "68 6A F1 01 0C")):  # fmt: skip
            b.ask(request, quiet_us=100_000)
            byte = b.tester.fmt.frame_us
            t = [t for t, _ in b.tester.heard[-8:]]
            asked = b.tester.heard[-9][0]
            assert t[0] - asked - byte == round(p2 * 1000)
            assert {y - x - byte for x, y in zip(t, t[1:])} == {round(p1 * 1000)}
            assert b.refused() == []


def test_session_ends_after_p3max_and_by_stop_communication():
    b = fast()
    b.run_for(5_100_000)
    assert [e[1:] for e in b.ecu.notes.events] == [("session", "fast init"), ("session_end", "P3")]
    assert b.fast() != b"" and b.ask("C2 33 F1 01 0C") == RPM
    assert b.ask("C1 33 F1 82") == framed("81 F1 10 C2")
    assert b.ask("C2 33 F1 01 0C") == b"" and b.names() == ["no_session"]


def test_tester_present_keeps_the_session():
    b = fast()
    for _ in range(4):
        assert b.ask("C1 33 F1 3E", wait_us=4_800_000) == framed("81 F1 10 7E")
        assert b.ask("C2 33 F1 3E 02") == b"" and b.ask("C2 33 F1 3E 01", wait_us=60_000) == framed("81 F1 10 7E")
    assert b.ask("C2 33 F1 01 0C") == RPM and b.refused() == []
    b = iso()
    assert b.ask("68 6A F1 3E", quiet_us=100_000) == b"" and b.refused() == [], "there is no such service"
    for _ in range(4):
        assert b.ask("68 6A F1 01 00", wait_us=4_800_000) != b""


def test_access_timing_parameters():
    b = fast()
    assert b.ask("C2 33 F1 83 00") == framed("83 F1 10 7F 83 11")
    b = fast(access_timing="00 01 00 FF 00")
    assert b.ask("C2 33 F1 83 00") == framed("87 F1 10 C3 00 00 01 00 FF 00")
    assert b.ask("C2 33 F1 83 02") == framed("87 F1 10 C3 02 32 02 6E 14 0A")
    assert b.ask("C7 33 F1 83 03 00 02 14 FF 00") == framed("82 F1 10 C3 03")
    assert b.ask("C2 33 F1 83 02") == framed("87 F1 10 C3 02 00 02 14 FF 00")
    b.ask("C2 33 F1 01 0C", quiet_us=5_000, p4_us=0)
    t = [t for t, _ in b.tester.heard]
    assert t[-8] - t[-9] - b.tester.fmt.frame_us == 1_000, "P2min + 1 ms"
    assert b.ask("C2 33 F1 01 0C", wait_us=b.after_last(10_000), p4_us=0) == RPM
    b.run_for(30_000_000)
    assert b.ask("C2 33 F1 01 0C") == RPM, "P3max: for ever"
    assert b.ask("C2 33 F1 83 01") == framed("82 F1 10 C3 01")
    b.ask("C2 33 F1 01 0C", quiet_us=100_000)
    t = [t for t, _ in b.tester.heard]
    assert t[-8] - t[-9] - b.tester.fmt.frame_us == 26_000
    b = fast(access_timing="32 02 6E 14 0A")
    assert b.ask("C7 33 F1 83 03 00 02 14 FF 00") == framed("83 F1 10 7F 83 12")


def test_the_notes_can_be_bounded():
    from sim.obdcar import Car

    b = fast()
    b.car.ecus[0].notes.keep = 5
    for _ in range(40):
        b.ask("C2 33 F1 01 0C")
    assert 5 <= len(b.ecu.requests) <= 10 and b.ecu.counts["requests"] == 41
    assert Car(b.world.wire, FAST, keep=3).ecus[0].notes.keep == 3
