"""Link: whatever happens between the two ends, records arrive once, in order, or are counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from .link_world import World

RATES = {"drop": 0.05, "flip": 0.05, "double": 0.03, "text": 0.03, "truncate": 0.03}
sides = st.sampled_from(["device", "pc"])

pytestmark = pytest.mark.fuzz


class LinkMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(ring_size=512)

    def wire(self, side: str) -> Any:
        return self.world.up if side == "device" else self.world.down

    @rule(side=sides, n=st.integers(1, 30))
    def queue(self, side: str, n: int) -> None:
        for _ in range(n):
            self.world.queue(side)

    @rule(ms=st.sampled_from([10, 20, 50, 260, 1100]))
    def run(self, ms: int) -> None:
        self.world.run(ms * 1000)

    @rule()
    def long_silence(self) -> None:
        self.world.up.cut = self.world.down.cut = True
        self.world.run(6_000_000)
        self.world.up.cut = self.world.down.cut = False

    @rule(side=sides, fault=st.sampled_from(sorted(RATES)), rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def fault(self, side: str, fault: str, rate: float) -> None:
        self.wire(side).rates[fault] = rate

    @rule(side=sides, cut=st.booleans())
    def cut(self, side: str, cut: bool) -> None:
        self.wire(side).cut = cut

    @rule(side=sides, delay=st.integers(1, 40))
    def delay(self, side: str, delay: int) -> None:
        self.wire(side).delay = delay

    @rule()
    def reset_device(self) -> None:
        self.world.reset_device()

    @rule(same_number=st.booleans())
    def restart_pc(self, same_number: bool) -> None:
        self.world.restart_pc(same_number)

    @rule(resume=st.booleans())
    def reopen(self, resume: bool) -> None:
        self.world.reopen(resume)

    @rule()
    def unplug(self) -> None:
        """The port vanishes with what was in it, and comes back."""
        self.world.up.lose()
        self.world.down.lose()
        self.world.pc.link.close()
        self.world.run(50_000)
        self.world.reopen(resume=True)

    @invariant()
    def order(self) -> None:
        self.world.check_order()

    def teardown(self) -> None:
        self.world.heal()


LinkMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestLinkMachine = LinkMachine.TestCase


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_line_with_traffic(seed: int) -> None:
    """Half a minute of traffic both ways with every fault at once: nothing abandoned, everything there."""
    world = World(seed, ring_size=4096)
    world.run(1_000_000)
    for wire in (world.up, world.down):
        wire.rates = dict(RATES)
    for _ in range(1500):
        if world.rng.random() < 0.3:
            world.queue("device")
        if world.rng.random() < 0.1:
            world.queue("pc")
        world.run(20_000)
        world.up.delay = world.rng.randint(1, 4)
    world.heal()
    for who in ("device", "pc"):
        link = world.peer(who).link
        assert link.abandoned == 0
        assert world.delivered[who] == world.accepted[who]
        assert link.outbox.sent_first == len(world.accepted[who])
        assert link.outbox.sent_first > 100
        assert link.deframer.bad + link.rx_gaps + link.rx_duplicates > 20


def test_a_pc_that_the_device_never_heard_starts_another_session() -> None:
    """It has the device's first records already; in the old session they would come again."""
    world = World()
    assert world.run(1_000_000, lambda: world.pc.link.state == 2)
    world.down.cut = True
    assert world.queue("device")
    assert world.run(1_000_000, lambda: bool(world.delivered["device"]))
    world.up.cut = True
    world.run(6_000_000)
    world.up.cut = world.down.cut = False
    world.heal()
    assert world.delivered["device"][:1] == [0]
    world.check_order()
