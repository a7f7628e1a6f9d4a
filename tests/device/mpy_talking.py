"""Transmission on a bus with other talkers: silence, echo, collisions, results."""

import sim
from rig import Rig, frame

from kline.protocol.link import records

RADIO = 0x68
OURS = b"\x18\x04\xff\x02\x00"
OURS_WHOLE = b"\x18\x04\xff\x02\x00\xe1"


def test_waits_for_silence_and_then_sends():
    rig = Rig()
    module = sim.Module(rig.world.wire, RADIO, polite=False, idle_us=0)
    for _ in range(20):
        module.send(frame(RADIO, 0x18, b"\x01\x02\x03"))
    log = rig.world.wire.record()
    ours = rig.world.board.stage.driver.record()
    rig.transmit(1, OURS)
    rig.turn_until(lambda: rig.results)
    assert rig.results[0][1] == records.RESULT_SENT
    start = [t for t, level in ours if level == 0][0]
    before = [t for t, level in log if t < start][-1]
    assert start - before >= 1500, start - before


def test_a_collision_is_noticed_released_and_tried_again():
    rig = Rig()
    world = rig.world
    rude = sim.Module(world.wire, 0x00, polite=False)
    stage = world.board.stage.driver
    ours = stage.record()
    rig.transmit(1, OURS)
    # A zero byte on top of our first data bits, whenever they begin.
    hit = []

    def collide(level):
        if stage.level == 0 and not hit:
            hit.append(world.now)
            rude.send_raw(b"\x00\x00\x00")

    world.wire.listeners.append(collide)
    rig.turn_until(lambda: rig.results)
    assert rig.results[0][:4] == (1, records.RESULT_SENT, 0, 2), rig.results
    assert rig.app.transport.transmitter.collisions == 1
    first_wrong_byte_ends = hit[0] + 1146
    released = [t for t, level in ours if level == 1 and t < first_wrong_byte_ends + 2 * 1146 + 500][-1]
    resumed = [t for t, level in ours if level == 0 and t > released][0]
    assert released <= first_wrong_byte_ends + 2 * 1146
    assert resumed - released > 2_000
    assert [f[2] for f in rig.frames if f[1]] == [OURS_WHOLE]


def test_no_power_means_stuck_low():
    rig = Rig()
    rig.world.wire.power(False)
    rig.transmit(1, OURS)
    rig.turn_until(lambda: rig.results, limit_s=3)
    assert rig.results[0][1] == records.RESULT_BUS_STUCK_LOW
    assert (records.EVENT_BUS_STUCK_LOW, 0) in rig.events
    rig.world.wire.power(True)
    rig.transmit(2, OURS)
    rig.turn_until(lambda: len(rig.results) == 2, limit_s=3)
    assert rig.results[1][1] in (records.RESULT_SENT, records.RESULT_BUS_STUCK_LOW)
    rig.turn_for(0.1)
    assert (records.EVENT_BUS_RELEASED, 0) in rig.events


def test_no_echo_is_told_apart_and_final():
    for fault in ("rx_open", "tx_open"):
        rig = Rig()
        rig.world.board.stage.set_fault(fault)
        ours = rig.world.board.stage.tx_pad.net.record()
        begun = rig.world.now
        rig.transmit(1, OURS)
        rig.turn_until(lambda: rig.results, limit_s=3)
        assert rig.results[0][:4] == (1, records.RESULT_NO_ECHO, records.NO_ECHO_SILENCE, 1), rig.results
        rig.turn_for(0.5)
        edges = [t for t, _ in ours if t > begun]
        assert edges[-1] - edges[0] < 4 * 1146, "released early, and not tried again"


def test_an_inverted_stage_is_told_apart_from_a_collision():
    rig = Rig()
    rig.world.board.stage.set_fault("tx_inverted")
    rig.transmit(1, OURS)
    rig.turn_until(lambda: rig.results, limit_s=5)
    assert rig.results[0][1] in (records.RESULT_NO_ECHO, records.RESULT_BUS_STUCK_LOW), rig.results


def test_busy_bus_ends_with_the_deadline():
    rig = Rig()
    module = sim.Module(rig.world.wire, RADIO, polite=False)
    module.send_raw(frame(RADIO, 0x18, b"\x01\x02\x03") * 300)
    rig.transmit(1, OURS, deadline_ms=500)
    rig.turn_until(lambda: rig.results, limit_s=2)
    assert rig.results[0][:2] == (1, records.RESULT_BUS_BUSY)
    assert 500_000 <= rig.results[0][4] < 520_000


def test_waking_is_counted_limited_and_deniable():
    rig = Rig()
    rig.configure(records.CONFIG_SLEEP_AFTER_S, 2)
    rig.configure(records.CONFIG_WAKINGS_PER_HOUR, 2)
    rig.turn_for(1)
    rig.transmit(0, OURS)  # after the start nothing is known: awake
    rig.turn_for(4)
    for ident in (1, 2, 3):
        rig.transmit(ident, OURS)
        rig.turn_for(4)
    assert [(r[0], r[1]) for r in rig.results] == [
        (0, records.RESULT_SENT),
        (1, records.RESULT_SENT),
        (2, records.RESULT_SENT),
        (3, records.RESULT_ASLEEP),
    ], rig.results
    assert rig.results[3][2] == records.ASLEEP_WAKE_LIMIT
    assert [e for e in rig.events if e[0] == records.EVENT_WOKE_THE_CAR] == [
        (records.EVENT_WOKE_THE_CAR, 1),
        (records.EVENT_WOKE_THE_CAR, 2),
    ]
    rig.configure(records.CONFIG_WAKE_ALLOWED, 0)
    rig.turn_for(1)
    rig.transmit(4, OURS)
    rig.turn_for(1)
    assert rig.results[4][1:3] == (records.RESULT_ASLEEP, records.ASLEEP_WAKE_DENIED)
    rig.transmit(5, OURS, flags=records.TRANSMIT_WAKE)
    rig.turn_for(1)
    assert rig.results[5][1] == records.RESULT_SENT


def test_our_share_of_the_bus_is_limited():
    rig = Rig()
    rig.configure(records.CONFIG_RATE_PER_MINUTE, 60)
    rig.turn_for(0.5)
    begun = rig.world.now
    sent = 0
    while rig.world.now < begun + 60_000_000:
        if len(rig.results) == sent:
            rig.transmit(sent, OURS, deadline_ms=60_000)
            sent += 1
        rig.app.turn()
    assert rig.app.transport.transmitter.quiet_car.waits > 50
    # a minute's worth, and a burst of a fifth of it
    assert 70 <= len(rig.results) <= 75, len(rig.results)
