"""Each error, one by one: its cause in the circuit or the car, its code, what it says happened, and what to try."""

from obd_rig import ISO, KWP, SLOW, ObdRig

from kline.device.obd import errors

MS = 1000


def fault(name):
    def make(rig):
        rig.world.board.stage.set_fault(name)

    return make


def no_battery(rig):
    rig.world.wire.power(False)


def ignition_off(rig):
    rig.car.ignition(False)


def another_talks(rig):
    """It pulls the line low within each byte of ours."""

    def spoil(level):
        if level == 0 and rig.world.board.stage.driver.level == 0 and rig.world.now - rig.spoilt > 300 * MS:
            rig.spoilt = rig.world.now
            rig.world.at(rig.world.now + 50_200, lambda _: rig.ecu.pulse(600))  # 25 ms low, first byte after 50

    rig.spoilt = -MS
    rig.world.wire.listeners.append(spoil)


def babble(rig):
    def again(_):
        rig.ecu.pulse(2_000)
        rig.world.at(rig.world.now + 100 * MS, again)

    again(None)


def kept_busy(rig):
    """Somebody takes 5 ms between looking at the clock and the edge, each time."""

    def before(name):
        if name == "pin_value" and rig.world.irq_off is False:
            rig.world.burn(5_000)

    rig.world.before_call = before


def init(**actions):
    return {"rules": [dict(actions, request="init")]}


# cause: car, its changes, what is done to it, call, code's name, what happened, what to try
CASES = (
    ("wire cut", KWP, {}, fault("tx_open"), "slow_init", "NO_ECHO", "the line did not move", "12 V and ground"),
    ("RX cut", KWP, {}, fault("rx_open"), "fast_init", "NO_ECHO", "nothing that was sent came back", "pin 7"),
    ("another tester", KWP, {}, another_talks, "fast_init", "ECHO_WRONG", "instead of C1", "something else talking"),
    ("stage stuck", KWP, {}, fault("tx_stuck"), "slow_init", "STUCK_LOW", "held low", "is the K-line shorted"),
    ("inverted", KWP, {}, fault("tx_inverted"), "fast_init", "STUCK_LOW", "held low", "tx_invert"),
    ("no battery", KWP, {}, no_battery, "connect", "STUCK_LOW", "held low", "ignition on"),
    ("noise", KWP, {}, babble, "slow_init", "BUSY", "did not become quiet", "Unplug other devices"),
    ("ignition off", KWP, {}, ignition_off, "slow_init", "NO_SYNC", "no ECU answered the address 33", "ignition on"),
    ("other address", SLOW, {"address": "13"}, None, "slow_init", "NO_SYNC", "address 33", "another address"),
    ("no sync byte", ISO, init(sync="54"), None, "slow_init", "SYNC_WRONG", "54 at 10400 baud", "Try again"),
    ("odd rate", SLOW, {"baud": 16_000}, None, "slow_init", "SYNC_WRONG", "those of 15957 baud", "at that rate"),
    ("sync only", ISO, init(stop_after=1), None, "slow_init", "NO_KEY_BYTES", "no first one", "Try again"),
    ("one key byte", ISO, init(stop_after=2), None, "slow_init", "NO_KEY_BYTES", "08, no second", "Try again"),
    ("other protocol", SLOW, {"key_bytes": "12 34"}, None, "slow_init", "KEY_BYTES", "(12 34)", "another address"),
    ("gives up", ISO, init(stop_after=3), None, "slow_init", "NO_ADDRESS", "nothing came within W4", "Unplug other"),
    ("wrong address", ISO, init(complement="CD"), None, "slow_init", "NO_ADDRESS", "CD instead of CC", "try again"),
    ("no fast init", SLOW, {}, None, "fast_init", "SILENT", "no ECU answered the fast init", "ignition on"),
    ("refused init", KWP, {"rules": [{"request": "81", "nrc": "10"}]}, None, "fast_init", "REFUSED",
     "10: rejected without a reason", "engine off"),
    ("damage after init", KWP, {"rules": [{"request": "01", "bad_checksum": True}]}, None, "connect", "NO_CAR",
     "no ECU gave a whole answer to 01 00 after the initialisation", "other devices"),
    ("nobody at all", KWP, {}, ignition_off, "connect", "NO_CAR", "slow init of 33: no ECU", "fast init of 33: no ECU"),
    ("busy board", KWP, {}, kept_busy, "fast_init", "LATE", "kept busy", "Try again"),
    ("too early", KWP, {}, None, "keep_going", "NOT_CONNECTED", "no session", "connect() first"),
)  # fmt: skip


def test_each_error():
    from kline.device.obd.errors import ObdError

    for cause, script, changes, make, call, code, happened, attempt in CASES:
        rig = ObdRig(script, **changes)
        if make:
            make(rig)
        try:
            if call == "keep_going":
                rig.obd.request_pid(1, 0x0C)
            else:
                getattr(rig.obd, call)()
            raise AssertionError(cause + ": no error")
        except ObdError as error:
            assert error.code == getattr(errors, code), (cause, error.code, error)
            assert happened in str(error) and attempt in str(error), (cause, str(error))
        rig.world.before_call = None
        rig.world.run_for(3_000_000)
        if make not in (no_battery, babble) and "stuck" not in cause and cause != "inverted":
            assert rig.world.wire.level == 1, cause


def test_each_error_of_a_session():
    from kline.device.obd import errors
    from kline.device.obd.diagnostics import Diagnostics
    from kline.device.obd.errors import ObdError

    def lost(rig):
        rig.car.ignition(False)
        for _ in range(8):
            try:
                rig.obd.request_pid(1, 0x0C)
            except ObdError as error:
                if error.code != errors.NO_CAR:
                    raise

    def damaged(rig):
        rig.car.fault("01 0D", bad_checksum=True, times=9)
        Diagnostics(rig.obd).live(0x0D)

    cases = (
        (lambda rig: Diagnostics(rig.obd).live(0x2F), "REFUSED", "12: PID or parameter not", "something else"),
        (damaged, "DAMAGED", "no ECU gave a whole answer to 01 0d: only damage or noise", "Try again"),
        (lambda rig: Diagnostics(rig.obd).clear(), "NOT_ALLOWED", "erases all", "sure=True"),
        (lambda rig: rig.obd.access_timing(), "NOT_ALLOWED", "ISO 14230-4 fixes", "address 33"),
        (lost, "TOO_SOON", "a moment ago", "wait"),
    )
    for call, code, happened, attempt in cases:
        rig = ObdRig()
        rig.obd.fast_init()
        try:
            call(rig)
            raise AssertionError(code)
        except ObdError as error:
            assert error.code == getattr(errors, code) and happened in str(error) and attempt in str(error), error
    rig = ObdRig(ISO)
    rig.obd.slow_init()
    try:
        Diagnostics(rig.obd).live(0x2F)
        raise AssertionError
    except ObdError as error:
        assert error.code == errors.SILENT and "01 2f" in str(error) and "does not have this one" in str(error)


def test_every_code_has_a_case():
    from kline.device.obd.texts import TEXTS

    source = [case[5] for case in CASES] + ["TOO_SOON", "NOT_ALLOWED", "DAMAGED"]
    names = {getattr(errors, name) for name in source}
    assert names == set(TEXTS), set(TEXTS) - names
