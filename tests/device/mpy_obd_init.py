"""Initialisation: all three kinds, both stage polarities, the waveform itself, other cars. Limits: mpy_obd_limits."""

from obd_rig import ISO, KWP, SLOW, ObdRig, code_of, with_gearbox

MS = 1000
POLARITIES = ((False, False), (True, False), (False, True), (True, True))


def test_three_kinds_on_four_polarities():
    for tx, rx in POLARITIES:
        board = {"tx_invert": tx, "rx_invert": rx}
        rig = ObdRig(board=board)
        assert rig.obd.slow_init().key.key_word == 2025
        rig.good()
        rig = ObdRig(board=board)
        session = rig.obd.fast_init()
        assert session.key.key_word == 2025 and session.ecus == [0x10]
        rig.good()
        rig = ObdRig(ISO, board=board)
        session = rig.obd.slow_init()
        assert session.key.text() == "08 08: ISO 9141-2"
        rig.good()


def test_with_an_optocouplers_delays():
    for kind in ("slow_init", "fast_init"):
        rig = ObdRig(board={"tx_invert": True, "tx_delay_us": (6, 18), "rx_delay_us": (4, 16)})
        getattr(rig.obd, kind)()
        rig.good()


def five_baud_edges(rig, address):
    """(due us, level, really) of each edge of the address, from the stage's driver on the wire."""
    word = address << 1 | 0x200
    level = 1
    expected = []
    for i in range(10):
        if word >> i & 1 != level:
            level ^= 1
            expected.append((i * 200_000, level))
    start = [t for t, new in rig.ours if new == 0][0]
    edges = [(t - start, new) for t, new in rig.ours if 0 <= t - start <= 1_900_000]
    assert [new for _, new in edges] == [new for _, new in expected], edges
    return [(due, new, t) for (due, new), (t, _) in zip(expected, edges)]


def test_waveform_of_the_address():
    for address in (0x33, 0x13, 0x01, 0xFF, 0x00, 0x55):
        rig = ObdRig(address=address)
        rig.obd.slow_init(address)
        rig.good()
        for due, _, t in five_baud_edges(rig, address):
            assert abs(t - due) <= 100, (due, t)
        assert rig.obd.line.late_most_us < 100


def test_waveform_of_the_pulse():
    rig = ObdRig()
    rig.obd.fast_init()
    begin, rise, first = [t for t, _ in rig.ours][:3]
    assert abs(rise - begin - 25_000) < 100 and abs(first - begin - 50_000) < 100, (rise - begin, first - begin)


def busy_callbacks(rig, us):
    """A soft timer whose callback takes that long, every 13 ms: it strikes wherever callbacks can."""
    from machine import Timer

    world = rig.world
    timer = Timer(0)
    timer.init(mode=Timer.PERIODIC, period=13, callback=lambda _: world.burn(us))
    return timer


def test_callbacks_of_5_ms_do_not_move_an_edge():
    for us in (1_000, 5_000):
        for kind in ("slow_init", "fast_init"):
            rig = ObdRig()
            busy_callbacks(rig, us)
            getattr(rig.obd, kind)()
            rig.good()
            if kind == "slow_init":
                for due, _, t in five_baud_edges(rig, 0x33):
                    assert abs(t - due) <= 2_000, (us, due, t)
            else:
                begin, rise, first = [t for t, _ in rig.ours][:3]
                assert abs(rise - begin - 25_000) < 1_000 and abs(first - begin - 50_000) < 1_000


def test_an_application_between_the_edges():
    """The caller takes 1..15 ms a turn, wherever the steps leave it so much: no edge moves, the ECU is content."""
    for kind in ("slow_init_steps", "fast_init_steps"):
        for turn_ms in (1, 5, 15):
            rig = ObdRig()
            turns = 0
            steps = getattr(rig.obd, kind)()
            try:
                while True:
                    budget = next(steps)
                    if budget >= 2_000:
                        rig.world.burn(turn_ms * MS)
                        turns += 1
            except StopIteration as end:
                assert end.value.key.key_word == 2025
            rig.good()
            assert turns > 15, turns


def test_a_pause_of_100_ms_is_noticed_and_the_init_repeated():
    """At any moment of the address: the waveform keeps the standard, or it is given up and begun again."""
    for strike_ms in range(300, 2_400, 90):
        rig = ObdRig()
        rig.world.at(strike_ms * MS, _arm, rig)
        rig.pause = False
        steps = rig.obd.slow_init_steps()
        try:
            while True:
                next(steps)
                if rig.pause:
                    rig.pause = False
                    rig.world.burn(100 * MS)
                else:
                    rig.world.burn(500)
        except StopIteration as end:
            assert end.value.key.key_word == 2025
        assert rig.sessions() == 1, strike_ms
        assert len(rig.refusals()) <= 1 and not set(rig.refusals()) - {"bit", "stop_bit", "W4"}, rig.car.refusals


def _arm(rig):
    rig.pause = True


def test_garbage_collection_is_off_and_comes_back():
    import gc

    rig = ObdRig()
    seen = []
    steps = rig.obd.slow_init_steps()
    for budget in steps:
        rig.world.burn(min(budget, 1_000))
        seen.append(gc.isenabled())
    assert not all(seen) and gc.isenabled()
    rig = ObdRig()
    steps = rig.obd.slow_init_steps()
    for budget in steps:
        rig.world.burn(min(budget, 1_000))
        if rig.world.wire.level == 0:
            break
    assert not gc.isenabled()
    steps.close()
    assert gc.isenabled() and rig.world.wire.level == 1


# -- other cars --------------------------------------------------------------------------------------------------------


def test_other_rates_are_measured_from_the_sync_byte():
    for baud in (9600, 4800, 1200, 10400, 10000):
        rig = ObdRig(SLOW, baud=baud)
        session = rig.obd.slow_init()
        assert abs(session.baud - baud) < baud // 50, session
        assert rig.obd.request_pid(1, 0x0C).frames == [b"\x0c\x0d\x20"]
        rig.good()
        rig.obd.reset()
        assert rig.obd.line.baud == 10400


def test_a_spoilt_sync_byte_is_tried_again():
    rig = ObdRig(ISO, rules=[{"request": "init", "sync": "54", "times": 1}])
    assert rig.obd.slow_init().key.key_word == 0 and rig.sessions() == 1
    assert rig.refusals() == ["W4"], rig.car.refusals  # it waited for an answer to the first one's key bytes


def test_another_address():
    rig = ObdRig(SLOW, address="13", baud=9600)
    session = rig.obd.slow_init(0x13)
    assert session.address == 0x13 and not session.legislated()
    assert rig.obd.request_pid(1, 0x0D).frames == [b"\x0d\x39"]
    assert rig.ecu.requests[-1][1] == b"\x82\x13\xf1\x01\x0d\x94"


def test_an_address_is_a_byte():
    for init in ("slow_init", "fast_init"):
        for address in (-1, 256):
            try:
                getattr(ObdRig().obd, init)(address)
                raise AssertionError(address)
            except ValueError as error:
                assert "must be 0..255" in str(error)


def test_key_bytes_unequal_swapped_unknown():
    from kline.device.obd import errors

    for key, word in (("6B 8F", 2027), ("8F EF", 2031), ("D0 8F", 2000), ("94 94", 0)):
        rig = ObdRig(ISO if word == 0 else SLOW, key_bytes=key)
        assert rig.obd.slow_init().key.key_word == word
        rig.good()
    rig = ObdRig(SLOW, key_bytes="55 AA")
    assert code_of(rig.obd.slow_init) == errors.KEY_BYTES
    rig = ObdRig(key_bytes="8F EF")
    assert rig.obd.fast_init().key.key_word == 2031


def test_two_ecus_answer_the_fast_init():
    rig = ObdRig(with_gearbox(KWP))
    session = rig.obd.fast_init()
    assert sorted(session.ecus) == [0x10, 0x18]
    assert rig.refusals() == [] and [e.counts["session"] for e in rig.car.ecus] == [1, 1]


# -- circuits and cars that fail ---------------------------------------------------------------------------------------


def test_errors_say_what_happened():
    from kline.device.obd import errors

    for fault, code in (
        ("tx_open", errors.NO_ECHO), ("rx_open", errors.NO_ECHO), ("tx_stuck", errors.STUCK_LOW),
        ("rx_stuck", errors.STUCK_LOW), ("tx_inverted", errors.STUCK_LOW),
    ):  # fmt: skip
        for kind in ("slow_init", "fast_init", "connect"):
            rig = ObdRig()
            rig.world.board.stage.set_fault(fault)
            assert code_of(getattr(rig.obd, kind)) == code, (fault, kind)
    rig = ObdRig()
    rig.world.wire.power(False)
    assert code_of(rig.obd.connect) == errors.STUCK_LOW
    rig = ObdRig()
    rig.car.ignition(False)
    assert code_of(rig.obd.slow_init) == errors.NO_SYNC
    assert code_of(rig.obd.fast_init) == errors.SILENT
    assert code_of(rig.obd.connect) == errors.NO_CAR
    rig = ObdRig(rules=[{"request": "81", "nrc": "10"}])
    assert code_of(rig.obd.fast_init) == errors.REFUSED
    assert code_of(ObdRig().obd.request_pid, 1, 0) == errors.NOT_CONNECTED


def test_line_is_busy():
    from kline.device.obd import errors

    rig = ObdRig()

    def babble(_):
        rig.ecu.pulse(2_000)
        rig.world.at(rig.world.now + 100 * MS, babble)

    babble(None)
    assert code_of(rig.obd.slow_init) == errors.BUSY
