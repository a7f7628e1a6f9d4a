"""MultiPids: which PIDs go together, and that nothing an ECU says is taken for another PID's data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import pids, requests
from kline.protocol.obd.keybytes import KeyBytes
from kline.protocol.obd.multi import MAX_PIDS, MultiPids

KWP, ISO = KeyBytes(0xE9, 0x8F), KeyBytes(0x08, 0x08)
numbers = st.lists(st.integers(0, 255), max_size=20, unique=True)


def answer(ecu: int, *frames: bytes) -> requests.Answer:
    found = requests.Answer(ecu)
    found.frames = list(frames)
    return found


@given(numbers)
def test_groups_hold_each_pid_once(wanted: list[int]) -> None:
    groups = MultiPids(KWP).groups(wanted)
    assert sorted(pid for group in groups for pid in group) == sorted(wanted)
    for group in groups:
        assert 1 <= len(group) <= MAX_PIDS
        assert len(group) == 1 or all(pids.length(pid) and pid % 0x20 for pid in group)
    assert MultiPids(ISO).groups(wanted) == [[pid] for pid in wanted]


@given(st.lists(st.lists(st.binary(max_size=30), max_size=4), max_size=3))
def test_garbage(frames: list[list[bytes]]) -> None:
    multi = MultiPids(KWP)
    group = [0x0C, 0x0D, 0x05]
    found = multi.read(group, [answer(ecu, *some) for ecu, some in enumerate(frames)])
    assert set(found) <= set(group)
    for pid, data in found.items():
        assert len(data) == pids.length(pid)
        assert any(bytes((pid,)) + data in b"".join(some) for some in frames)


@given(st.permutations([0x0C, 0x0D, 0x05, 0x42]), st.integers(1, 4), st.integers(2, 4))
def test_values_of_any_order_and_split(order: list[int], cut: int, have: int) -> None:
    data = {0x0C: b"\x0d\x20", 0x0D: b"\x0c", 0x05: b"\x0d", 0x42: b"\x05\x0c"}
    said = order[:have]
    first, second = (b"".join(bytes((pid,)) + data[pid] for pid in some) for some in (said[:cut], said[cut:]))
    frames = [frame for frame in (first, second) if frame]
    multi = MultiPids(KWP)
    assert multi.read([0x0C, 0x0D, 0x05, 0x42], [answer(0x10, *frames)]) == {pid: data[pid] for pid in said}
    assert multi.takes


def test_two_ecus_that_have_the_same_pid() -> None:
    found = MultiPids(KWP).read([0x0C, 0x0D], [answer(0x18, b"\x0d\x01"), answer(0x10, b"\x0c\x0d\x20\x0d\x02")])
    assert found == {0x0D: b"\x01", 0x0C: b"\x0d\x20"}


def test_it_is_given_up_after_two_failures_in_a_row() -> None:
    multi = MultiPids(KWP)
    good = [answer(0x10, b"\x0c\x0d\x20\x0d\x02")]
    refused = [requests.Answer(0x10)]
    refused[0].nrc = 0x12
    for answers, takes in ((refused, True), (good, True), ([], True), (good, True), (refused, True), ([], False)):
        multi.read([0x0C, 0x0D], answers)
        assert multi.takes == takes
    assert multi.groups([0x0C, 0x0D]) == [[0x0C], [0x0D]]
