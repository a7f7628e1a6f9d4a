"""Link: how records arrive once and in order, and what bounds them, rule by rule."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kline.protocol.link import records
from kline.protocol.link.outbox import RESEND_CAP_US, RESEND_US

from .link_ends import open_device, open_pair, sequenced, talk

# -- order, acks, repetition


def test_sequence_wraps() -> None:
    device, pc = open_pair()
    for i in range(600):
        device.queue(b"%d" % i)
        talk(device, pc)
    talk(device, pc, 3)
    assert [p for kind, p in pc.got if kind == records.FRAME] == [b"%d" % i for i in range(600)]
    assert device.link.outbox.sent_again == pc.link.rx_gaps == 0


def test_ack_at_once_and_only_once() -> None:
    device = open_device()
    device.pump()
    device.hear(records.TRANSMIT, 0, 0, b"abc")
    said = device.pump()
    assert [(kind, ack) for kind, _, ack, _ in said] == [(records.HEARTBEAT, 1)]
    assert device.pump() == []


def test_ack_rides_on_a_record() -> None:
    device = open_device()
    device.pump()
    device.hear(records.TRANSMIT, 0, 0, b"abc")
    device.queue(b"x")
    assert [(kind, ack) for kind, _, ack, _ in device.pump()] == [(records.FRAME, 1)]


def test_one_nak_a_gap() -> None:
    device = open_device()
    device.pump()
    for seq in range(1, 60):
        device.hear(records.TRANSMIT, seq, 0, b"abc")
        naks = [ack for kind, _, ack, _ in device.pump() if kind == records.NAK]
        assert naks == ([0] if seq == 1 else [])
    assert device.link.rx_gaps == 1
    device.hear(records.TRANSMIT, 0, 0, b"abc")
    device.hear(records.TRANSMIT, 1, 0, b"abc")
    device.hear(records.TRANSMIT, 3, 0, b"abc")  # another gap
    assert [ack for kind, _, ack, _ in device.pump() if kind == records.NAK] == [2]


def test_no_nak_for_a_gap_that_closed() -> None:
    device = open_device()
    device.pump()
    for seq in (1, 0):
        device.hear(records.TRANSMIT, seq, 0, b"abc")
    assert [(kind, ack) for kind, _, ack, _ in device.pump()] == [(records.HEARTBEAT, 1)]


def test_progress_is_no_reason_to_repeat() -> None:
    """One record is always outstanding, none for long."""
    device = open_device()
    device.queue(b"x")
    for i in range(40):
        device.queue(b"y")
        device.pump(RESEND_US // 2)
        device.hear(records.HEARTBEAT, ack=i + 1)
    assert device.link.outbox.sent_again == 0


def test_duplicate_is_acknowledged_again() -> None:
    device = open_device()
    device.hear(records.TRANSMIT, 0, 0, b"abc")
    device.pump()
    device.hear(records.TRANSMIT, 0, 0, b"abc")
    assert [ack for _, _, ack, _ in device.pump()] == [1]
    assert device.link.rx_duplicates == 1
    assert len([1 for kind, _ in device.got if kind == records.TRANSMIT]) == 1


def test_nak_repeats_one_then_the_rest() -> None:
    """The rest follows the ack: what is still on its way to a slow peer doesn't pile up in its buffer."""
    device = open_device()
    device.queue(b"a", b"b", b"c")
    assert sequenced(device.pump()) == [0, 1, 2]
    device.hear(records.NAK, ack=1)
    assert sequenced(device.pump()) == [1]
    assert sequenced(device.pump(10_000)) == []
    device.hear(records.HEARTBEAT, ack=2)
    assert sequenced(device.pump()) == [2]
    device.hear(records.HEARTBEAT, ack=3)
    assert device.link.outbox.ring.count == 0
    assert (device.link.outbox.sent_first, device.link.outbox.sent_again) == (3, 2)


def test_ack_of_all_ends_the_repetition() -> None:
    """Only the ack was lost: nothing else is sent again."""
    device = open_device()
    device.queue(b"a", b"b", b"c")
    device.pump()
    assert sequenced(device.pump(RESEND_US)) == [0]
    device.hear(records.HEARTBEAT, ack=3)
    assert sequenced(device.pump(RESEND_US)) == []
    assert device.link.outbox.ring.count == 0


def test_repetition_gets_rarer() -> None:
    device = open_device()
    device.queue(b"a", b"b")
    device.pump()
    times = []
    for _ in range(2000):
        device.hear(records.HEARTBEAT)  # alive, and acknowledges nothing
        if sequenced(device.pump(10_000)):
            times.append(device.now_us)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:2] == [2 * RESEND_US, 4 * RESEND_US]
    assert set(gaps[1:]) == {RESEND_CAP_US}
    device.hear(records.HEARTBEAT, ack=1)
    assert sequenced(device.pump()) == [1]
    assert sequenced(device.pump(RESEND_US - 1)) == []
    assert sequenced(device.pump(1)) == [1]


# -- windows and bounds


def test_window_towards_the_device() -> None:
    """Nothing acknowledged: at most 192 bytes of records are on the stream, repetitions one by one."""
    device, pc = open_pair()
    del device
    for i in range(40):
        pc.queue(bytes(i % 20))
    first = pc.pump()
    assert 150 < len(pc.stream) - 10 <= 192 + 10  # a heartbeat of 10 is among them
    for _ in range(100):
        said = pc.pump(10_000)
        assert len(sequenced(said)) <= 1
    assert pc.link.outbox.outstanding_bytes <= 192
    assert max(sequenced(first)) < 40


@pytest.mark.parametrize("is_device", [True, False])
def test_a_record_longer_than_the_window_goes_alone(is_device: bool) -> None:
    ends = open_pair(max_payload=272)
    end, other = ends[0 if is_device else 1], ends[1 if is_device else 0]
    end.link.outbox.window = 192
    end.queue(b"before", bytes(262), b"after")
    assert sequenced(end.pump()) == [0]
    other.feed(end.stream)
    for _ in range(20):
        talk(*ends)
        assert end.link.outbox.outstanding == 1 or end.link.outbox.outstanding_bytes <= 192
    assert [len(p) for kind, p in other.got if kind == records.FRAME] == [6, 262, 5]


def test_at_most_100_records_are_outstanding() -> None:
    device = open_device(window=60_000, ring_size=4096)
    for _ in range(300):
        device.queue(b"")
    assert sequenced(device.pump()) == list(range(100))
    device.hear(records.HEARTBEAT, ack=30)
    assert sequenced(device.pump()) == list(range(100, 130))


def test_limit_of_a_turn() -> None:
    device = open_device()
    for _ in range(10):
        device.queue(bytes(20))
    device.queue(bytes(250))
    assert device.pump(limit=0) == []
    while device.link.outbox.next_size():
        before = device.link.outbox.next_size()
        device.pump(limit=100)
        assert len(device.stream) <= max(100, before)


def test_full_ring_refuses_and_counts() -> None:
    device = open_device(ring_size=100)
    n = 0
    while device.link.queue(records.FRAME, 0, bytes(10), 10):
        n += 1
        assert device.link.room() <= 100 - 14 * n
    assert n == 100 // 14
    assert device.link.queue_full == 1
    assert device.link.room() == 0
    assert not device.link.queue(records.FRAME, 0, bytes(300), 300)


def test_reserve_is_left() -> None:
    device = open_device(ring_size=100)
    while device.link.queue(records.FRAME, 0, bytes(10), 10, 40):
        pass
    assert device.link.queue(records.EVENT, 0, bytes(10), 10)
