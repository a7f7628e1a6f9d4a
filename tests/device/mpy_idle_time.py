"""Hours of idling on the virtual clock: ticks of microseconds wrap after 1,074 s, and their differences after 537.

How a tick may be kept says kline/protocol/ticks.py; which test looks at which tick, tests/tick_table.py.
"""

import sim
from obd_pc import ObdPc
from rig import Rig, board, frame

from kline.protocol.link import records
from kline.protocol.link.link import OPEN

BODY = b"\x18\x04\xff\x02\x01"
FOREIGN = frame(0x50, 0x68, b"\x32\x11")
AGES_S = (540, 1060, 1080)
HOURS_S = 7 * 3600
FAST_33 = bytes((records.INIT_FAST, 0x33))
TIMEOUT = 240


def leave_alone(rig):
    """The PC's end looks twice a second, not every 2 ms: hours pass in seconds."""
    rig.host._period_us = 500_000
    return rig


def pass_for(rig, seconds, step_s=1, each=None):
    """A turn of the application, and then step_s in which it does nothing; and so on. each: called after each turn."""
    end = rig.world.now + seconds * 1_000_000
    while rig.world.now < end:
        rig.app.turn()
        if each is not None:
            each()
        rig.world.run_for(step_s * 1_000_000)


def sends(rig, ident):
    """A message goes out, and at once."""
    rig.transmit(ident, BODY, deadline_ms=3000)
    rig.turn_until(lambda: rig.results and rig.results[-1][0] == ident, 5)
    assert rig.results[-1][1] == records.RESULT_SENT, (ident, rig.results[-1])
    assert rig.results[-1][4] < 500_000


def test_one_message_every_40_s_from_boot():
    rig = leave_alone(Rig())
    for ident in range(1, 60):
        sends(rig, ident)
        pass_for(rig, 40)


def first_message(age_s):
    rig = leave_alone(Rig())
    pass_for(rig, age_s)
    assert rig.events == [(records.EVENT_BUS_ASLEEP, None)]
    sends(rig, 1)
    pass_for(rig, 2)
    assert rig.events[1][0] == records.EVENT_WOKE_THE_CAR and rig.app.link.losses == 0


def test_the_first_message_long_after_boot():
    for age_s in AGES_S:
        first_message(age_s)


def soak_the_first_message_7_hours_after_boot():
    first_message(HOURS_S)


def after_a_collision(age_s):
    rig = Rig()
    rude = sim.Module(rig.world.wire, 0x00, polite=False)
    stage = rig.world.board.stage.driver

    def collide(level):
        if stage.level == 0 and not rig.app.transport.transmitter.collisions:
            rude.send_raw(b"\x00\x00\x00")

    rig.world.wire.listeners.append(collide)
    rig.transmit(1, BODY)
    rig.turn_until(lambda: rig.app.transport.transmitter.collisions)
    rig.world.wire.listeners.remove(collide)
    rig.turn_until(lambda: rig.results)
    leave_alone(rig)
    pass_for(rig, age_s)
    sends(rig, 2)


def test_messages_long_after_a_collision():
    for age_s in AGES_S:
        after_a_collision(age_s)


def soak_a_message_7_hours_after_a_collision():
    after_a_collision(HOURS_S)


def traffic(age_s, every_s):
    """Foreign frames all the time: each reaches the PC with the time of its end; then ours goes out at once."""
    rig = leave_alone(Rig())
    module = sim.Module(rig.world.wire, 0x50)
    begin = rig.world.now
    count = age_s // every_s
    for i in range(count):
        module.send(FOREIGN, at_us=begin + i * every_s * 1_000_000)
    while len(rig.frames) < count:
        due = begin + len(rig.frames) * every_s * 1_000_000
        pass_for(rig, max(0, (due - rig.world.now) // 1_000_000 - 1))
        n = len(rig.frames)
        rig.turn_until(lambda rig=rig, n=n: len(rig.frames) > n, every_s + 2)
    for (end_us, _), (time_us, _, data) in zip(module.heard, rig.frames):
        late_us = rig.world.ticks_us0 + end_us - time_us & 0x3FFFFFFF
        assert data == FOREIGN and min(late_us, (1 << 30) - late_us) < 5_000, late_us
    sends(rig, 1)
    assert rig.events == [] and rig.app.link.losses == 0


def test_with_traffic():
    for age_s in AGES_S:
        traffic(age_s, 30)


def soak_with_traffic_for_7_hours():
    traffic(HOURS_S, 50)


def uptime_and_counters(age_s):
    rig = leave_alone(Rig())
    begin = rig.world.now
    uptimes = []
    pass_for(rig, age_s, each=lambda: uptimes.append(rig.counters.get("uptime_s", 0)))
    assert abs(rig.app.uptime_s - (rig.world.now - begin) // 1_000_000) <= 1
    assert max([b - a for a, b in zip(uptimes, uptimes[1:])]) <= 8


def test_uptime_and_counters_go_on():
    for age_s in AGES_S:
        uptime_and_counters(age_s)


def soak_uptime_and_counters_go_on_for_7_hours():
    uptime_and_counters(HOURS_S)


def stuck(age_s):
    rig = leave_alone(Rig())
    culprit = rig.world.wire.driver("culprit")
    culprit.set(0)
    pass_for(rig, age_s)
    rig.transmit(1, BODY, deadline_ms=3000)
    rig.turn_until(lambda: rig.results, 5)
    assert rig.results[-1][1] == records.RESULT_BUS_STUCK_LOW
    culprit.set(1)
    pass_for(rig, 2)
    sends(rig, 2)


def test_a_line_that_was_stuck_for_long():
    for age_s in AGES_S:
        stuck(age_s)


def soak_a_line_that_was_stuck_for_7_hours():
    stuck(HOURS_S)


def deaf_pc(age_s):
    """What the board says is lost, what the PC says arrives: no room for results, so messages wait. -> rig, results"""
    rig = leave_alone(Rig())
    take = rig.world.usb.on_output
    rig.world.usb.on_output = None
    out = bytearray(60)
    link = rig.app.link
    while link.room() >= 96:
        assert link.queue(records.FRAME, 0, out, min(60, link.room() - 90))
    assert rig.app.transport.write(BODY, id=1, deadline_ms=60_000)
    pass_for(rig, age_s)
    assert link.state == OPEN, "the PC went on saying HELLO"
    rig.world.usb.on_output = take
    rig.turn_until(lambda: rig.results, 30)
    return rig


def too_late(age_s):
    rig = deaf_pc(age_s)
    assert rig.results[0][:2] == (1, records.RESULT_BUS_BUSY), rig.results
    waited_s = rig.results[0][4] // 1_000_000
    assert min(age_s, 1073) - 1 <= waited_s <= age_s + 10, (age_s, waited_s)
    pass_for(rig, 2)
    sends(rig, 2)
    assert [f[1] for f in rig.frames if f[2][:1] == BODY[:1]] == [records.FRAME_OWN]


def test_a_message_that_waited_for_room_does_not_go_out_minutes_late():
    for age_s in (61,) + AGES_S:
        too_late(age_s)


def soak_a_message_that_waited_for_room_for_7_hours():
    too_late(HOURS_S)


def test_a_line_held_since_before_the_room_was_gone_is_stuck():
    for age_s in AGES_S:
        rig = leave_alone(Rig())
        transmitter = rig.app.transport.transmitter
        rig.turn_for(0.1)
        rig.world.wire.driver("culprit").set(0)
        rig.turn_for(0.1)
        rig.world.run_for(age_s * 1_000_000)
        rig.app.turn()
        assert transmitter.stuck_low


def test_the_board_waits_five_minutes_for_a_pc():
    for mode in (records.MODE_IBUS, records.MODE_OBD):
        sim.World()
        from kline.device.app import Application

        app = Application(board(mode="obd" if mode == records.MODE_OBD else "ibus"))
        world = sim.current()
        world.usb.on_output = None
        begin = world.now
        while app._running and world.now - begin < 1000 * 1_000_000:
            app.turn()
            world.run_for(1_000_000)
        assert 299 <= (world.now - begin) // 1_000_000 <= 303


# -- manners


class Clock:
    """ticks_ms of quiet_car.py, as far ahead as wanted."""

    def __init__(self):
        from kline.device import quiet_car

        self.now_ms = 5
        quiet_car.ticks_ms = lambda: self.now_ms & 0x3FFFFFFF


def test_manners_after_weeks():
    sim.World()
    clock = Clock()
    from kline.device.quiet_car import GO, QuietCar

    day_ms = 86_400_000
    for days in (1, 5, 6, 7, 10, 12, 13, 20):
        quiet = QuietCar(sleep_after_s=0, per_minute=60)
        for _ in range(13):
            quiet.sent()
        clock.now_ms += days * day_ms
        assert quiet.judge(0) == GO and quiet._rate_debt_ms == 0, days
        quiet.heard()
        quiet.sleep_after_s = 60
        quiet.look()
        assert not quiet.asleep
        clock.now_ms += 61_000
        quiet.look()
        assert quiet.asleep
        clock.now_ms += days * day_ms
        quiet.look()
        assert quiet.asleep


# -- OBD mode


def kept(ages_s):
    rig = ObdPc(keep=50)
    rig.connect(FAST_33)
    leave_alone(rig)
    for age_s in ages_s:
        pass_obd(rig, age_s)
        end, answers = rig.ask(b"\x01\x0c")
        assert end.code == records.END_DONE and not end.flags & records.END_RENEWED and len(answers) == 1, end
    assert rig.app.link.losses == 0 and rig.app.obd.errors == 0


def test_a_session_is_kept():
    kept(AGES_S)


def soak_a_session_is_kept_for_7_hours():
    kept((HOURS_S,))


def pass_obd(rig, seconds):
    """As pass_for, in OBD mode: a call that is under way is followed closely."""
    end = rig.world.now + seconds * 1_000_000
    while rig.world.now < end:
        rig.app.turn()
        if rig.app.obd.idle():
            rig.world.run_for(400_000)


def renewed(ages_s):
    rig = ObdPc(keep=50)
    rig.connect(FAST_33)
    leave_alone(rig)
    assert rig.call(records.OP_KEEP_ALIVE, b"\x00").code == records.END_DONE
    for age_s in ages_s:
        pass_for(rig, age_s)
        begin = rig.world.now
        end, answers = rig.ask(b"\x01\x0c")
        assert end.code == records.END_DONE and end.flags & records.END_RENEWED and len(answers) == 1, end
        assert rig.world.now - begin < 5_000_000, (age_s, rig.world.now - begin)


def test_a_request_long_after_the_session_is_as_quick_as_any():
    renewed(AGES_S)


def soak_a_request_7_hours_after_the_session():
    renewed((HOURS_S,))


def test_the_first_session_long_after_boot():
    for age_s in AGES_S:
        rig = leave_alone(ObdPc(keep=50))
        pass_for(rig, age_s)
        begin = rig.world.now
        rig.connect(FAST_33)
        assert rig.world.now - begin < 5_000_000


def test_after_listening_for_long():
    rig = leave_alone(ObdPc(keep=50))
    for age_s in AGES_S:
        ident = rig.send(records.OP_LISTEN)
        pass_for(rig, age_s)
        rig.cancel(ident)
        assert rig.end_of(ident).code == records.END_CANCELLED
        begin = rig.world.now
        rig.connect(FAST_33)
        assert rig.world.now - begin < 5_000_000
        assert rig.call(records.OP_CLOSE).code == records.END_DONE


def test_back_to_the_bus_after_hours_as_a_tester():
    rig = ObdPc(keep=50)
    leave_alone(rig)
    for age_s in AGES_S:
        rig.set_mode(records.MODE_OBD)
        pass_for(rig, age_s)
        rig.set_mode(records.MODE_IBUS)
        sends(rig, age_s)
        pass_for(rig, age_s)
        sends(rig, age_s + 1)
