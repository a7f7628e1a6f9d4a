"""Several PIDs in one request: used where the ECU takes them, and given up where it doesn't, with the same values."""

from obd_rig import ISO, KWP, ObdRig, with_gearbox

WANTED = (0x0C, 0x0D, 0x05, 0x11)
VALUES = {0x0C: 840, 0x0D: 57, 0x05: 33}
SINGLE = [bytes((1, pid)) for pid in WANTED]
ALL = b"\x01" + bytes(WANTED)


def driven(script=KWP, rounds=4, **changes):
    """(rig, requests of each round) after so many rounds with the right values."""
    from kline.device.obd.diagnostics import Diagnostics

    rig = ObdRig(script, **changes)
    rig.obd.connect()
    car = Diagnostics(rig.obd)
    asked = []
    for _ in range(rounds):
        n = len(rig.asked())
        values = car.live_all(WANTED)
        assert list(sorted(values)) == sorted(WANTED)
        for pid in VALUES:
            assert values[pid][0].value == VALUES[pid], values
        asked.append(rig.asked()[n:])
    return rig, asked


def test_a_car_that_takes_them():
    rig, asked = driven(multi_pid=6)
    assert asked == [[ALL]] * 4 and rig.refusals() == []


def test_cars_that_do_not():
    for script, changes in (
        (KWP, {}),  # refuses
        (KWP, {"unsupported": "silent"}),
        (KWP, {"rules": [{"request": ALL, "answer": "41 0C 0D 20"}]}),  # takes the first only
        (KWP, {"rules": [{"request": ALL, "answer": "41 0C 0D"}]}),  # can't be taken apart
        (KWP, {"rules": [{"request": ALL, "answer": "41 0C 00 00 0D"}]}),
    ):
        _, asked = driven(script, **changes)
        # Twice it is tried, because noise may have spoilt the first; the values are there all the same.
        assert asked == [[ALL] + SINGLE] * 2 + [SINGLE] * 2, (changes, asked)
    _, asked = driven(ISO, multi_pid=6)
    assert asked == [SINGLE] * 4, "an answer on ISO 9141-2 has no room for several"


def test_what_is_missing_is_asked_alone():
    """The ECU takes several, but has only some of these."""
    pids = {"0C": "0D 20", "0D": "39", "05": "49"}
    rig, asked = driven(multi_pid=6, pids=pids)
    assert asked == [[ALL, b"\x01\x11"]] * 4


def test_a_spoilt_answer_now_and_then_does_not_end_it():
    from kline.device.obd.diagnostics import Diagnostics

    rig = ObdRig(multi_pid=6)
    rig.obd.connect()
    car = Diagnostics(rig.obd)
    for _ in range(4):
        rig.car.fault("01 0C 0D", silent=True, times=1)
        assert car.live_all(WANTED)[0x0C][0].value == 840
        n = len(rig.asked())
        assert car.live_all(WANTED)[0x0D][0].value == 57
        assert rig.asked()[n:] == [ALL]


def test_each_ecu_says_what_it_has():
    """A gearbox with the speed only: the engine's values are not taken for its, nor the other way round."""
    script = with_gearbox(dict(KWP, multi_pid=6, pids={"0C": "0D 20", "05": "49", "11": "80"}))
    script["ecus"][1].update({"pids": {"0D": "39"}, "multi_pid": 6})
    rig, asked = driven(script)
    assert asked == [[ALL]] * 4 and rig.refusals() == []


def test_fuel_trims_of_a_car_with_four_banks():
    """They have two bytes there, and are taken apart all the same."""
    from kline.device.obd.diagnostics import Diagnostics

    rig = ObdRig(multi_pid=6, pids={"06": "90 0D", "07": "70 81", "0D": "39", "0C": "0D 20"})
    rig.obd.connect()
    car = Diagnostics(rig.obd)
    for _ in range(3):
        n = len(rig.asked())
        values = car.live_all((0x06, 0x0D, 0x07, 0x0C))
        assert [values[pid][0].value for pid in (0x06, 0x0D, 0x07, 0x0C)] == [12.5, 57, -12.5, 840]
        assert rig.asked()[n:] == [b"\x01\x06\x0d\x07\x0c"]


def test_more_than_six():
    from kline.device.obd.diagnostics import Diagnostics

    pids = {"%02X" % n: "%02X" % n for n in (0x04, 0x05, 0x06, 0x07, 0x0B, 0x0D, 0x0E, 0x0F)}
    rig = ObdRig(multi_pid=6, pids=pids)
    rig.obd.connect()
    n = len(rig.asked())
    wanted = [int(pid, 16) for pid in sorted(pids)]
    values = Diagnostics(rig.obd).live_all(wanted)
    assert rig.asked()[n:] == [b"\x01" + bytes(wanted[:6]), b"\x01" + bytes(wanted[6:])]
    assert values[0x0F][0].value == 0x0F - 40 and values[0x0D][0].value == 0x0D


def test_a_round_is_faster():
    """Four PIDs in one request: at least twice as many values a second."""
    times = []
    for most in (1, 6):
        rig, _ = driven(multi_pid=most, rounds=3)
        from kline.device.obd.diagnostics import Diagnostics

        car = Diagnostics(rig.obd)
        for _ in range(3):
            begun = rig.world.now
            car.live_all(WANTED)
        times.append(rig.world.now - begun)
    assert 2 * times[1] < times[0], times
