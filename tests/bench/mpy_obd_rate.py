"""PID requests a second and each initialisation's length, beside the limits that the standards' times set. Modelled.

The limit of a request: its bytes with P4min between them, the ECU's own P2, the answer's bytes, P3min. That of an
initialisation: idle time, address or pattern, the ECU's own W times, the bytes.
"""

from obd_pc import ObdPc
from obd_rig import ISO, KWP, ObdRig

from kline.protocol.link import records

BYTE_US = 10_000_000 / 10_400
P2_US, P3_US, P4_US = 25_000, 55_000, 5_000
ROUNDS = 100
CYCLE_US = 6 * BYTE_US + 5 * P4_US + P2_US + 8 * BYTE_US + P3_US
KINDS = (("KWP", KWP, "fast_init", b"\x01\x33"), ("ISO 9141", ISO, "slow_init", b"\x00\x33"))


def _report(what, got, limit, unit):
    print("%-28s %8.2f %s, limit %8.2f, %5.1f %%" % (what, got, unit, limit, 100 * got / limit))


def test_requests_a_second():
    for name, script, kind, _ in KINDS:
        rig = ObdRig(script, timing_ms={"P2": P2_US / 1000, "P1": 0})
        getattr(rig.obd, kind)()
        rig.obd.request_pid(1, 0x0C)
        begun = rig.world.now
        for _ in range(ROUNDS):
            assert rig.obd.request_pid(1, 0x0C).ok()
        rate = ROUNDS * 1_000_000 / (rig.world.now - begun)
        _report(name + " on the board", rate, 1_000_000 / CYCLE_US, "a second")
        assert rate * CYCLE_US >= 950_000, "at least 95 %"
        assert rig.refusals() == []


def test_requests_a_second_through_the_link():
    """From a PC that always has the next request on the board (as obd/calls.py); 1 ms of USB each way, 115200 baud."""
    for name, script, _, order in KINDS:
        pc = ObdPc(script, timing_ms={"P2": P2_US / 1000, "P1": 0})
        pc.connect(order)
        for ahead in (1, 2):
            sent = [pc.send(records.OP_REQUEST, b"\0\0\x01\x0c") for _ in range(ahead)]
            begun = pc.world.now
            for _ in range(ROUNDS):
                assert pc.end_of(sent.pop(0)).code == records.END_DONE
                sent.append(pc.send(records.OP_REQUEST, b"\0\0\x01\x0c"))
            rate = ROUNDS * 1_000_000 / (pc.world.now - begun)
            _report("%s, %d under way" % (name, ahead), rate, 1_000_000 / CYCLE_US, "a second")
            while sent:
                pc.end_of(sent.pop(0))
        assert rate * CYCLE_US >= 950_000, "at least 95 %"
        assert [frame for _, frame in pc.ecu.answers][-1][3:-1] == b"\x41\x0c\x0d\x20" and pc.car.refusals == []


def test_values_a_second_where_the_ecu_takes_several():
    from kline.device.obd.diagnostics import Diagnostics

    for most in (1, 6):
        rig = ObdRig(KWP, timing_ms={"P2": P2_US / 1000, "P1": 0}, multi_pid=most)
        rig.obd.fast_init()
        car = Diagnostics(rig.obd)
        for _ in range(2):
            car.live_all((0x0C, 0x0D, 0x05, 0x11))
        begun = rig.world.now
        for _ in range(10):
            car.live_all((0x0C, 0x0D, 0x05, 0x11))
        rate = 40 * 1_000_000 / (rig.world.now - begun)
        print("%d PIDs in a request: %.1f values a second" % (most, rate))
    assert rate > 20


def test_initialisations():
    w1, w2, w3, w4, w4_us = 60_000, 5_000, 0, 25_000, 25_000
    slow_us = 300_000 + 2_000_000 + w1 + w2 + w3 + w4_us + w4 + 5 * BYTE_US
    fast_us = 300_000 + 50_000 + 5 * BYTE_US + 4 * P4_US + P2_US + 7 * BYTE_US + 50_000
    times = {"W1": w1 / 1000, "W2": w2 / 1000, "W3": w3 / 1000, "W4": w4 / 1000, "P2": P2_US / 1000}
    for name, script, kind, limit_us in (
        ("ISO 9141 slow", ISO, "slow_init", slow_us), ("KWP slow", KWP, "slow_init", slow_us),
        ("KWP fast", KWP, "fast_init", fast_us),
    ):  # fmt: skip
        rig = ObdRig(script, timing_ms=times)
        begun = rig.world.now
        getattr(rig.obd, kind)()
        took_us = rig.world.now - begun
        _report(name, took_us / 1000, limit_us / 1000, "ms")
        assert took_us < 1.05 * limit_us
        assert rig.refusals() == []
