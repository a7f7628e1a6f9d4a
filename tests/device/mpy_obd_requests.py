"""Requests on the wire: what real cars do, P2 P3 P4, and sessions that are lost and found again."""

from obd_rig import FAST, ISO, KWP, SLOW, VIN, ObdRig, code_of, with_gearbox

MS = 1000
RPM = b"\x0c\x0d\x20"


def connected(script=KWP, kind="fast_init", **changes):
    rig = ObdRig(script, **changes)
    getattr(rig.obd, kind)()
    return rig


def rule(request, **actions):
    actions["request"] = request
    return [actions]


def each(**changes):
    """A world at a time: all three kinds."""
    yield connected(**changes)
    yield connected(SLOW, "slow_init", **changes)
    yield connected(ISO, "slow_init", **changes)


def gaps(rig):
    """us between the bytes of our last request, from the stage's edges: silence over 3 ms within it."""
    edges = [t for t, _ in rig.ours]
    found = []
    for i in range(len(edges) - 1, 0, -1):
        gap = edges[i] - edges[i - 1]
        if gap > 30_000:
            break
        if gap > 3_000:
            found.append(gap)
    return found


def test_values_on_all_three():
    from kline.protocol.obd import answers, pids

    for rig in each():
        answer = rig.obd.request_pid(1, pids.RPM)
        assert answer.ecu == 0x10 and answer.frames == [RPM]
        assert pids.decode(0x0C, answers.payload(b"\x01\x0c", answer))[0].value == 840
        assert rig.obd.request_pid(1, pids.SPEED).frames == [b"\x0d\x39"]
        assert rig.refusals() == []


def test_p4_and_p3_are_kept_and_not_wasted():
    for rig in each():
        for _ in range(3):
            rig.obd.request_pid(1, 0x0C)
        assert rig.refusals() == []
        p4 = gaps(rig)
        assert len(p4) == len(rig.asked()[-1]) + 3, p4
        # From the last edge of a byte to the next: up to a bit or two more than P4 itself.
        assert all([5_000 <= gap < 5_000 + 1_100 for gap in p4]), p4


def test_p3max_ends_the_session_and_the_next_request_begins_a_new_one():
    for ms, sessions in ((4_900, 1), (5_100, 2)):
        for rig in each():
            rig.obd.request_pid(1, 0x0C)
            rig.world.burn(ms * MS)
            assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
            assert rig.sessions() == sessions, ms


def test_after_a_week_without_the_pc_a_session_is_over_and_a_failure_forgotten():
    from kline.device.obd import errors

    week_us = 7 * 86_400_000_000  # ticks_ms() can't tell so much from the future
    rig = connected()
    rig.world.burn(week_us)
    assert not rig.obd.alive()
    assert not rig.obd.keep_alive() and rig.sessions() == 1, "a car that is parked is not woken"
    rig.car.ignition(False)
    assert code_of(rig.obd.request_pid, 1, 0x0C) == errors.NO_CAR
    assert code_of(rig.obd.request_pid, 1, 0x0C) == errors.TOO_SOON
    rig.car.ignition(True)
    rig.world.burn(week_us)
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]


def test_keep_alive_never_opens_a_session():
    for rig in each():
        rig.world.burn(6_000 * MS)
        assert not rig.obd.keep_alive() and rig.sessions() == 1


def test_keep_alive_by_protocol():
    for rig in each():
        for _ in range(60):
            rig.world.burn(500 * MS)
            assert rig.obd.keep_alive()
        assert rig.sessions() == 1 and rig.refusals() == []
        asked = rig.asked()
        assert (b"\x01\x00" if rig.obd.session.key.protocol == 1 else b"\x3e") in asked[2:] and len(asked) < 14


# -- what real cars do -------------------------------------------------------------------------------------------------


def test_the_gearbox_refuses_before_the_engine_answers():
    rig = connected(with_gearbox(KWP))
    answer = rig.obd.request_pid(1, 0x0C)
    assert (answer.ecu, answer.frames, answer.nrc) == (0x10, [RPM], 0)
    assert [(a.ecu, a.nrc) for a in rig.obd.answers] == [(0x18, 0x12), (0x10, 0)]
    assert rig.refusals() == []


def test_a_refusal_is_no_zero():
    rig = connected()
    answer = rig.obd.request_pid(1, 0x2F)
    assert answer.nrc == 0x12 and not answer.ok() and "12: PID" in repr(answer)
    assert connected(ISO, "slow_init").obd.request_pid(1, 0x2F) is None


def test_pending_is_waited_for():
    rig = connected(rules=rule("01 0C", pending=3))
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    rig = connected(rules=rule("01 0C", pending=1, pending_ms=4_900))
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    rig = connected(rules=rule("01 0C", pending=1, pending_ms=5_100))
    assert rig.obd.request_pid(1, 0x0C).nrc == 0x78


def test_busy_is_asked_again():
    rig = connected(rules=rule("01 0C", nrc="21", times=3))
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    assert rig.asked().count(b"\x01\x0c") == 4
    rig = connected(rules=rule("01 0C", nrc="21"))
    assert rig.obd.request_pid(1, 0x0C).nrc == 0x21


def test_a_stray_low_between_echo_and_answer():
    for script, kind in ((KWP, "fast_init"), (ISO, "slow_init")):
        for us in (0, 60, 200, 1000):  # 0: a byte 00
            rig = connected(script, kind, rules=rule("01 0C", glitch_ms=5, glitch_us=us))
            assert rig.obd.request_pid(1, 0x0C).frames == [RPM], us
            assert rig.asked().count(b"\x01\x0c") == 1, "no second request was needed"


def test_a_stray_low_is_no_damaged_answer():
    """A car with one after each request: silence is silence, and "no codes" is believed."""
    from kline.device.obd.diagnostics import Diagnostics

    for us in (0, 60, 1000):
        rig = connected(ISO, "slow_init", rules=rule("", glitch_ms=5, glitch_us=us), dtcs=[], no_dtc="silent")
        assembly = rig.obd.request(b"\x01\x2f")
        assert not assembly.answers and not assembly.broken and rig.asked().count(b"\x01\x2f") == 1, us
        assert Diagnostics(rig.obd).codes() == ({}, True), us


def test_concatenated_answers():
    for script, kind in ((KWP, "fast_init"), (ISO, "slow_init")):
        rig = connected(script, kind, rules=rule("", no_gap=True))
        from kline.protocol.obd import answers

        answer = rig.obd.request_pid(9, 2)
        assert answers.vin(answers.payload(b"\x09\x02", answer)) == VIN
        assert answers.codes(rig.obd.request_pid(3)) == ["P0133", "P0301", "P0420", "P0171"]


def test_a_wrong_checksum_is_asked_again():
    for script, kind in ((KWP, "fast_init"), (ISO, "slow_init")):
        rig = connected(script, kind)
        rig.car.fault("01 0C", bad_checksum=True, times=2)
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        rig.car.fault("01 0D", bad_checksum=True, times=9)
        assert rig.obd.request_pid(1, 0x0D) is None


def test_damage_to_our_own_bytes_is_noticed_in_the_echo():
    from kline.device.obd import errors

    rig = connected()
    hits = []

    def spoil(level):
        if level == 0 and len(hits) < rig.most and rig.world.board.stage.driver.level == 0:
            hits.append(rig.world.now)
            rig.ecu.pulse(700)

    rig.most = 1
    rig.world.wire.listeners.append(spoil)
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    rig.most = 99
    assert code_of(rig.obd.request_pid, 1, 0x0C) == errors.ECHO_WRONG


# -- connect -----------------------------------------------------------------------------------------------------------


def test_connect_finds_each_kind():
    for script, kind, word in (
        (KWP, "slow", 2025), (FAST, "fast", 2025), (SLOW, "slow", 2025), (ISO, "slow", 0),
        (with_gearbox(FAST), "fast", 2025), (with_gearbox(SLOW), "slow", 2025),
    ):  # fmt: skip
        rig = ObdRig(script)
        session = rig.obd.connect()
        assert (session.kind, session.key.key_word) == (kind, word), script
        assert 0x10 in session.ecus and 0x0C in session.supported and 0x2F not in session.supported
        assert not set(rig.refusals()) - {"slow_init"}, rig.car.refusals


def test_what_is_remembered_is_tried_first():
    rig = ObdRig()
    rig.obd.fast_init()
    profile = rig.obd.session.profile()
    rig = ObdRig()
    assert rig.obd.connect(profile).kind == "fast"
    assert rig.world.now < 1_500_000


def test_an_ecu_that_still_has_a_session_is_waited_for():
    rig = ObdRig(ISO, reinit=False)
    rig.obd.slow_init()
    rig.obd.initialized = False  # as after noise: the ECU thinks that all is well
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    assert rig.sessions() == 2


def test_the_second_round_comes_after_p3max():
    """Where slow initialisation is all there is, the second try would come after 3 s, and be refused like the first."""
    from kline.device.obd.init import SLOW as SLOW_INIT
    from kline.device.obd.line import drain

    rig = ObdRig(ISO, reinit=False)
    rig.obd.slow_init()
    session = drain(rig.obd.connect_steps(None, ((SLOW_INIT, 0x33),)))
    assert session.kind == "slow" and rig.sessions() == 2 and rig.refusals() == ["in_session"]


def test_ignition_off_and_on():
    from kline.device.obd.errors import ObdError

    for script in (KWP, ISO):
        rig = ObdRig(script)
        rig.obd.connect()
        rig.car.ignition(False)
        silent = 0
        begun = rig.world.now
        initialisations = []
        while rig.world.now < begun + 600_000 * MS:
            try:
                assert rig.obd.request_pid(1, 0x0C) is None
            except ObdError:
                silent += 1
            initialisations.append(rig.obd._failures)
            rig.world.burn(1_000 * MS)
        assert silent and 5 <= initialisations[-1] < 25, "seldom enough for the car to sleep"
        rig.car.ignition(True)
        begun = rig.world.now
        while True:
            try:
                answer = rig.obd.request_pid(1, 0x0C)
                if answer is not None:
                    break
            except ObdError:
                pass
            rig.world.burn(1_000 * MS)
        assert answer.frames == [RPM] and rig.world.now - begun < 75_000 * MS
        assert rig.obd.reconnects == 1


def test_after_minutes_of_rest():
    """ticks_us wraps after 18 minutes, and says nothing about what was more than nine ago."""
    for minutes in (5, 10, 15, 17.9, 20):
        for rig in each():
            rig.obd.request_pid(1, 0x0C)
            rig.world.burn(int(minutes * 60_000) * MS)
            begun = rig.world.now
            assert rig.obd.request_pid(1, 0x0C).frames == [RPM], minutes
            assert rig.world.now - begun < 3_500 * MS and rig.sessions() == 2
            rig.obd.session.timing.p3_max_us = -1  # a session without an end
            rig.car.ecus[0].session.limits["P3"] = (55 * MS, None)
            rig.world.burn(int(minutes * 60_000) * MS)
            begun = rig.world.now
            assert rig.obd.request_pid(1, 0x0C).frames == [RPM], minutes
            assert rig.world.now - begun < 300 * MS and rig.sessions() == 2


def test_the_reference_names():
    rig = connected(limits_ms={"P4": [0, 20]})
    frame = b"\xc2\x33\xf1\x01\x0c\xf3"
    assert rig.obd.parse_frame_data(frame) == 3 and rig.obd.parse_frame_data(b"\x02\x01\x0c") == 1
    rig.world.burn(100 * MS)
    rig.transport.send_raw(frame, len(frame))
    assert rig.obd.clear_echo(frame)
    heard = rig.obd.read_response()
    assert heard.source == 0x10 and heard.data == b"\x41" + RPM
    assert rig.obd.read_response() is None
    rig.obd.reset()
    assert not rig.obd.initialized


def test_hooks():
    rig = connected(with_gearbox(KWP))
    rig.car.fault("01 0C", 0, nrc="21", times=1)
    asked, heard = [], []
    rig.obd.on_request = asked.append
    rig.obd.on_frame = lambda data, frame: heard.append((data, frame.source, frame.data))
    rig.obd.request_pid(1, 0x0C)
    assert asked == [b"\x01\x0c"] * 2
    refused = (b"\x01\x0c", 0x18, b"\x7f\x01\x12")
    assert heard == [refused, (b"\x01\x0c", 0x10, b"\x7f\x01\x21"), refused, (b"\x01\x0c", 0x10, b"\x41" + RPM)]
    rig = connected(rules=rule("01 0C", answer=["41 0D 99", "41 0C 0D 20"]))
    rig.obd.on_frame = lambda data, frame: heard.append(frame.data)
    rig.obd.request_pid(1, 0x0C)
    assert heard[4:] == [b"\x41" + RPM], "what answers another request is not told"


def test_begin_at_and_stop():
    rig = ObdRig(FAST, baud=9600)
    rig.obd.begin_at(9600)
    assert rig.obd.fast_init().baud == 9600
    rig.obd.stop()
    assert rig.asked()[-1] == b"\x82" and rig.obd.session is None and not rig.ecu.session.open
    assert rig.obd.fast_init().baud == 9600, "also the next one"
    rig = connected(ISO, "slow_init")
    n = len(rig.asked())
    rig.obd.stop()
    rig.obd.stop()
    assert len(rig.asked()) == n and rig.obd.session is None and not rig.obd.initialized


def test_an_answer_to_another_question_is_not_taken():
    rig = connected(rules=rule("01 0C", answer="41 0D 99"))
    assert rig.obd.request_pid(1, 0x0C) is None
    rig = connected(rules=rule("01 0C", answer="42 0C 00 0D 20"))
    assert rig.obd.request_pid(1, 0x0C) is None
    rig = connected(rules=rule("01 0C", answer=["41 0D 99", "41 0C 0D 20"]))
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]


def test_a_vin_with_a_frame_missing_is_no_vin():
    from kline.device.obd import errors
    from kline.device.obd.diagnostics import Diagnostics

    frames = ["49 02 %02X 31 32 33 34" % n for n in (1, 2, 4, 5)]
    rig = connected(rules=rule("09 02", answer=frames, times=1))
    assert Diagnostics(rig.obd).vin() == VIN, "asked again"
    rig = connected(rules=rule("09 02", answer=frames))
    assert code_of(Diagnostics(rig.obd).vin) == errors.DAMAGED
