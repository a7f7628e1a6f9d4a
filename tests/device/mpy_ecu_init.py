"""An ECU's judgement of initialisations: each limit just inside, at and just outside; what comes back and when."""

import sim
from sim.obdcar import Car
from sim.uart import Format
from tester import Bench, Tester, framed

ISO = {"protocol": "iso9141", "pids": {"0C": "0D 20"}}
SLOW = {"protocol": "kwp_slow", "key_bytes": "E9 8F", "pids": {"0C": "0D 20"}}
FAST = {"protocol": "kwp_fast", "key_bytes": "E9 8F", "pids": {"0C": "0D 20"}}


def with_(script, **more):
    found = dict(script)
    found.update(more)
    return found


def accepted(bench, name):
    return [measured for _, n, measured in bench.ecu.accepted if n == name]


def test_slow_init_of_iso_9141():
    b = Bench(ISO)
    assert b.slow() == b"\x55\x08\x08\xf7\xcc" and b.refused() == []
    assert accepted(b, "W0") == [300_000] and accepted(b, "address") == [0x33] and accepted(b, "W4") == [30_000]
    assert b.ask("68 6A F1 01 0C") == framed("48 6B 10 41 0C 0D 20")
    assert [f for _, f in b.ecu.requests] == [framed("68 6A F1 01 0C")]


def test_key_bytes_of_all_kinds_and_their_headers():
    for keys, protocol in (("94 94", "iso9141"), ("D0 8F", "kwp_slow"), ("E9 8F", "kwp"), ("8F EF", "kwp_slow")):
        b = Bench(with_(ISO, protocol=protocol, key_bytes=keys))
        sent = bytes([int(k, 16) for k in keys.split()])
        assert b.slow() == b"\x55" + sent + bytes((sent[1] ^ 255, 0xCC)), keys
        kwp = protocol != "iso9141"
        answer = b.ask("C2 33 F1 01 0C" if kwp else "68 6A F1 01 0C")
        assert answer == framed("84 F1 10 41 0C 0D 20" if kwp else "48 6B 10 41 0C 0D 20"), (keys, answer)
        assert b.refused() == []


def test_the_other_protocols_header_is_refused():
    for script, request in ((ISO, "C2 33 F1 01 0C"), (SLOW, "68 6A F1 01 0C")):
        b = Bench(script)
        b.slow()
        assert b.ask(request) == b""
        assert b.refused()[0][0] in ("header", "checksum", "length"), b.refused()


def test_w0_and_w5():
    for script, idle, limit, good in (
        (ISO, 1_999, "W0", False),
        (ISO, 2_000, "W0", True),
        (ISO, 2_001, "W0", True),
        (SLOW, 299_999, "W0", False),
        (SLOW, 300_000, "W0", True),
    ):
        b = Bench(script)
        answer = b.slow(idle_us=idle)
        assert (answer[:1] == b"\x55") == good, (script, idle)
        assert b.refused() == ([] if good else [(limit, idle)])
    for idle in (299_999, 300_000):
        b = Bench(ISO)
        assert b.slow(idle_us=2_000, w4_us=60_000)[-1:] != b"\xcc"
        assert b.refused() == [("W4", 60_000)]
        answer = b.slow(idle_us=b.after_last(idle))
        assert (answer[-1:] == b"\xcc") == (idle == 300_000)
        assert b.refused()[1:] == ([] if idle == 300_000 else [("W5", 299_999)])
    assert accepted(b, "W5") == [300_000]


def test_edges_of_the_address():
    for k in (1, 3, 5, 7, 9):
        for shift in (-2_001, -2_000, -1_999, 1_999, 2_000, 2_001):
            b = Bench(ISO)
            answer = b.slow(shift={k: shift})
            good = abs(shift) <= 2_000
            assert (answer[-1:] == b"\xcc") == good, (k, shift)
            assert b.refused() == ([] if good else [("bit", shift)])
            assert not good or accepted(b, "bit") == [shift]


def test_drift_is_found():
    b = Bench(ISO)
    b.slow(shift={k: k * 220 for k in range(10)})
    assert b.refused() == []
    b = Bench(ISO)
    b.slow(shift={k: k * 230 for k in range(10)})
    assert b.refused() == [("bit", 2_070)]


def test_a_wider_tolerance_by_script():
    b = Bench(with_(ISO, limits_ms={"bit": [-10, 10]}))
    assert b.slow(shift={5: 9_999})[-1:] == b"\xcc" and accepted(b, "bit") == [9_999]


def test_stop_bit_and_glitches_in_the_address():
    b = Bench(ISO)
    b.slow(stop=0)
    assert b.refused() == [("stop_bit", "low")]
    b = Bench(ISO)
    b.tester.low(300_000 + 1_950_000, 1_000)  # low while the stop bit lasts
    b.slow()
    assert b.refused() == [("stop_bit", 150_000)]
    b = Bench(ISO)
    b.tester.low(300_000 + 300_000, 500)
    b.slow()
    assert [n for n, _ in b.refused()] == ["bit"]
    b = Bench(ISO)
    b.tester.low(300_000 + 2_050_000, 500)
    b.slow()
    assert b.refused() == [("W1", "the tester spoke")]


def test_address():
    b = Bench(ISO)
    assert b.slow(address=0x13) == b"" and b.refused() == [("address", 0x13)]
    for address in (0x13, 0x01, 0x00, 0xFF, 0x55, 0xFE):
        b = Bench(with_(ISO, address="%02X" % address, limits_ms={"bit": [-2, 2]}))
        assert b.slow(address=address)[-1] == address ^ 0xFF, hex(address)


def test_inverted_key_byte():
    for w4 in (24_999, 25_000, 25_001, 49_999, 50_000, 50_001):
        b = Bench(ISO)
        answer = b.slow(w4_us=w4)
        good = 25_000 <= w4 <= 50_000
        assert (answer[-1:] == b"\xcc") == good, w4
        assert b.refused() == ([] if good else [("W4", w4)])
    b = Bench(ISO)
    assert b.slow(inverse=0xF6)[-1:] != b"\xcc"
    assert b.refused() == [("key_byte_2", "F6 instead of F7")]
    b = Bench(ISO)
    b.tester.address(300_000)
    b.run_for(4_000_000)
    assert b.refused() == [("W4", "nothing came")]
    b = Bench(ISO)
    b.tester.tx.fmt = Format.of(8_000, 8, None, 1)
    assert b.slow()[-1:] != b"\xcc" and b.names() == ["key_byte_2"], "at another baud rate than the ECU's"


def test_its_own_times_are_those_of_the_script():
    for w1, w2, w3, w4 in ((60, 5, 0, 25), (300, 20, 20, 50), (301, 20.5, 21, 51), (59, 4, 1, 24)):
        b = Bench(with_(ISO, timing_ms={"W1": w1, "W2": w2, "W3": w3, "W4": w4}))
        levels = b.world.wire.record()
        assert b.slow(w4_us=25_000) == b"\x55\x08\x08\xf7\xcc"
        t = [t for t, _ in b.tester.heard[-5:]]
        byte = b.tester.fmt.frame_us
        end = levels[0][0] + 2_000_000
        gaps = [t[0] - end, t[1] - t[0] - byte, t[2] - t[1] - byte, t[4] - t[3] - byte]
        assert gaps == [round(ms * 1000) for ms in (w1, w2, w3, w4)], gaps


def test_other_baud_rates():
    for baud in (9_600, 4_800, 1_200):
        b = Bench(with_(SLOW, baud=baud), baud=baud)
        levels = b.world.wire.record()
        assert b.slow() == b"\x55\xe9\x8f\x70\xcc" and b.refused() == []
        t = [t for t, _ in levels if t > 2_300_000][:10]
        bit = [b - a for a, b in zip(t, t[1:])]
        assert all(abs(us - 1_000_000 / baud) < 2 for us in bit[:9]), bit
        assert b.ask("C2 33 F1 01 0C", quiet_us=100_000) == framed("84 F1 10 41 0C 0D 20")


def test_spoilt_slow_inits():
    for actions, heard in (
        ({"silent": True}, b""), ({"stop_after": 0}, b""), ({"stop_after": 1}, b"\x55"),
        ({"stop_after": 2}, b"\x55\x08"), ({"stop_after": 3}, b"\x55\x08\x08\xf7"),
        ({"sync": "54"}, b"\x54\x08\x08\xf7\xcc"),
        ({"key_bytes": "12 34"}, b"\x55\x12\x34\xcb\xcc"), ({"complement": "CD"}, b"\x55\x08\x08\xf7\xcd"),
    ):  # fmt: skip
        rule = {"request": "init", "times": 1}
        rule.update(actions)
        b = Bench(with_(ISO, rules=[rule]))
        assert b.slow() == heard, actions
        assert b.slow(idle_us=600_000)[-1:] == b"\xcc", "the second time all is well"


def test_fast_init():
    b = Bench(FAST)
    assert b.fast() == framed("83 F1 10 C1 E9 8F") and b.refused() == []
    assert b.ask("C2 33 F1 01 0C") == framed("84 F1 10 41 0C 0D 20") and b.refused() == []


def test_limits_of_fast_init():
    for name, option, values in (
        ("idle", "idle_us", ((299_999, 0), (300_000, 1), (300_001, 1))),
        ("TiniL", "low_us", ((23_999, 0), (24_000, 1), (24_001, 1), (25_999, 1), (26_000, 1), (26_001, 0))),
        ("TWuP", "first_us", ((48_999, 0), (49_000, 1), (49_001, 1), (50_999, 1), (51_000, 1), (51_001, 0))),
    ):  # fmt: skip
        for us, good in values:
            b = Bench(FAST)
            answer = b.fast(**{option: us})
            assert (answer == framed("83 F1 10 C1 E9 8F")) == bool(good), (name, us)
            if good:
                assert b.refused() == [] and accepted(b, name) == [us]
            else:
                assert b.refused()[0] == (name, us)


def test_fast_init_with_something_else_than_start_communication():
    for request in ("C2 33 F1 01 00", "C1 33 F1 3E"):
        b = Bench(FAST)
        assert b.fast(request=request) == b"" and b.names() == ["start_communication"]
    b = Bench(FAST)
    b.tester.low(300_000, 25_000)
    b.run_for(1_000_000)
    assert b.refused() == [("TWuP", "nothing came")]
    b = Bench(FAST)
    assert b.fast(gaps={2: 4_999}) == b"" and b.refused() == [("P4", 4_999)]
    assert b.fast() != b"", "and it can be tried again"


def test_an_init_that_it_does_not_speak():
    b = Bench(FAST)
    assert b.slow() == b"" and b.refused() == [("slow_init", "not spoken")]
    b = Bench(ISO)
    b.fast()
    assert b.refused()[0] == ("fast_init", "not spoken")
    b = Bench(with_(FAST, protocol="kwp"))
    assert b.fast() != b"" and b.slow(idle_us=6_000_000)[-1:] == b"\xcc" and b.refused() == []


def test_reinit_within_a_session():
    for reinit in (True, False):
        b = Bench(with_(FAST, protocol="kwp", reinit=reinit))
        b.fast()
        assert b.fast() == framed("83 F1 10 C1 E9 8F"), "StartCommunication is a request like others"
        assert (b.slow()[-1:] == b"\xcc") == reinit
        assert b.refused() == ([] if reinit else [("in_session", "fast_init"), ("in_session", "slow_init")])
        b.run_for(6_000_000)
        assert b.slow()[-1:] == b"\xcc", "after P3max it can always be done"


def test_two_ecus_answer_a_fast_init_and_follow_a_slow_one():
    two = [{"address": "10"}, {"address": "18", "pids": {"0C": "0D 21"}}]
    b = Bench(with_(FAST, ecus=two))
    assert b.fast() == framed("83 F1 10 C1 E9 8F") + framed("83 F1 18 C1 E9 8F")
    b = Bench(with_(SLOW, ecus=two))
    assert b.slow() == b"\x55\xe9\x8f\x70\xcc"
    assert b.ask("C2 33 F1 01 0C") == framed("84 F1 10 41 0C 0D 20") + framed("84 F1 18 41 0C 0D 21")
    assert b.refused() == b.refused(1) == []


def test_an_ecu_at_another_address_leads_its_own_init():
    b = Bench(with_(SLOW, ecus=[{"address": "10"}, {"address": "18", "init_address": "13", "pids": {"0C": "0D 21"}}]))
    assert b.slow(address=0x13)[-1:] == b"\xec"
    assert b.ask("C2 33 F1 01 0C") == framed("84 F1 18 41 0C 0D 21")
    assert b.refused() == [("address", 0x13), ("no_session", "C2 33 F1 01 0C F3")]


def test_a_session_without_init_is_none():
    b = Bench(FAST)
    b.run_for(1_000_000)
    assert b.ask("C2 33 F1 01 0C") == b"" and b.refused() == [("no_session", "C2 33 F1 01 0C F3")]


def test_deterministic():
    logs = []
    for _ in range(2):
        w = sim.World(seed=3)
        Car(w.wire, with_(ISO, timing_ms={"W1": [60, 300], "P2": [25, 50]}), seed=3)
        levels = w.wire.record()
        Tester(w.wire).address(300_000)
        w.run_until(4_000_000)
        logs.append(list(levels))
    assert logs[0] == logs[1] and len(logs[0]) > 15
