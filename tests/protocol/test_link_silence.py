"""Link: a peer that says nothing, and what needs no session: text and unsequenced records, rule by rule."""

from __future__ import annotations

import pytest

from kline.protocol.link import records
from kline.protocol.link.link import LOST, OPEN

from .link_ends import DeviceEnd, hello, open_device, open_pair, talk

# -- silence


def test_silent_pc() -> None:
    """The device falls silent too, within some hundred bytes, and goes on where it was when the PC is back."""
    device = open_device(window=200)
    for i in range(30):
        device.queue(b"%02d" % i)
    written = 0
    for _ in range(6000):
        device.pump(10_000)
        written += len(device.stream)
        if device.link.state == LOST:
            assert device.stream == b""
    assert device.link.state == LOST
    assert device.link.losses == 1
    assert written < 200 + 5 * 20 + 8 * 20
    assert device.link.queue(records.FRAME, 0, b"30", 2)
    device.hear(records.HEARTBEAT, ack=1)
    assert device.link.state == OPEN
    said = device.pump()
    assert (said[0][0], said[0][1], said[0][3]) == (records.FRAME, 1, b"01")


@pytest.mark.parametrize("silence_us", [6_000_000, 500_000_000, 540_000_000, 900_000_000, 2**30 + 1000])
def test_silence_of_any_length(silence_us: int) -> None:
    """Also when the differences of the ticks have lost their meaning."""
    device, pc = open_pair()
    device.queue(b"d0")
    for _ in range(51):
        device.pump(100_000)
    assert device.link.state == LOST
    for end in (device, pc):
        end.now_us += silence_us
    talk(device, pc, 110)
    assert device.link.state == pc.link.state == OPEN
    pc.queue(b"p0")
    talk(device, pc, 20)
    assert pc.got[-1] == (records.FRAME, b"d0") or (records.FRAME, b"d0") in pc.got
    assert (records.FRAME, b"p0") in device.got
    beats = len([1 for kind, _ in pc.got if kind == records.HEARTBEAT])
    talk(device, pc, 400)
    assert len([1 for kind, _ in pc.got if kind == records.HEARTBEAT]) >= beats + 3


def test_heartbeats_each_second() -> None:
    device, pc = open_pair()
    pc.got.clear()
    talk(device, pc, 1000)
    assert 9 <= len(pc.got) <= 11
    assert all(kind == records.HEARTBEAT for kind, _ in pc.got)
    assert device.link.losses == pc.link.losses == 0


@pytest.mark.parametrize(
    ("every_ms", "beats"), [(50, 0), (400, 0), (990, 0), (1010, 20), (1990, 20), (2010, 40)], ids=str
)
@pytest.mark.parametrize("speaks", ["device", "pc"])
def test_never_silent_for_longer_than_a_heartbeat(speaks: str, every_ms: int, beats: int) -> None:
    """A record within the second is as good as a heartbeat; whatever is said or not, both ends hear each other."""
    ends = device, pc = open_pair()
    speaker, listener = ends if speaks == "device" else (pc, device)
    speaker.queue(b"x")
    talk(device, pc)
    heard_us, silences, said = speaker.now_us, [], 0
    for turn in range(1, 2 * every_ms + 1):
        if turn % (every_ms // 10) == 0:
            speaker.queue(b"x")
        said += sum(kind == records.HEARTBEAT for kind, *_ in speaker.pump(10_000))
        if speaker.stream:
            silences.append(speaker.now_us - heard_us)
            heard_us = speaker.now_us
            listener.feed(speaker.stream)
        if turn % 40 == 0:  # a PC that only listens, and says no more than it must
            listener.pump(400_000)
            speaker.feed(listener.stream)
    assert max(silences) <= 1_010_000
    assert said == beats
    assert device.link.losses == pc.link.losses == 0
    assert speaker.link.outbox.sent_again == 0


# -- text and unsequenced records


def test_text_goes_to_its_reader() -> None:
    _, pc = open_pair()
    text = bytearray()
    pc.link.on_text = lambda buf, n: text.extend(buf[:n])
    pc.feed(b"MPY: soft reboot\r\n")
    assert text == b""
    pc.pump(300_000)
    assert text == b"MPY: soft reboot\r\n"
    assert pc.link.deframer.text_bytes == 18


def test_log_waits_for_a_pc() -> None:
    device = DeviceEnd()
    device.pump()
    assert device.link.send_now(records.LOG, 0, b"\x01hi", 3)
    assert device.pump() == []
    device.hear(records.HELLO, payload=hello())
    assert [kind for kind, *_ in device.pump()][:2] == [records.WELCOME, records.LOG]
    while device.link.send_now(records.LOG, 0, b"\x01hi", 3):
        pass
    assert device.link.now_refused == 1
