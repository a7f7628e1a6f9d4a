"""Link: how a session opens, resumes and ends, rule by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.host_end import HELLO_US, HostLink
from kline.protocol.link.link import CLOSED, OPEN, OPENING

from .link_ends import SESSION, DeviceEnd, HostEnd, hello, open_pair, sequenced, talk


def test_device_announces_itself_once() -> None:
    device = DeviceEnd()
    said = device.pump()
    assert [kind for kind, *_ in said] == [records.WELCOME]
    assert said[0][3][records.WELCOME_SESSION : records.WELCOME_SESSION + 4] == bytes(4)
    assert device.pump(60_000_000) == []
    assert device.link.state == CLOSED


def test_hello_until_welcome() -> None:
    pc = HostEnd()
    pc.link.open(SESSION)
    hellos = [len(pc.pump(10_000)) for _ in range(300)]
    assert sum(hellos) == pytest.approx(3_000_000 / HELLO_US, abs=1)
    assert pc.link.state == OPENING


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 20))
def test_hello_is_harmless_at_a_prompt(session: int, repeat: int) -> None:
    pc = HostEnd()
    pc.link.open(session)
    for _ in range(repeat + 1):
        pc.pump(HELLO_US)
        assert pc.stream
        assert not {3, 4} & set(pc.stream)
    assert pc.session != 0


def test_heartbeat_of_a_pc_is_no_ctrl_c() -> None:
    """Whatever it acknowledges, but for 3 itself."""
    _, pc = open_pair()
    for seq in range(256):
        pc.hear(records.FRAME, seq, 0, b"x")
        pc.pump(1_000_000)
        assert (3 in pc.stream) == (seq == 2)


def test_session_opens() -> None:
    device, pc = open_pair()
    assert device.session == pc.session == SESSION
    assert [kind for kind, _ in device.got if kind != records.HEARTBEAT] == [records.HELLO]
    assert [kind for kind, _ in pc.got if kind != records.HEARTBEAT] == [records.WELCOME]
    assert (device.states, pc.states) == ([OPEN], [OPENING, OPEN])


def test_without_a_session_nothing_is_queued() -> None:
    for link in (DeviceLink(), HostLink()):
        assert not link.queue(records.FRAME, 0, b"x", 1)
        assert (link.no_session, link.queue_full) == (1, 0)


def test_unplugged_cable_loses_nothing() -> None:
    device, pc = open_pair()
    device.queue(b"d0", b"d1")
    pc.queue(b"p0")
    device.pump()  # lost
    pc.pump()  # lost
    pc.link.close()
    device.queue(b"d2")
    pc.link.open(SESSION)
    pc.queue(b"p1")  # while it reconnects
    talk(device, pc, 40)
    assert [p for kind, p in pc.got if kind == records.FRAME] == [b"d0", b"d1", b"d2"]
    assert [p for kind, p in device.got if kind == records.FRAME] == [b"p0", b"p1"]
    assert device.link.abandoned == pc.link.abandoned == 0
    welcomes = [p for kind, p in pc.got if kind == records.WELCOME]
    assert [p[records.WELCOME_RESUMED] for p in welcomes] == [0, 1]


def test_new_session_abandons_the_old_one() -> None:
    device, pc = open_pair()
    device.queue(b"d0", b"d1")
    device.pump()
    device.hear(records.HELLO, payload=hello(0x55667788))
    assert device.link.abandoned == 2
    said = device.pump()
    assert said[0][0] == records.WELCOME
    assert sequenced(said) == []
    pc.link.open(0x55667788)
    assert not pc.link.queue(records.FRAME, 0, b"", 0)


def test_resumed_says_no_until_the_pc_has_spoken_in_the_session() -> None:
    device = DeviceEnd()
    for attempt in (1, 2):
        device.hear(records.HELLO, payload=hello(attempt=attempt))
        welcome = device.pump()[0][3]
        assert (welcome[records.WELCOME_RESUMED], welcome[records.WELCOME_ATTEMPT]) == (0, attempt)
    device.hear(records.QUIT)  # belongs to no session
    device.hear(records.HELLO, payload=hello(attempt=3))
    assert device.pump()[0][3][records.WELCOME_RESUMED] == 0
    device.hear(records.HEARTBEAT, payload=b"\x05")
    device.hear(records.HELLO, payload=hello(attempt=4))
    assert device.pump()[0][3][records.WELCOME_RESUMED] == 1


def restarted_welcome(pc: HostEnd, resumed: int = 0, session: int = SESSION, attempt: int | None = None) -> bytes:
    payload = records.pack_welcome(999, 64, 1, (0, 1, 0), (1, 27, 0), "SIM", b"")
    records.put_u32(payload, records.WELCOME_SESSION, session)
    payload[records.WELCOME_RESUMED] = resumed
    payload[records.WELCOME_ATTEMPT] = pc.link.handshake._attempt if attempt is None else attempt
    records.put_u16(payload, records.WELCOME_WINDOW, 192)
    return bytes(payload)


def test_device_that_restarted() -> None:
    """It announces itself; the PC says HELLO, gets resumed = 0 with another boot id, and gives up what it had sent."""
    _, pc = open_pair()
    pc.queue(b"p0", b"p1")
    pc.pump()
    pc.hear(records.WELCOME, payload=restarted_welcome(pc, session=0))
    assert pc.link.state == OPENING
    assert [kind for kind, *_ in pc.pump()] == [records.HELLO]
    pc.hear(records.WELCOME, payload=restarted_welcome(pc))
    assert pc.link.state == OPEN
    assert pc.link.abandoned == 2
    pc.queue(b"p2")
    assert sequenced(pc.pump()) == [0]


def test_welcome_left_over_in_a_buffer() -> None:
    """resumed = 0 from an earlier opening must not reset the session that is being resumed."""
    _, pc = open_pair()
    old = pc.link.handshake._attempt
    pc.queue(b"p0")
    pc.pump()
    pc.link.open(SESSION)
    pc.pump()
    pc.hear(records.WELCOME, payload=restarted_welcome(pc, attempt=old))
    assert pc.link.state == OPENING
    assert pc.link.abandoned == 0
    pc.hear(records.WELCOME, payload=restarted_welcome(pc))
    assert pc.link.state == OPEN


def test_welcome_that_comes_twice() -> None:
    _, pc = open_pair()
    pc.queue(b"p0")
    pc.pump()
    boot_id = bytes(pc.link.handshake._boot_id)
    payload = bytearray(restarted_welcome(pc))
    payload[records.WELCOME_BOOT_ID : records.WELCOME_BOOT_ID + 4] = boot_id
    pc.hear(records.WELCOME, payload=bytes(payload))
    assert (pc.link.state, pc.link.abandoned) == (OPEN, 0)


def test_state_of_a_session_that_is_not_ours() -> None:
    """A new process took the number of an old one by accident: it takes another."""
    device, _ = open_pair()
    pc = HostEnd()
    pc.now_us = device.now_us
    pc.link.open(SESSION)
    talk(device, pc, 10)
    assert pc.link.state == device.link.state == OPEN
    assert pc.session == device.session != SESSION


def test_another_protocol_version() -> None:
    device = DeviceEnd()
    device.hear(records.HELLO, payload=hello(proto=2))
    assert device.link.state == CLOSED
    assert device.pump()[0][0] == records.WELCOME
    pc = HostEnd()
    pc.link.open(SESSION)
    pc.pump()
    pc.hear(records.WELCOME, payload=b"\x02" + restarted_welcome(pc)[1:])
    assert pc.link.state == CLOSED
    assert [kind for kind, _ in pc.got] == [records.WELCOME]
    assert pc.pump(60_000_000) == []


def test_pc_that_speaks_without_a_session_is_told() -> None:
    device = DeviceEnd()
    device.pump()
    for _ in range(50):
        device.now_us += 100_000
        device.hear(records.HEARTBEAT, payload=b"\x05")
    device.now_us += 100_000
    assert [kind for kind, *_ in device.pump()] == [records.WELCOME]
    device.hear(records.HEARTBEAT, payload=b"\x05")
    assert device.pump() == []  # at most one a second
    device.hear(records.QUIT)
    assert device.got == [(records.QUIT, b"")]


def test_broken_session_is_given_up() -> None:
    """Acks of what was never sent, again and again: after a damaged record that got through all checks."""
    device, pc = open_pair()
    device.queue(b"d0")
    for _ in range(3):
        device.hear(records.HEARTBEAT)  # a right one in between makes them leftovers
        for _ in range(7):
            device.hear(records.HEARTBEAT, ack=77)
    assert device.link.state == OPEN
    device.hear(records.HEARTBEAT, ack=77)
    assert device.link.state == CLOSED
    assert device.link.abandoned == 1
    assert [kind for kind, *_ in device.pump()] == [records.WELCOME]
    for _ in range(8):
        pc.hear(records.HEARTBEAT, ack=77)
    assert pc.link.state == OPENING
    assert pc.session != SESSION
