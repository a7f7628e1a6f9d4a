"""What a mechanic asks, of cars of both protocols; and the scanner example as it is."""

from obd_rig import ISO, KWP, VIN, ObdRig, code_of, with_gearbox


def rigs(**changes):
    from kline.device.obd.diagnostics import Diagnostics

    for script, kind in ((KWP, "fast_init"), (ISO, "slow_init")):
        rig = ObdRig(script, **changes)
        getattr(rig.obd, kind)()
        yield rig, Diagnostics(rig.obd)


def test_live_values_and_supported_pids():
    from kline.device.obd import errors

    for rig, car in rigs(pids={"05": "49", "0C": "0D 20", "42": "37 14", "5C": "80"}):
        found = car.supported()
        assert found.pids() == [0, 1, 5, 0x0C, 0x20, 0x40, 0x42, 0x5C], found.pids()
        value = car.live(0x42)[0]
        assert (value.name, value.unit) == ("VOLTAGE", "V") and abs(value.value - 14.1) < 0.01
        wanted = errors.REFUSED if rig.ecu.setup.kwp else errors.SILENT
        assert code_of(car.live, 0x2F) == wanted


def test_monitors_and_codes():
    from kline.protocol.obd import requests

    for _, car in rigs(monitors="07 65 04"):
        one = car.monitors()[0x10]
        assert one.mil and one.codes == 4 and not one.ready()
        assert car.codes() == ({0x10: ["P0133", "P0301", "P0420", "P0171"]}, True)
        assert car.codes(requests.PENDING_CODES) == ({0x10: ["P0455"]}, True)
        assert car.codes(requests.PERMANENT) == ({0x10: ["P0420"]}, True)


def test_no_codes_is_only_believed_where_pid_01_agrees():
    for _, car in rigs(dtcs=[], no_dtc="silent"):
        found, certain = car.codes()
        assert not any(found.values()) and certain
    for _, car in rigs(rules=[{"request": "03", "silent": True}]):
        assert car.codes() == ({}, False)
    for _, car in rigs(rules=[{"request": "03", "silent": True, "times": 1}]):
        assert car.codes()[1] and len(car.codes()[0][0x10]) == 4


def test_clear_wants_to_be_sure():
    from kline.device.obd import errors

    for _, car in rigs():
        assert code_of(car.clear) == errors.NOT_ALLOWED
        assert len(car.codes()[0][0x10]) == 4
        assert car.clear(sure=True) == {0x10: 0}
        assert car.codes() == ({0x10: []}, True)
    for _, car in rigs(rules=[{"request": "04", "nrc": "22"}]):
        assert car.clear(sure=True) == {0x10: 0x22}


def frozen(car):
    """{ecu: (code, {name: value})}"""
    found = {}
    for ecu, (code, values) in car.freeze_frames().items():
        found[ecu] = (code, {one.name: one.value for pid in values for one in values[pid]})
    return found


def test_freeze_frame():
    for _, car in rigs():
        assert frozen(car) == {0x10: ("P0133", {"COOLANT": 33, "RPM": 840})}
        car.clear(sure=True)
        assert car.freeze_frames() == {}


def test_the_freeze_frame_is_the_one_of_the_ecu_that_has_it():
    from kline.device.obd import errors
    from kline.device.obd.diagnostics import Diagnostics

    script = with_gearbox(KWP)
    script["ecus"][0]["freeze"] = {"dtc": "P0133", "pids": {"05": "49", "0C": "0D 20"}}
    rig = ObdRig(script)  # the gearbox speaks first: it has none
    rig.obd.connect()
    engine = ("P0133", {"COOLANT": 33, "RPM": 840})
    assert frozen(Diagnostics(rig.obd)) == {0x10: engine}
    script["ecus"][1]["freeze"] = {"dtc": "P0720", "pids": {"05": "28"}}
    rig = ObdRig(script)  # both have one: values are never mixed
    rig.obd.connect()
    assert frozen(Diagnostics(rig.obd)) == {0x10: engine, 0x18: ("P0720", {"COOLANT": 0})}
    for action, error in (("nrc", errors.REFUSED), ("silent", errors.SILENT)):
        for _, car in rigs(rules=[{"request": "02", action: "11" if action == "nrc" else True}]):
            assert code_of(car.freeze_frames) == error


def test_vin_and_calibration_ids():
    for rig, car in rigs():
        assert car.vin() == VIN
        assert car.calibration_ids() == {0x10: ["ABC-123", "DEF"]}
        assert car.calibration_numbers() == {0x10: ["1791BC82"]}
        assert car.ecu_names() == {0x10: "ECM-EngineControl"}
        rig.car.fault("09 02", bad_checksum=True, times=1)
        assert car.vin() == VIN
        rig.car.fault("09 02", nrc="12", times=1)
        assert car.vin() == ""


def test_two_ecus_stay_apart():
    from kline.device.obd.diagnostics import Diagnostics

    script = with_gearbox(KWP)
    script["ecus"][1]["dtcs"] = ["P0720"]
    rig = ObdRig(script)
    rig.obd.connect()
    car = Diagnostics(rig.obd)
    found, certain = car.codes()
    assert certain and found[0x18] == ["P0720"] and len(found[0x10]) == 4
    assert car.vin() == VIN
    assert car.live(0x0C)[0].value == 840
    assert rig.refusals() == []


def two_ecus(**engine):
    """The engine has pending P0455 and an own rule; the gearbox speaks first, and has nothing."""
    from kline.device.obd.diagnostics import Diagnostics

    script = with_gearbox(KWP)
    script["ecus"][0].update(engine)
    rig = ObdRig(script)
    rig.obd.connect()
    return rig, Diagnostics(rig.obd)


def test_a_damaged_answer_is_not_passed_over_because_another_ecu_has_answered():
    from kline.protocol.obd import requests

    damage = {"bad_checksum": True, "times": 1}
    rig, car = two_ecus(rules=[dict(damage, request="07")])
    assert car.codes(requests.PENDING_CODES) == ({0x18: [], 0x10: ["P0455"]}, True)
    rig, car = two_ecus(rules=[dict(damage, request="01 00")])
    assert 0x0C in rig.obd.session.supported, "the bitmap of the engine was lost"
    # Of a live value one answer is enough.
    rig, car = two_ecus(rules=[dict(damage, request="01 1F")], pids={"1F": "00 10"})
    rig.obd.request(b"\x01\x1f")
    assert rig.asked().count(b"\x01\x1f") == 2, "nobody else had it"
    script_of_both = {"pids": {"0C": "0D 20"}}
    script = with_gearbox(KWP)
    script["ecus"][0].update(script_of_both, rules=[dict(damage, request="01 0C")])
    script["ecus"][1].update(script_of_both)
    rig = ObdRig(script)
    rig.obd.connect()
    assert rig.obd.request_pid(1, 0x0C).frames == [b"\x0c\x0d\x20"] and rig.asked().count(b"\x01\x0c") == 1


def test_an_ecu_that_says_nothing_any_more_is_not_without_codes():
    _, car = two_ecus(rules=[{"request": "01 01", "silent": True}, {"request": "03", "silent": True}])
    assert car.codes() == ({0x18: []}, False)
    _, car = two_ecus(rules=[{"request": "01 01", "nrc": "12"}, {"request": "03", "nrc": "11"}])
    assert car.codes() == ({0x18: []}, True), "it has said that it has no codes to tell"


def test_the_scanner_example():
    import builtins
    import json
    import os

    import sim
    from sim.obdcar import Car

    board = {"rx": 16, "tx": 17, "spare": 4, "tx_invert": False}
    world = sim.World(board=board)
    car = Car(world.wire, KWP)
    with open("board.json", "w") as file:
        json.dump(board, file)
    world.at(12_000_000, lambda _: car.ignition(False))
    world.at(40_000_000, lambda _: car.ignition(True))
    world.at(80_000_000, lambda _: world.interrupt(KeyboardInterrupt()))
    with open(os.getenv("OPENKLINE_ROOT") + "/firmware/examples/obd2_scanner.py") as file:
        code = file.read()
    lines = []
    plain = builtins.print
    builtins.print = lambda *words: lines.append((world.now, " ".join([str(word) for word in words])))
    try:
        exec(compile(code, "obd2_scanner.py", "exec"), {"__name__": "__main__"})
    finally:
        builtins.print = plain
    good = "rpm 840.0 rpm  speed 57.0 km/h  coolant 33.0 C  throttle 50.2 %  voltage 14.1 V"
    times = [t for t, text in lines if text == good]
    assert times[0] < 6_000_000 and max(times) > 75_000_000, lines[-3:]
    assert not [t for t in times if 12_500_000 < t < 40_000_000]
    assert any(["VIN: " + VIN in text for _, text in lines])
