"""Pauses of the board (garbage collection, flash, another task) wherever they can strike: before any hardware call.

Whatever happens, the wire's record shows either a waveform within the standard's limits, or one that was broken off at
the edge that was late; the ECU's session and the tester's belief agree in the end; and no pause changes an answer.
"""

from obd_rig import ISO, KWP, SLOW, ObdRig

PAUSE_US = 100_000
KINDS = ((KWP, "fast_init"), (dict(SLOW, baud=9600), "slow_init"), (ISO, "slow_init"))
CUT = {"P4", "length", "checksum"}  # what an ECU may say of a request with a pause in it
RPM = b"\x0c\x0d\x20"
FIVE_BAUD_33 = (0, 200_000, 600_000, 1_000_000, 1_400_000, 1_800_000)  # its edges, from the first


class Pauses:
    """Pauses before hardware calls: {number of the call from now on: us}; none: calls are counted.

    names  of the calls that were struck
    """

    def __init__(self, world, at):
        self.world, self.at = world, at
        self.count = 0
        self.names = []
        world.before_call = self._before

    def _before(self, name):
        us = self.at.get(self.count)
        self.count += 1
        if us:
            self.names.append(name)
            self.world.burn(us)

    def end(self):
        self.world.before_call = None


def pulses(ours):
    """[(start us, length us)] of our lows of 3 ms and more; a byte's are shorter."""
    found = []
    for i in range(len(ours) - 1):
        (t, level), (end, _) = ours[i], ours[i + 1]
        if level == 0 and end - t >= 3_000:
            found.append((t, end - t))
    return found


def edges_after(ours, start, for_us):
    return [t - start for t, _ in ours if start <= t < start + for_us]


def judge_addresses(ours):
    """Each address on the wire is right to the end, or stops at its first wrong edge. Returns how many were whole."""
    whole = 0
    next_us = 0
    for start, _ in pulses(ours):
        if start < next_us:
            continue
        next_us = start + 2_000_000
        edges = edges_after(ours, start, 1_950_000)
        wrong = [i for i, t in enumerate(edges) if i >= len(FIVE_BAUD_33) or abs(t - FIVE_BAUD_33[i]) > 2_000]
        if not wrong and len(edges) == len(FIVE_BAUD_33):
            whole += 1
        elif wrong:
            # The late edge, and the line let go at once where it was one to low.
            assert len(edges) <= wrong[0] + 2 and edges[-1] - edges[wrong[0]] < 1_000, edges
    return whole


def judge_pulses(ours):
    """Each wake-up pattern that StartCommunication follows is within its limits, or one byte betrayed that it isn't."""
    whole = 0
    for start, low in pulses(ours):
        later = [t for t in edges_after(ours, start, 300_000) if t > low + 2_000]
        if later and later[-1] - later[0] > 1_000:
            assert abs(low - 25_000) <= 1_000 and abs(later[0] - 50_000) <= 1_000, (low, later)
            whole += 1
    return whole


def masks(world):
    """Lengths in us of the times in which interrupts are disabled, from now on."""
    found = []
    since = [0]
    mask = world.mask_interrupts

    def noted(off):
        was = mask(off)
        if off and not was:
            since[0] = world.now
        elif was and not off:
            found.append(world.now - since[0])
        return was

    world.mask_interrupts = noted
    return found


def test_interrupts_are_never_disabled_for_over_20_ms():
    """Also by the slowest sync byte, wherever it begins, and by a low that is none."""
    from kline.device.obd.errors import ObdError

    slow = dict(SLOW, baud=1200)
    cases = [(KWP, "fast_init", 0), (ISO, "slow_init", 0)]
    cases += [(dict(slow, timing_ms={"W1": 60 + tenth / 10}), "slow_init", 0) for tenth in range(0, 130, 26)]
    cases += [(ISO, "slow_init", 2_320_500 + 3_500 * i) for i in range(5)]
    longest = 0
    for script, kind, low_at_us in cases:
        rig = ObdRig(script)
        lengths = masks(rig.world)
        if low_at_us:
            rig.world.at(low_at_us, lambda _: rig.ecu.pulse(30_000))
        try:
            getattr(rig.obd, kind)()
        except ObdError:
            assert low_at_us
        assert lengths and max(lengths) <= 20_000, (script, low_at_us, max(lengths))
        longest = max(longest, max(lengths))
    assert longest > 10_000 and not rig.world.irq_off


def calls_of(script, kind):
    """How many hardware calls an undisturbed initialisation makes."""
    rig = ObdRig(script)
    counter = Pauses(rig.world, {})
    getattr(rig.obd, kind)()
    return counter.count


def check_init(script, kind, disturb, tries=1):
    """With one pause an initialisation works. Of many, two may hit it twice: that is named, and the next one works."""
    from kline.device.obd import errors

    rig = ObdRig(script)
    pauses = disturb(rig.world)
    session = None
    while session is None:
        tries -= 1
        try:
            session = getattr(rig.obd, kind)()
        except errors.ObdError as e:
            if not tries or e.code not in (errors.LATE, errors.SYNC_WRONG, errors.KEY_BYTES):
                raise
    rig.world.before_call = None
    where = (kind, pauses.at, pauses.names, rig.car.refusals)
    whole = judge_addresses(rig.ours) if kind == "slow_init" else judge_pulses(rig.ours)
    assert whole >= 1 and rig.sessions() >= 1 and rig.ecu.session.open and session.key.key_word in (0, 2025), where
    assert rig.obd.request_pid(1, 0x0C).frames == [RPM], where
    return rig


def pause_in_inits(strikes, seed):
    from sim.rng import Rng

    rng = Rng(seed)
    for script, kind in KINDS:
        calls = calls_of(script, kind)
        named = {}
        for i in range(strikes):
            at = calls * i // strikes + rng.below(max(1, calls // strikes))
            rig = check_init(script, kind, lambda world: Pauses(world, {at: PAUSE_US}))
            for name in set(rig.refusals()):
                named[name] = named.get(name, 0) + 1
        print(kind, script["key_bytes"], "%d of %d calls" % (strikes, calls), "refused by the ECU:", named)


def test_one_pause_of_100_ms_in_an_init():
    pause_in_inits(16, 1)


def soak_one_pause_of_100_ms_in_an_init():
    pause_in_inits(400, 2)


def short_pauses_in_inits(rounds, seed):
    from sim.rng import Rng

    rng = Rng(seed)
    for script, kind in KINDS:
        calls = calls_of(script, kind)
        for _ in range(rounds):
            at = {rng.below(calls): rng.below(5_000) for _ in range(20)}
            check_init(script, kind, lambda world: Pauses(world, at), tries=2)


def test_pauses_up_to_5_ms_in_an_init():
    short_pauses_in_inits(4, 1)


def soak_pauses_up_to_5_ms_in_an_init():
    short_pauses_in_inits(150, 2)


def pause_in_requests(strikes, seed, us=PAUSE_US):
    from sim.rng import Rng

    rng = Rng(seed)
    for script, kind in KINDS:
        rig = ObdRig(script)
        getattr(rig.obd, kind)()
        counter = Pauses(rig.world, {})
        assert rig.obd.request_pid(1, 0x0C).frames == [RPM]
        calls = counter.count
        for i in range(strikes):
            pause = Pauses(rig.world, {calls * i // strikes + rng.below(max(1, calls // strikes)): us})
            answer = rig.obd.request_pid(1, 0x0D)
            pause.end()
            assert answer is not None and answer.frames == [b"\x0d\x39"], (kind, pause.at, pause.names, answer)
            rig.world.burn(rng.below(100_000))
        assert rig.sessions() == 1 and not set(rig.refusals()) - CUT, rig.car.refusals


def test_one_pause_of_100_ms_in_a_request():
    pause_in_requests(60, 3)


def soak_one_pause_in_a_request():
    for us in (1_000, 5_000, 20_000, 100_000):
        pause_in_requests(400, us, us)


def requests_with_short_pauses(requests, seed):
    from sim.stalls import Stalls

    for script, kind in KINDS:
        rig = ObdRig(script)
        getattr(rig.obd, kind)()
        Stalls(rig.world, seed, 100, (0, 5_000))
        for i in range(requests):
            pid, data = ((0x0C, RPM), (0x0D, b"\x0d\x39"), (0x05, b"\x05\x49"))[i % 3]
            answer = rig.obd.request_pid(1, pid)
            assert answer is not None and answer.frames == [data], (kind, i, answer)
        assert rig.sessions() == 1 and not set(rig.refusals()) - CUT, rig.car.refusals


def test_pauses_up_to_5_ms_in_requests():
    requests_with_short_pauses(60, 4)


def soak_pauses_up_to_5_ms_in_requests():
    requests_with_short_pauses(1_000, 5)
