"""Cars that refuse 01 00, do not answer it, want more time before a request, or do not initialise by the book."""

from mpy_obd_requests import rule
from obd_rig import FAST, ISO, RPM, SLOW, ObdRig, code_of

MS = 1000


def test_a_session_is_kept_though_01_00_is_refused():
    rig = ObdRig(ISO, rules=rule("01", nrc="11"))
    session = rig.obd.connect()
    assert session.ecus == [0x10] and session.supported.pids() == [] and rig.sessions() == 1
    assert rig.world.now < 6_000 * MS and not session.late_p3


def test_a_session_is_kept_though_01_00_is_not_answered():
    """Another request that is answered shows from then on that the ECU is still there."""
    for script in (ISO, FAST):
        rig = ObdRig(script, rules=rule("01 00", silent=True))
        rig.obd.connect()
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        for _ in range(2):
            rig.world.burn(4_000 * MS)
            assert rig.obd.keep_alive()
        for _ in range(4):
            rig.car.fault("01 2F", silent=True)
            assert rig.obd.request_pid(1, 0x2F) is None
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM] and rig.sessions() == 1


def test_an_ecu_that_refuses_the_first_request_is_asked_again():
    rig = ObdRig(SLOW, rules=rule("", nrc="13", times=1))
    session = rig.obd.connect()
    assert 0x0C in session.supported and session.timing.p3_min_us == 55 * MS and rig.sessions() == 1


def test_an_ecu_that_wants_600_ms_before_each_request():
    for script in (SLOW, FAST):
        rig = ObdRig(script, limits_ms={"P3": [600, 5000]})
        session = rig.obd.connect()
        assert 0x0C in session.supported and session.late_p3 and rig.sessions() == 1
        before = len(rig.refusals())
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        assert len(rig.refusals()) == before and rig.world.now < 9_000 * MS


def test_a_doubtful_initialisation_counts_where_the_ecu_answers():
    from kline.device.obd import errors

    for script, actions in (
        (ISO, {"no_complement": True}),
        (SLOW, {"complement": "CD"}),
        (SLOW, {"key_bytes": "12 34"}),
    ):
        rig = ObdRig(script, rules=rule("init", **actions))
        session = rig.obd.connect()
        assert session.doubt and session.ecus == [0x10], actions
        assert rig.said[-1].startswith("not by the book (") and rig.said[-1].endswith("but the ECU answers"), rig.said
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM] and rig.sessions() == 1
    rig = ObdRig(ISO, rules=rule("init", stop_after=3))
    assert code_of(rig.obd.connect) == errors.NO_CAR


def test_what_comes_too_late_is_noticed():
    rig = ObdRig(ISO, timing_ms={"P2": 400})
    session = rig.obd.connect()
    assert session.too_late and not session.late_p2 and not session.ecus
    rig = ObdRig(ISO, timing_ms={"P2": 400})
    rig.obd.limits.p2_max_us = 500 * MS
    assert rig.obd.connect().ecus == [0x10] and not rig.obd.session.too_late
    rig = ObdRig(ISO, rules=rule("01 00", silent=True))
    assert not rig.obd.connect().too_late
