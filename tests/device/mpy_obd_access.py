"""AccessTimingParameters: only outside the session of the law, only where the ECU offers them; lost with a session."""

from obd_pc import ObdPc
from obd_rig import KWP, SLOW, ObdRig, code_of

from kline.protocol.link import host_records, records
from kline.protocol.obd import timing

OFFER = "00 01 0A FF 00"  # P2min 0, P2max 25 ms, P3min 5 ms, P3max without limit, P4min 0
OWN = dict(SLOW, address="13", access_timing=OFFER)
RPM = b"\x0c\x0d\x20"
NORMAL = (25_000, 50_000, 55_000, 5_000_000, 5_000)


def own_session(**changes):
    rig = ObdRig(OWN, **changes)
    rig.obd.slow_init(0x13)
    return rig


def cycle_us(rig):
    rig.obd.request_pid(1, 0x0C)
    begun = rig.world.now
    for _ in range(5):
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    return (rig.world.now - begun) / 5


def test_never_in_the_session_of_the_law():
    from kline.device.obd import errors
    from kline.protocol.obd.timing import Timing

    for script, kind in ((dict(KWP, access_timing=OFFER), "fast_init"), (dict(SLOW, access_timing=OFFER), "slow_init")):
        rig = ObdRig(script)
        getattr(rig.obd, kind)()
        n = len(rig.asked())
        for words in ((), (Timing(),), (None, True)):
            assert code_of(rig.obd.access_timing, *words) == errors.NOT_ALLOWED
        assert len(rig.asked()) == n, "nothing was sent"


def test_the_fastest_that_the_ecu_offers():
    rig = own_session()
    assert rig.obd.access_timing().values() == NORMAL
    slow_us = cycle_us(rig)
    times = rig.obd.access_timing(fastest=True)
    assert times.values() == (0, 25_000, 5_000, 5_000_000, 0)
    assert rig.obd.access_timing().values() == times.values(), "the ECU says the same"
    fast_us = cycle_us(rig)
    assert fast_us < 0.4 * slow_us and rig.refusals() == [], (slow_us, fast_us)
    print("a request each %.1f ms instead of %.1f ms" % (fast_us / 1000, slow_us / 1000))
    rig.world.burn(4_000_000)
    assert rig.obd.keep_alive() and rig.sessions() == 1


def test_times_of_ones_own():
    from kline.device.obd import errors
    from kline.protocol.obd.timing import Timing

    rig = own_session(access_timing="0A 02 14 14 05")
    for wanted in (Timing(p2_min_us=0), Timing(p3_min_us=5_000), Timing(p4_min_us=0)):
        assert code_of(rig.obd.access_timing, wanted) == errors.NOT_ALLOWED
    assert rig.obd.session.timing.values() == NORMAL
    wanted = Timing(p2_min_us=5_000, p3_min_us=10_000, p4_min_us=2_500)
    assert rig.obd.access_timing(wanted) is rig.obd.session.timing
    assert rig.ecu.requests[-1][1][3:-1] == b"\x83\x03\x0a\x02\x14\x14\x05"
    assert cycle_us(rig) < 110_000 and rig.refusals() == []


def test_where_the_ecu_has_none():
    from kline.device.obd import errors

    rig = ObdRig(SLOW, address="13")
    rig.obd.slow_init(0x13)
    for words in ((), (None, True)):
        assert code_of(rig.obd.access_timing, *words) == errors.REFUSED
    assert rig.obd.session.timing.values() == NORMAL and rig.obd.request_pid(1, 0x0C).frames == [RPM]
    rig = own_session(rules=[{"request": "83 00", "silent": True}])
    assert code_of(rig.obd.access_timing, None, True) == errors.SILENT
    rig = own_session(rules=[{"request": "83 00", "answer": "C3 00 01"}])
    assert code_of(rig.obd.access_timing, None, True) == errors.REFUSED, "too short"
    rig = own_session(rules=[{"request": "83 03", "nrc": "12"}])
    assert code_of(rig.obd.access_timing, None, True) == errors.REFUSED
    assert rig.obd.session.timing.values() == NORMAL


def test_a_session_that_is_opened_again_has_them_again():
    rig = own_session()
    rig.obd.access_timing(fastest=True)
    rig.car.reset(0)
    rig.world.burn(1_000_000)
    for _ in range(4):  # silent until the tester has noticed
        answer = rig.obd.request_pid(1, 0x0C)
    assert answer.frames == [RPM] and rig.sessions() == 2 and rig.obd.reconnects == 1
    assert rig.obd.session.timing.p3_min_us == 5_000
    rig.car.reset(0)
    rig.car.fault("83", nrc="11", times=9)
    for _ in range(4):
        answer = rig.obd.request_pid(1, 0x0C)
    assert answer.frames == [RPM] and rig.obd.session.timing.values() == NORMAL
    rig.obd.slow_init(0x13)  # a new initialisation by hand begins with the standard's
    assert rig.obd.session.timing.values() == NORMAL


def test_from_the_pc():
    rig = ObdPc(OWN)
    rig.connect(b"\x00\x13")
    read = rig.call(records.OP_TIMING, bytes((records.TIMING_READ,)))
    assert timing.decode_access_timing(read.found).values() == NORMAL
    end = rig.call(records.OP_TIMING, bytes((records.TIMING_FASTEST,)))
    assert end.code == records.END_DONE and timing.decode_access_timing(end.found).p3_min_us == 5_000
    _, answers = rig.ask(b"\x01\x0c")
    assert [data for _, _, data in answers] == [b"\x41" + RPM] and rig.car.refusals == []
    assert rig.call(records.OP_TIMING, b"\x02").code == records.END_BAD_CALL
    rig = ObdPc(dict(KWP, access_timing=OFFER))
    rig.connect(b"\x01\x33")
    end = rig.call(records.OP_TIMING, bytes((records.TIMING_FASTEST,)))
    assert host_records.OBD_ERRORS[end.code - records.END_ERROR - 1] == "not_allowed" and "14230-4" in rig.error()
