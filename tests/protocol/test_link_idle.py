"""Ticks of the link and of the frame scanner that have become old: their differences mislead after 537 s."""

from __future__ import annotations

import pytest

from kline.protocol.ibus.frames import STALL_US, IbusScanner
from kline.protocol.link import records
from kline.protocol.link.host_end import TEXT_IDLE_US
from kline.protocol.link.link import LOST, OPEN
from kline.protocol.ring import RingBuffer
from kline.protocol.ticks import TICKS_MASK

from .link_ends import DeviceEnd, open_device, open_pair, talk

AGES_S = (540, 1060, 1080)
IDLE_S = (*AGES_S, 7 * 3600)


@pytest.mark.parametrize("traffic", [False, True])
@pytest.mark.parametrize("age_s", IDLE_S)
def test_both_ends_idle(age_s: int, traffic: bool) -> None:
    """Pumped twice a second, with a record a minute or without; then a record of either end arrives at once."""
    device, pc = open_pair()
    for turn in range(age_s):
        if traffic and turn % 60 == 0:
            device.queue(b"d")
            pc.queue(b"p")
        talk(device, pc, 1, 500_000)
    pc.got.clear()
    device.got.clear()
    device.queue(b"d0")
    pc.queue(b"p0")
    talk(device, pc, 3)
    assert (records.FRAME, b"d0") in pc.got and (records.FRAME, b"p0") in device.got
    for end in (device, pc):
        assert end.link.losses == end.link.abandoned == end.link.outbox.sent_again == 0
        assert end.link.deframer.text_bytes == end.link.deframer.bad == 0


@pytest.mark.parametrize("age_s", IDLE_S)
def test_a_record_without_a_session_long_after_the_greeting(age_s: int) -> None:
    """A board that has restarted announces itself to the PC that talks on, however long ago it has said WELCOME."""
    device = DeviceEnd()
    device.pump()
    for _ in range(age_s):
        assert device.pump(1_000_000) == []
    device.hear(records.HEARTBEAT, payload=b"\x05")
    assert [kind for kind, *_ in device.pump(10_000)] == [records.WELCOME]


@pytest.mark.parametrize("age_s", IDLE_S)
def test_a_peer_that_was_lost_for_long(age_s: int) -> None:
    device = open_device()
    device.queue(b"d0")
    for _ in range(age_s):
        device.pump(1_000_000)
    assert device.link.state == LOST and device.link.losses == 1
    device.hear(records.HEARTBEAT, payload=b"\x05")
    said = device.pump(10_000)
    assert device.link.state == OPEN and (records.FRAME, b"d0") in [(kind, data) for kind, _, _, data in said]


@pytest.mark.parametrize("age_s", IDLE_S)
def test_text_of_before_the_pc_was_stopped(age_s: int) -> None:
    """SIGSTOP for minutes: text without an end is handed out with the next pump."""
    _, pc = open_pair()
    text = bytearray()
    pc.link.on_text = lambda buf, n: text.extend(buf[:n])
    pc.feed(b"MPY: soft reboot\r\n")
    pc.pump(age_s * 1_000_000)
    pc.pump(TEXT_IDLE_US)
    assert text == b"MPY: soft reboot\r\n"


@pytest.mark.parametrize("age_s", IDLE_S)
def test_a_byte_long_after_another(age_s: int) -> None:
    """A lone byte is given up when it has stalled; a frame that comes hours later is found at once."""
    ring = RingBuffer(256)
    scanner = IbusScanner(ring)
    now_us = TICKS_MASK - 1_000
    ring.write(b"\x18", 1)
    for after_us in (0, STALL_US, age_s * 1_000_000):
        now_us += after_us
        assert scanner.scan(now_us & TICKS_MASK) == 0
    assert scanner.stalled == 1 and ring.available() == 0
    ring.write(b"\x18\x04\xff\x02\x00\xe1", 6)
    assert scanner.scan(now_us & TICKS_MASK) == 6
