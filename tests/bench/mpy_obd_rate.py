"""PID requests a second and each initialisation's length, beside the limits that the standards' times set. Modelled.

The limit of a request: its bytes with P4min between them, the ECU's own P2, the answer's bytes, P3min. That of an
initialisation: idle time, address or pattern, the ECU's own W times, the bytes.
"""

from obd_rig import ISO, KWP, ObdRig

BYTE_US = 10_000_000 / 10_400
P2_US, P3_US, P4_US = 25_000, 55_000, 5_000
ROUNDS = 100


def _report(what, got, limit, unit):
    print("%-28s %8.2f %s, limit %8.2f, %5.1f %%" % (what, got, unit, limit, 100 * got / limit))


def test_requests_a_second():
    for name, script, kind in (("KWP", KWP, "fast_init"), ("ISO 9141", ISO, "slow_init")):
        rig = ObdRig(script, timing_ms={"P2": P2_US / 1000, "P1": 0})
        getattr(rig.obd, kind)()
        rig.obd.request_pid(1, 0x0C)
        begun = rig.world.now
        for _ in range(ROUNDS):
            assert rig.obd.request_pid(1, 0x0C).ok()
        rate = ROUNDS * 1_000_000 / (rig.world.now - begun)
        cycle_us = 6 * BYTE_US + 5 * P4_US + P2_US + 8 * BYTE_US + P3_US
        _report(name + " requests", rate, 1_000_000 / cycle_us, "a second")
        assert rate * cycle_us >= 950_000, "at least 95 %"
        assert rig.refusals() == []


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
