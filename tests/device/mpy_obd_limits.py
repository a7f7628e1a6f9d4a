"""Each W and P limit just inside, at and just outside, in both directions, on all three kinds of car.

Where the tester keeps a limit, it is made to miss it, and the ECU says what it measured on the wire and whether it
takes it. Where the ECU keeps it, the tester hears what is within, and gives up what is later than the limit and its
grace. What comes too early is understood all the same.

    limit      who     kinds                tests
    W0         tester  ISO 9141 KWP slow    tester_limits
    W1 W2 W3   ECU     ISO 9141 KWP slow    ecu_initialisation
    W4         both    ISO 9141 KWP slow    tester_limits, ecu_initialisation
    W5         tester  ISO 9141 KWP slow    tester_limits
    5-baud bit tester  ISO 9141 KWP slow    tester_limits
    idle TiniL TWuP  tester  KWP fast       tester_limits
    P1 P2      ECU     all                  ecu_answers
    P3 P4      tester  all                  tester_limits
"""

from obd_rig import ISO, KWP, SLOW, ObdRig

MS = 1000
STEP_US = 60  # "just"
EXACT_US = 25  # so near the wanted time the tester's own is
KINDS = {"ISO 9141": (ISO, "slow_init"), "KWP slow": (SLOW, "slow_init"), "KWP fast": (KWP, "fast_init")}
SLOW_KINDS = ("ISO 9141", "KWP slow")
RPM = b"\x0c\x0d\x20"


def noted(rig, name):
    """What the ECU measured of it the last time, and whether it was taken."""
    found = [(t, us, True) for t, n, us in rig.ecu.accepted if n == name]
    found += [(t, us, False) for t, n, us in rig.ecu.refusals if n == name]
    return max(found)[1:]


class Patch:
    """module.name has another value until end()."""

    def __init__(self, module, name, value):
        self.module, self.name, self.was = module, name, getattr(module, name)
        setattr(module, name, value)

    def end(self):
        setattr(self.module, self.name, self.was)


def ended(patch, fn, *args):
    from kline.device.obd.errors import ObdError

    try:
        return fn(*args)
    except ObdError as error:
        print(error)
        return None
    finally:
        patch.end()


# -- what the tester is made to do: fn(kind, us) -> (rig, the limit's name with the ECU, understood) -------------------


def initialised(kind, module, name, value, first=None, prepare=None):
    """An initialisation with this in force; first: a rule that spoils one before it."""
    script, init = KINDS[kind]
    rig = ObdRig(script, rules=[dict(first, request="init", times=1)] if first else [])
    if prepare:
        prepare(rig)
    if first:
        ended(Patch(module, name, getattr(module, name)), getattr(rig.obd, init))
    return rig, ended(Patch(module, name, value), getattr(rig.obd, init)) is not None


def w0(kind, us):
    from kline.device.obd import line as obd_line
    from kline.protocol.obd import timing

    if kind == "KWP slow":
        rig, good = initialised(kind, timing, "W0_USUAL_US", us)
        return rig, "W0", good

    def glitch(rig):  # 2 ms is less than the tester's own way to its first edge: the line has just become quiet
        rig.world.at(4_900, lambda _: rig.ecu.pulse(20))

    patch = Patch(timing, "W0_USUAL_US", 0)
    rig, good = initialised(kind, obd_line, "_MASKED_US", us // 2, prepare=glitch)
    patch.end()
    return rig, "W0", good


def w5(kind, us):
    from kline.protocol.obd import timing

    rig, good = initialised(kind, timing, "W0_USUAL_US", us, {"complement": "CD"})
    return rig, "W5", good


def w4(kind, us):
    from kline.device.obd import init as obd_init
    from kline.protocol.obd import timing

    patch = Patch(timing, "W4_MAX_US", 60 * MS)  # else the tester would notice, and begin again
    rig, good = initialised(kind, obd_init, "_W4_US", us)
    patch.end()
    return rig, "W4", good


def bit(kind, us):
    """us: of the worst edge, the last one, nine bits after the first."""
    from kline.protocol.obd import timing

    rig, good = initialised(kind, timing, "FIVE_BAUD_BIT_US", 200_000 + us // 9)
    return rig, "bit", good


def fast(name, limit):
    def run(kind, us):
        from kline.protocol.obd import timing

        rig, good = initialised(kind, timing, name, us)
        return rig, limit, good

    return run


def requested(kind, set_up):
    script, init = KINDS[kind]
    rig = ObdRig(script)
    getattr(rig.obd, init)()
    rig.obd.request_pid(1, 0x0C)
    set_up(rig, rig.obd.session.timing)
    answer = rig.obd.request_pid(1, 0x0C)
    return rig, answer is not None and answer.frames == [RPM]


def p3_min(kind, us):
    def set_up(rig, times):
        times.p3_min_us = us
        times.p2_max_us = 32 * MS  # so that P3 and not the listening decides

    rig, good = requested(kind, set_up)
    return rig, "P3", good


def p3_max(kind, us):
    def set_up(rig, times):
        times.p3_max_us = -1  # the tester would initialise again
        times.p3_min_us = us

    rig, good = requested(kind, set_up)
    return rig, "P3", good


def p4(kind, us):
    from kline.protocol.obd import timing

    def set_up(rig, times):
        times.p4_min_us = us
        times.p4_max_us = 50 * MS  # else the tester would notice, and ask again

    patch = Patch(timing, "LIMITS", dict(timing.LIMITS, P4=(5 * MS, 50 * MS, 0, "")))
    try:
        rig, good = requested(kind, set_up)
    finally:
        patch.end()
    return rig, "P4", good


# name in timing.LIMITS, its direction, the limit in us, a value well within, kinds, how
TESTER = (
    ("W0", "least", 2_000, 4_000, ("ISO 9141",), w0),
    ("W0", "least", 300_000, 310_000, ("KWP slow",), w0),
    ("W4 tester", "least", 25_000, 30_000, SLOW_KINDS, w4),
    ("W4 tester", "most", 50_000, 45_000, SLOW_KINDS, w4),
    ("W5", "least", 300_000, 320_000, SLOW_KINDS, w5),
    ("5-baud bit", "least", -2_000, -900, SLOW_KINDS, bit),
    ("5-baud bit", "most", 2_000, 900, SLOW_KINDS, bit),
    ("fast idle", "least", 300_000, 320_000, ("KWP fast",), fast("FAST_IDLE_US", "idle")),
    ("TiniL", "least", 24_000, 25_000, ("KWP fast",), fast("TINIL_US", "TiniL")),
    ("TiniL", "most", 26_000, 25_000, ("KWP fast",), fast("TINIL_US", "TiniL")),
    ("TWuP", "least", 49_000, 50_000, ("KWP fast",), fast("TWUP_US", "TWuP")),
    ("TWuP", "most", 51_000, 50_000, ("KWP fast",), fast("TWUP_US", "TWuP")),
    ("P3", "least", 55_000, 60_000, tuple(KINDS), p3_min),
    ("P3", "most", 5_000_000, 4_900_000, tuple(KINDS), p3_max),
    ("P4", "least", 5_000, 8_000, tuple(KINDS), p4),
    ("P4", "most", 20_000, 15_000, tuple(KINDS), p4),
)  # fmt: skip


def check_tester(limit, direction, at_us, inside_us, kinds, run):
    outward = 1 if direction == "most" else -1
    for kind in kinds:
        rig, name, _ = run(kind, inside_us)
        measured, taken = noted(rig, name)
        assert taken, (limit, kind, measured)
        late_us = measured - inside_us  # how much the tester's way adds
        for us, wanted in ((at_us - outward * STEP_US, True), (at_us, None), (at_us + outward * STEP_US, False)):
            rig, name, good = run(kind, us - late_us)
            measured, taken = noted(rig, name)
            assert abs(measured - us) <= EXACT_US, (limit, kind, us, measured)
            within = (measured - at_us) * outward <= 0
            assert taken == within and wanted in (None, within), (limit, kind, us, measured, taken)
            assert good in (None, within), (limit, kind, us, measured, good)


def check_testers(names):
    for row in TESTER:
        if row[0] in names:
            check_tester(*row)


def test_limits_of_the_tester_in_a_5_baud_initialisation():
    check_testers(("W0", "W4 tester", "W5", "5-baud bit"))


def test_limits_of_the_tester_in_a_fast_initialisation():
    check_testers(("fast idle", "TiniL", "TWuP"))


def test_limits_of_the_tester_in_requests():
    check_testers(("P3", "P4"))


# -- what the ECU does: limit, its name in the script, least, most in ms, what the tester says when it is over ---------


def ecu_rows():
    from kline.device.obd import errors

    return (
        ("W1", "W1", 60, 300, errors.NO_SYNC),
        ("W2", "W2", 5, 20, errors.NO_KEY_BYTES),
        ("W3", "W3", 0, 20, errors.NO_KEY_BYTES),
        ("W4 ECU", "W4", 25, 50, errors.NO_ADDRESS),
    )


def early(least):
    return tuple([ms for ms in (least - 0.1, least / 2, 1) if 0 < ms < least])


def test_limits_of_the_ecu_in_a_5_baud_initialisation():
    from kline.device.obd.errors import ObdError

    for limit, name, least, most, code in ecu_rows():
        for kind in SLOW_KINDS:
            script, init = KINDS[kind]
            for ms in early(least) + (least, least + 0.1, most - 0.1, most, most + 0.1):
                rig = ObdRig(script, timing_ms={name: ms})
                getattr(rig.obd, init)()
                rig.good()
            for ms in (most + 7, most + 30):  # GRACE_US, and the poll
                rig = ObdRig(script, timing_ms={name: ms})
                try:
                    getattr(rig.obd, init)()
                    raise AssertionError((limit, ms))
                except ObdError as error:
                    assert error.code == code, (limit, ms, error)


ANSWERS = (("P1", "p1_ms", 0, 20), ("P2", "p2_ms", 25, 50))


def test_limits_of_the_ecu_in_answers():
    for limit, name, least, most in ANSWERS:
        for kind in KINDS:
            script, init = KINDS[kind]
            for ms in early(least) + (least, least + 0.1, most - 0.1, most, most + 0.1):
                assert answered(script, init, {name: ms}), (limit, kind, ms)
            for ms in (most + 2.6, most + 20):  # a byte, a millisecond, the poll
                assert not answered(script, init, {name: ms}), (limit, kind, ms)


def answered(script, init, actions):
    rig = ObdRig(script, rules=[dict(actions, request="01 0C")])
    getattr(rig.obd, init)()
    rig.obd.session.timing.p3_min_us = 300_000  # a late ECU is let finish
    rig.obd.session.patience = 0  # the limit as it is, without the longer wait where nothing came
    answer = rig.obd.request_pid(1, 0x0C)
    return answer is not None and answer.frames == [RPM]


def test_the_table_has_all_limits():
    from kline.protocol.obd import timing

    listed = set([(row[0], row[1]) for row in TESTER])
    for row in ecu_rows() + ANSWERS:
        listed |= {(row[0], "least"), (row[0], "most")}
    for name, (least, most, _, _) in timing.LIMITS.items():
        assert (name, "least") in listed, name
        assert most == timing.NO_LIMIT or (name, "most") in listed, name
