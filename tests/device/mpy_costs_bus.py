"""What the model's prices make of the bus, predicted, beside what the real port did on an emulated chip.

With the order of November 2026 (old_order.py): a witness that the prices are not too kind.
"""

import sim
from contention import percentile
from old_order import OldOrder
from rig import Rig, frame

from kline.protocol.link import records

CHIP = "160"
TIMEOUT = 170
HEAP = "64M"
MEASURED_MS = (9.5, 11.3, 13.7)  # gap of the old order: least, median, most


def gaps_ms(application, rounds=40):
    """Sorted: from the end of a foreign frame's last stop bit to our start bit. A message waits before it ends."""
    rig = Rig(application=application)
    world = rig.world
    rig.configure(records.CONFIG_RATE_PER_MINUTE, 0)
    rig.turn_for(1)
    module = sim.Module(world.wire, 0x68, keep=False)
    ours = world.board.stage.driver.record()
    found = []
    for number in range(rounds):
        n = world.rng.between(5, 36)
        module.send(frame(0x68, 0xBF, bytes([world.rng.below(256) for _ in range(n - 4)])))
        rig.turn_until(lambda: module._echo > 0)
        rig.transmit(number, frame(0x18, 0x68, b"\x01\x02")[:-1])
        rig.turn_until(lambda: len(rig.results) > number and len(module.results) > number)
        start = [t for t, level in ours if t > module.results[number][3]][0]
        # The module knows its last byte in the middle of its stop bit.
        found.append((start - module.results[number][3] - module.fmt.half_us) / 1000)
        ours.clear()
        rig.turn_for(0.05)
    return sorted(found)


def contention(application, messages):
    """(sent, median and longest wait in ms) among four talkers that start 2 to 3 ms after the last edge.

    Each of them has always a frame waiting, of 5 to 14 bytes: that makes 81 % load. Talkers at random times would leave
    a gap of 10 ms and more every few seconds.
    """
    rig = Rig(application=application)
    world = rig.world
    rig.configure(records.CONFIG_RATE_PER_MINUTE, 0)
    for address in (0x68, 0x80, 0x3F, 0x44):
        sim.Talker(world.wire, address, 1.0, keep=False)
    rig.turn_for(1)
    for number in range(messages):
        rig.turn_for(world.rng.between(0, 300) / 1000)
        rig.transmit(number, frame(0x18, 0x68, b"\x01\x02")[:-1])
        # Three wait at a time, each for its 10 s.
        rig.turn_until(lambda: len(rig.results) > number - 3, limit_s=60)
    rig.turn_until(lambda: len(rig.results) == messages)
    waits = sorted([r[4] // 1000 for r in rig.results if r[1] == records.RESULT_SENT])
    assert set(rig.result_codes()) <= {records.RESULT_SENT, records.RESULT_BUS_BUSY}, rig.result_codes()
    return len(waits), percentile(waits, 0.5), waits[-1] if waits else 0


def test_the_gap_of_the_old_order():
    gaps = gaps_ms(OldOrder)
    model = (gaps[0], percentile(gaps, 0.5), gaps[-1])
    for name, ours, measured in zip(("least", "median", "most"), model, MEASURED_MS):
        print("gap ms, old order, %-7s %5.2f  measured %5.1f  ratio %.2f" % (name, ours, measured, ours / measured))
    for ours, measured in zip(model, MEASURED_MS):
        assert abs(ours / measured - 1) <= 0.25, model


def test_the_old_order_sends_nothing_among_four_talkers():
    sent, _, _ = contention(OldOrder, 10)
    print("sent among four talkers at 80 %%, old order: %d of 10, measured 0 of 10" % sent)
    assert sent == 0
