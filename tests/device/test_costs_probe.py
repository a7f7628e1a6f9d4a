"""The probe that an owner of a board runs says, on the virtual board, what the virtual board is made of."""

from __future__ import annotations

import pytest
from tests.charging.prices import UNITS
from tests.hardware.cost_test import of_the_model, table


def test_the_probe_measures_the_units_of_the_model() -> None:
    found = of_the_model()
    for what, unit in (
        ("a turn of a loop", "turn"),
        ("an index", "index"),
        ("an operation between locals", "operation"),
    ):
        assert found[what] == pytest.approx(UNITS[unit], abs=0.2), what
    assert found["a call of a Python function"] == pytest.approx(UNITS["call"] + UNITS["global"], abs=0.5)
    assert found["crc16, 40 bytes"] - found["crc16, 5 bytes"] == pytest.approx(35 * 16.3, rel=0.02)
    assert "done" in found


def test_a_chip_at_240_mhz_takes_two_thirds() -> None:
    slow, fast = of_the_model("160"), of_the_model("240")
    for what in ("framing.finish, 40 bytes", "Link.feed, a record of 40 bytes", "irq.trigger"):
        assert fast[what] / slow[what] == pytest.approx(0.65, abs=0.01), what
    assert table(slow, fast).count("\n") == len(slow) + 1
