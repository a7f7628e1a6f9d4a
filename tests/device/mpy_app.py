"""The application between bus and PC, on the virtual clock."""

import sim
from rig import Rig, frame

from kline.protocol.link import records

RADIO = 0x68


def test_every_frame_on_the_bus_reaches_the_pc_once_and_in_order():
    rig = Rig()
    module = sim.Module(rig.world.wire, RADIO)
    sent = [frame(RADIO, 0x18, bytes((i, i ^ 0x55))) for i in range(100)]
    for one in sent:
        module.send(one)
    rig.turn_until(lambda: len(rig.frames) >= 100)
    rig.turn_for(0.1)
    assert [f[2] for f in rig.frames] == sent
    assert all(f[1] == 0 for f in rig.frames)


def test_times_are_those_of_the_frames_ends_across_the_wrap():
    rig = Rig()  # the clock starts 10 s before ticks_us wraps
    module = sim.Module(rig.world.wire, RADIO)
    begin = rig.world.now
    for i in range(40):
        module.send(frame(RADIO, 0x18, bytes((i,))), at_us=begin + i * 500_000)
    rig.turn_until(lambda: len(rig.frames) == 40)
    ends = [t for t, _ in module.heard]
    for i in range(1, 40):
        device = (rig.frames[i][0] - rig.frames[0][0]) & 0x3FFFFFFF
        wire = ends[i] - ends[0]
        assert abs(device - wire) <= 5_000, (i, device, wire)


def test_a_message_is_sent_reported_and_seen_by_its_sender_once():
    rig = Rig()
    module = sim.Module(rig.world.wire, RADIO)
    rig.transmit(7, b"\x18\x04\xff\x02\x00")
    rig.turn_until(lambda: rig.results)
    rig.turn_for(0.2)
    assert rig.results[0][:4] == (7, records.RESULT_SENT, 0, 1)
    assert [f[1:] for f in rig.frames] == [(records.FRAME_OWN, b"\x18\x04\xff\x02\x00\xe1")]
    assert [f for _, f in module.heard] == [b"\x18\x04\xff\x02\x00\xe1"]


def test_a_message_that_is_none_is_dropped_with_a_result():
    rig = Rig()
    for ident, body in enumerate((b"\x18\x04\xff", b"\x18\x05\xff\x02\x00", b"", b"\x18" + b"\x3f" + bytes(63))):
        rig.transmit(ident, body)
    rig.turn_until(lambda: len(rig.results) == 4)
    assert [r[:3] for r in rig.results] == [(i, records.RESULT_DROPPED, records.DROPPED_BAD_BODY) for i in range(4)], (
        rig.results
    )
    assert rig.frames == []


def test_nothing_is_sent_that_nobody_asked_for():
    rig = Rig()
    log = rig.world.board.stage.driver.record()
    rig.turn_for(20)
    assert len(log) == 0


def test_quit_says_goodbye_and_ends():
    rig = Rig()
    rig.pc.send_now(records.QUIT, 0, b"", 0)
    rig.app.run()
    assert records.LOG in rig.records


def test_without_a_pc_it_ends_after_five_minutes():
    rig = Rig(connect=False)
    rig.app.run()
    assert 299 < rig.world.now / 1e6 < 302, rig.world.now


def test_counters_come_by_themselves_and_on_request():
    rig = Rig()
    rig.turn_for(6)
    assert rig.counters["frames"] == 0 and rig.counters["uptime_s"] in (4, 5, 6), rig.counters
    rig.counters.clear()
    rig.pc.queue(records.COUNTERS_REQUEST, 0, b"", 0)
    rig.turn_until(lambda: rig.counters, limit_s=1)


def test_longer_frames_by_configuration():
    rig = Rig()
    rig.configure(records.CONFIG_MAX_FRAME, 257)
    rig.turn_until(lambda: rig.configured)
    assert rig.configured == [(records.CONFIG_MAX_FRAME, 1, 257)]
    module = sim.Module(rig.world.wire, RADIO)
    longest = frame(RADIO, 0x18, bytes(range(253)))
    module.send(longest)
    rig.turn_until(lambda: rig.frames)
    assert rig.frames[0][2] == longest
    rig.transmit(1, longest[:-1])
    rig.turn_until(lambda: rig.results)
    assert rig.results[0][:2] == (1, records.RESULT_SENT), rig.results
    assert [f for _, f in module.heard] == [longest, longest]


def test_a_claim_longer_than_max_frame_is_counted():
    rig = Rig()
    module = sim.Module(rig.world.wire, RADIO, polite=False)
    module.send(frame(RADIO, 0x18, bytes(61)))  # 65 bytes, one more than allowed
    module.send(frame(RADIO, 0x18, b"\x01"))
    rig.turn_until(lambda: rig.counters.get("too_long"))
    assert rig.frames and rig.frames[-1][2] == frame(RADIO, 0x18, b"\x01")


def test_settings_out_of_range_are_refused():
    rig = Rig()
    for key, value in ((records.CONFIG_MAX_FRAME, 258), (records.CONFIG_WAKINGS_PER_HOUR, 101), (0x7F, 0)):
        rig.configure(key, value)
    rig.turn_until(lambda: len(rig.configured) == 3)
    assert [c[1] for c in rig.configured] == [0, 0, 0]
