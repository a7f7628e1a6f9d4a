"""The bus first: what the order of the application's turn makes of a chip whose Python takes its time.

Beside it mpy_costs_bus.py, the order of November 2026 on the same chip.
"""

import sim
from contention import Contention, foreign_hits_of_a_module, percentile
from rig import Rig, frame

from kline.protocol.link import records

CHIP = "160"
TIMEOUT = 170
HEAP = "256M"
NEAR = 6  # bytes: a message that comes later than that before a frame's end may miss it


def gaps_ms(rounds):
    """Sorted: from the end of a foreign frame's last stop bit to our start bit. A message waits before it ends."""
    rig = Rig()
    world = rig.world
    rig.configure(records.CONFIG_RATE_PER_MINUTE, 0)
    rig.turn_for(1)
    module = sim.Module(world.wire, 0x68, keep=False)
    ours = world.board.stage.driver.record()
    transport = rig.app.transport
    found = []
    for number in range(rounds):
        n = world.rng.between(24, 40)
        module.send(frame(0x68, 0xBF, bytes([world.rng.below(256) for _ in range(n - 4)])))
        rig.turn_until(lambda: module._echo > 0)
        rig.transmit(number, frame(0x18, 0x68, b"\x01\x02")[:-1])
        rig.turn_until(lambda: not transport.tx_idle())
        in_time = 0 <= module._echo < n - NEAR
        rig.turn_until(lambda: len(rig.results) > number and len(module.results) > number)
        if in_time:
            start = [t for t, level in ours if t > module.results[number][3]][0]
            # The module knows its last byte in the middle of its stop bit.
            found.append((start - module.results[number][3] - module.fmt.half_us) / 1000)
        ours.clear()
        rig.turn_for(0.05)
    assert len(found) > rounds * 0.9
    return sorted(found)


def test_the_gap_behind_a_frame():
    gaps = gaps_ms(200)
    median, most = percentile(gaps, 0.5), percentile(gaps, 0.99)
    print("gap ms: least %.2f, median %.2f, 99 %% %.2f, most %.2f" % (gaps[0], median, most, gaps[-1]))
    assert median <= 3.0
    assert most <= 3.5


def four_talkers(messages, seed):
    c = Contention(0.8, messages, seed=seed)
    c.check_results()
    c.check_silence()
    waits = c.waits_us()
    print(
        "load %d %%: sent %d of %d, foreign frames hit %d (by a module %d); "
        "waited ms, median %.1f, 99 %% %.1f, longest %.1f"
        % (
            round(c.busy_share() * 100),
            c.sent(),
            messages,
            c.check_collisions(),
            foreign_hits_of_a_module(0.8, messages, seed),
            percentile(waits, 0.5) / 1000,
            percentile(waits, 0.99) / 1000,
            waits[-1] / 1000,
        )
    )
    assert c.busy_share() > 0.75
    assert c.sent() == messages
    assert percentile(waits, 0.5) < 50_000


def test_all_is_sent_among_four_talkers():
    four_talkers(100, 1)


def soak_all_is_sent_among_four_talkers():
    four_talkers(1000, 2)
