"""Our messages among four other talkers: 1,000 at each load. Modelled: see boards/SIM/sim/costs.py."""

from contention import Contention, foreign_hits_of_a_module, percentile

TIMEOUT = 300
HEAP = "64M"


def row(load):
    c = Contention(load, 1000, seed=3)
    c.check_results()
    latency = c.check_silence()
    waits, least = c.waits_us(), c.least_waits_us()
    print(
        "| %2d %% | %d of 1000 | %d | %d | %d | %.1f / %.1f | %.1f / %.1f | %d |"
        % (
            round(c.busy_share() * 100),
            c.sent(),
            c.rig.app.transport.transmitter.collisions,
            c.check_collisions(),
            foreign_hits_of_a_module(load, 1000, 3),
            percentile(waits, 0.5) / 1000,
            percentile(waits, 0.99) / 1000,
            percentile(least, 0.5) / 1000,
            percentile(least, 0.99) / 1000,
            latency,
        )
    )


def test_1000_messages_at_30_60_and_85_percent():
    print("modelled, not measured on a board:")
    print(
        "| foreign load | sent | our collisions | foreign frames hit by us | by a model module in our place "
        "| waited ms, median / 99 % | least possible | start seen within us |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for load in (0.3, 0.6, 0.85):
        row(load)
