"""Answers that come too late, ECUs that are gone for a while: none is taken for another request's, none given up."""

from mpy_obd_requests import connected, rule
from obd_rig import FAST, ISO, KWP, RPM, SLOW, ObdRig, code_of, with_gearbox

MS = 1000
SPEED = b"\x0d\x39"


def impatient(script=KWP, kind="fast_init", **changes):
    """A session that has waited longer for late answers so often that it doesn't any more."""
    rig = connected(script, kind, **changes)
    rig.obd.session.patience = 0
    return rig


def test_a_late_answer_is_waited_for_three_times_and_then_for_the_whole_session():
    rig = connected(rules=rule("01 0C", delay_ms=100))
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM] and not rig.obd.session.late_p2, "one may be by chance"
    assert rig.obd.session.timing.p2_max_us == 50 * MS
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM] and rig.obd.session.late_p2
    assert rig.obd.session.timing.p2_max_us == 200 * MS and rig.refusals() == []
    rig = connected(ISO, "slow_init")
    times = []
    for _ in range(4):
        begun_us = rig.world.now
        assert rig.obd.request_pid(1, 0x2F) is None
        rig.obd.request_pid(1, 0x0C)
        times.append((rig.world.now - begun_us) // MS)
    assert min(times[:3]) >= times[3] + 140 and not rig.obd.session.late_p2, times


def test_a_late_answer_to_the_fast_initialisation():
    rig = ObdRig(FAST, timing_ms={"P2": 90})
    assert rig.obd.connect().late_p2 and rig.obd.request_pid(1, 0x0C).frames == [RPM]


def test_a_late_answer_is_not_the_next_requests():
    """The ECU is deaf while it owes an answer: the request after it is not answered, but by what is not for it."""
    for delay_ms in (30, 60, 90):
        for answer in ({"nrc": "12"}, {}):
            rig = impatient(rules=rule("01 0C", delay_ms=delay_ms, times=1, **answer))
            assert rig.obd.request_pid(1, 0x0C) is None
            assert rig.obd.request_pid(1, 0x0D).frames == [SPEED], (delay_ms, answer)
            assert rig.refusals() == ["pending"] and rig.asked().count(b"\x01\x0d") == 1, rig.car.refusals


def test_a_late_refusal_is_not_that_ecus_answer_beside_anothers_data():
    """The engine's refusal of the RPM comes after the request for the speed, which the gearbox answers."""
    script = with_gearbox(KWP)
    script["ecus"][1]["pids"] = {"0C": "00 00", "0D": "38"}
    rig = ObdRig(script)
    rig.obd.fast_init()
    rig.car.fault("01 0C", 0, nrc="12", delay_ms=60)
    assert rig.obd.request_pid(1, 0x0C).ecu == 0x18 and len(rig.obd.answers) == 1
    rig.obd.request_pid(1, 0x0D)
    assert [(a.ecu, a.frames) for a in rig.obd.answers] == [(0x18, [b"\x0d\x38"]), (0x10, [SPEED])], rig.obd.answers


def test_a_refusal_that_is_meant_is_believed():
    """After silence it is heard twice; after an answer once."""
    rig = connected(rules=rule("01 0C", silent=True, times=1))
    assert rig.obd.request_pid(1, 0x0C) is None
    assert rig.obd.request_pid(1, 0x2F).nrc == 0x12
    assert rig.obd.request_pid(1, 0x2E).nrc == 0x12
    assert (rig.asked().count(b"\x01\x2f"), rig.asked().count(b"\x01\x2e")) == (2, 1)


def test_p3_counts_from_a_late_answer():
    for after_ms in (2, 20, 54):
        for script, kind in ((KWP, "fast_init"), (ISO, "slow_init")):
            rig = impatient(script, kind, rules=rule("01 0C", delay_ms=100, times=1))
            assert rig.obd.request_pid(1, 0x0C) is None
            while rig.ecu.sender.items:
                rig.world.burn(500)
            rig.world.burn(after_ms * MS)
            assert rig.obd.request_pid(1, 0x0D).frames == [SPEED] and rig.refusals() == [], rig.car.refusals


def test_a_request_waits_for_the_end_of_a_late_answer():
    for into_ms in range(0, 8):
        rig = impatient(rules=rule("01 0C", delay_ms=100, times=1))
        assert rig.obd.request_pid(1, 0x0C) is None
        while not rig.ecu.sender.speaking:
            rig.world.burn(500)
        rig.world.burn(into_ms * MS)
        assert rig.obd.request_pid(1, 0x0D).frames == [SPEED] and rig.refusals() == [], (into_ms, rig.car.refusals)


def test_p3max_counts_from_the_last_byte():
    """Around 5 s: the request is in time, or a new session comes before it."""
    sessions = set()
    for ms in list(range(4_900, 4_990, 15)) + list(range(4_990, 5_004)):
        rig = connected()
        rig.obd.request_pid(1, 0x0C)
        rig.world.run_until(rig.ecu.bus_end_us + ms * MS)
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM], ms
        assert rig.refusals() == [], (ms, rig.car.refusals)
        sessions.add((ms, rig.sessions()))
    assert (4_990, 1) in sessions and (5_000, 2) in sessions, "5 ms earlier than it has to be"


def test_a_car_without_tester_present_keeps_its_session():
    rig = connected(rules=rule("3E", silent=True))
    for _ in range(40):
        rig.world.burn(500 * MS)
        assert rig.obd.keep_alive()
    assert rig.sessions() == 1 and rig.refusals() == []


def test_one_ecu_resets_while_another_goes_on():
    for script, kind in ((FAST, "fast_init"), (SLOW, "slow_init"), (dict(SLOW, reinit=False), "slow_init")):
        rig = ObdRig(with_gearbox(script))
        rig.obd.connect()
        assert sorted(rig.obd.session.ecus) == [0x10, 0x18]
        rig.car.reset(0)
        begun = rig.world.now
        while rig.obd.request_pid(1, 0x0C).ecu != 0x10:  # the gearbox refuses
            assert rig.world.now - begun < 20_000 * MS, kind
            rig.world.burn(500 * MS)
        assert rig.obd.reconnects == 1 and sorted(rig.obd.session.ecus) == [0x10, 0x18]


def test_an_ecu_that_stays_away_is_missed_once():
    rig = ObdRig(with_gearbox(KWP))
    rig.obd.connect()
    assert len(rig.obd.session.ecus) == 2
    rig.car.ecus[1].power(False)
    for _ in range(60):
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        rig.world.burn(500 * MS)
    assert rig.obd.reconnects == 1 and rig.obd.session.ecus == [0x10]


def test_an_ecu_that_is_silent_about_what_it_has_not_is_not_missed():
    script = with_gearbox(KWP)
    script["ecus"][1]["unsupported"] = "silent"
    rig = ObdRig(script)
    rig.obd.connect()
    n = len(rig.asked())
    for _ in range(60):
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        assert len(rig.obd.answers) == 1
        rig.world.burn(500 * MS)
    assert rig.obd.reconnects == 0 and 3 <= rig.asked()[n:].count(b"\x01\x00") <= 8, "looked for, but not all the time"


def test_an_ecu_that_has_no_word_for_the_roll_call_is_not_missed():
    """It answers StartCommunication, and never 01 00."""
    script = with_gearbox(FAST)
    script["ecus"][1].update({"unsupported": "silent", "rules": rule("01 00", silent=True)})
    rig = ObdRig(script)
    rig.obd.connect()
    assert sorted(rig.obd.session.ecus) == [0x10, 0x18]
    for _ in range(60):
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        rig.world.burn(500 * MS)
    assert rig.obd.reconnects == 0


def test_an_answer_is_one_though_the_roll_call_after_it_fails():
    from kline.device.obd import errors

    script = with_gearbox(KWP)
    script["ecus"][1]["unsupported"] = "silent"
    rig = ObdRig(script)
    rig.obd.connect()
    asked = []

    def on_request(data):
        asked.append(data)
        if data == b"\x01\x00":
            rig.world.wire.driver("short").set(0)

    rig.obd.on_request = on_request
    while b"\x01\x00" not in asked:
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        rig.world.burn(500 * MS)
    assert code_of(rig.obd.request_pid, 1, 0x0C) == errors.STUCK_LOW


def test_the_second_round_is_over_5_s_after_the_first():
    """An ECU whose P3max begins anew with every edge on the line: 4 s would be too short for it, and 6 s are wasted."""
    from kline.device.obd.init import SLOW as SLOW_INIT
    from kline.device.obd.line import drain

    rig = ObdRig(ISO, reinit=False)
    rig.obd.slow_init()
    n = len(rig.ours)
    drain(rig.obd.connect_steps(None, ((SLOW_INIT, 0x33),)))
    edges = [t for t, _ in rig.ours][n:]
    pauses = [b - a for a, b in zip(edges, edges[1:]) if b - a > 1_500 * MS]
    assert len(pauses) == 1 and 5_000 * MS < pauses[0] < 5_200 * MS, pauses


def test_an_ecu_that_wakes_up_within_the_address():
    """It takes the middle for the beginning; and so it would with each address that comes before its count's end."""
    from kline.device.obd import errors

    for boot_ms in range(600, 2_200, 400):
        for address in (0x33, 0x13):
            rig = ObdRig(SLOW, boot_ms=boot_ms, address="%02X" % address)
            for _ in range(2):
                assert code_of(rig.obd.slow_init, address) == errors.NO_SYNC, boot_ms
            assert rig.obd.slow_init(address).address == address and rig.sessions() == 1, boot_ms


def test_a_profile_knows_the_rate_of_a_fast_initialisation():
    profile = {"kind": "fast", "address": 0x33, "baud": 9600}
    rig = ObdRig(FAST, baud=9600)
    assert rig.obd.connect(profile).baud == 9600 and rig.world.now < 1_500 * MS
    rig.world.burn(6_000 * MS)
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM] and rig.obd.reconnects == 1, "also when it is opened again"
    rig = ObdRig(FAST)  # another car, of the usual rate
    assert rig.obd.connect(profile).baud == 10400
    assert rig.obd.fast_init().baud == 10400


LATE = (
    {"delay_ms": 30}, {"delay_ms": 60}, {"delay_ms": 90}, {"delay_ms": 120}, {"nrc": "12", "delay_ms": 40},
    {"nrc": "12", "delay_ms": 100}, {"nrc": "12"}, {"nrc": "21", "delay_ms": 60}, {"pending": 1, "p2_ms": 80},
    {"silent": True}, {"truncate": 3, "delay_ms": 70}, {"reset": True},
)  # fmt: skip


def test_at_random_nothing_is_taken_for_another_requests():
    """Two ECUs: data tell their PID and ECU; an ECU that refuses has heard this request last."""
    from obd_faults import PIDS, PROTOCOLS, check, script
    from sim.rng import Rng

    refused = 0
    for seed, protocol in ((2, PROTOCOLS[0]), (6, PROTOCOLS[1]), (7, PROTOCOLS[2])):
        rng = Rng(seed * 7)
        rig = ObdRig(script(protocol), seed=seed, keep=50)
        rig.obd.connect()
        ecus = {ecu.address: ecu for ecu in rig.car.ecus}
        for i in range(120):
            pid = PIDS[i % len(PIDS)]
            if rng.below(3) == 0:
                rig.car.fault("01 %02X" % pid, rng.below(2), **LATE[rng.below(len(LATE))])
            rig.obd.request_pid(1, pid)
            for answer in rig.obd.answers:
                if answer.ok():
                    check(pid, answer)
                else:
                    refused += 1
                    heard = [frame[4] for _, frame in ecus[answer.ecu].requests if frame[4]]  # not the roll call
                    assert heard[-1] == pid, (protocol, i, pid, answer)
    assert refused > 3, "it happens"


def test_a_fast_init_into_a_session_that_was_left_open_is_no_way_into_the_next():
    """All that this ECU knows is 5 baud; with its session open it answers StartCommunication, as any does."""
    rig = ObdRig(SLOW, rules=rule("01 00", bad_checksum=True, times=6))
    said = []
    rig.obd.on_progress = said.append
    assert rig.obd.connect().profile()["kind"] == "slow"
    assert "fast initialisation of 33" in said, "the slow one was spoilt"
    rig.world.burn(6_000 * MS)
    del said[:]
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
    assert "calling 33 at 5 baud" in said and "fast initialisation of 33" not in said
