"""Which messages of clients may go out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.gateway.options import GatewayOptions
from openkline.gateway.rules import PRESETS, Rule, denied_by

from .openbm.conftest import serving
from .openbm.raw import FRAME, MESSAGE, TOLD, counters_of


@pytest.mark.parametrize(
    ("message", "denied"),
    [
        ("3F D0 0C 01", True),
        ("3F D0 0B", False),
        ("3F 80 04", False),
        ("3F 80 05", True),
        ("44 BF 74", True),
        ("BF 44 01", True),
        ("3F 44 00", True),
        ("68 18 01", False),
        ("F0 68 48", False),
    ],
)
def test_cautious(message: str, denied: bool) -> None:
    raw = bytes.fromhex(message)
    rules = GatewayOptions(deny=("cautious",)).rules()
    assert (denied_by(rules, raw[0], raw[1], raw[2:]) is not None) is denied


@given(st.binary(min_size=3, max_size=20))
def test_without_rules_everything_goes_out(raw: bytes) -> None:
    assert denied_by((), raw[0], raw[1], raw[2:]) is None


def test_the_first_rule_decides() -> None:
    rules = tuple(map(Rule.parse, ("!68 18 01", "68 ?? 01", "68 18")))
    assert denied_by(rules, 0x68, 0x18, b"\x01") is None
    assert denied_by(rules, 0x68, 0x19, b"\x01") is rules[1]
    assert denied_by(rules, 0x68, 0x18, b"\x02") is rules[2]
    assert denied_by(rules, 0x68, 0x19, b"\x02") is None


def test_presets_are_valid() -> None:
    for name in PRESETS:
        assert GatewayOptions(deny=(name,)).rules()


async def test_denied_messages_never_reach_the_bus() -> None:
    async with serving(deny=("68 18 02",)) as gateway:
        raw = await gateway.join()
        await raw.send(MESSAGE[:-1] + b"\x02" + MESSAGE)
        await raw.expect(MESSAGE)
        assert gateway.bus is not None and gateway.bus.bodies == [bytes.fromhex("68 03 18 01")]
        assert counters_of(gateway).denied == 1  # type: ignore[attr-defined]


async def test_read_only() -> None:
    async with serving(read_only=True) as gateway:
        raw = await gateway.join()
        await raw.send(MESSAGE * 3)
        await raw.ping()
        assert gateway.bus is not None and gateway.bus.submitted == 0
        gateway.bus.hear(FRAME)
        await raw.expect(TOLD)
        assert counters_of(gateway).read_only == 3  # type: ignore[attr-defined]
