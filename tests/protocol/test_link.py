"""Link, rule by rule. What is on the stream is read with the package cobs, not with the link's own decoder."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol import records
from kline.protocol.framing import encode_record
from kline.protocol.link import CLOSED, LOST, OPEN, OPENING, Link
from kline.protocol.link_device import DeviceLink
from kline.protocol.link_host import HELLO_US, HostLink
from kline.protocol.outbox import RESEND_CAP_US, RESEND_US
from kline.protocol.ticks import TICKS_MASK

SESSION = 0x11223344


class End:
    """One end with its clock; `pump()` returns what it says as (type, seq, ack, payload)."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.now_us = 1_000_000
        self.stream = b""
        self.got: list[tuple[int, bytes]] = []
        self.states: list[int] = []
        self.link.on_record = lambda kind, channel, buf, a, b: self.got.append((kind, bytes(buf[a:b])))
        self.link.on_state = self.states.append

    def pump(self, after_us: int = 0, limit: int = 10_000) -> list[tuple[int, int, int, bytes]]:
        self.now_us += after_us
        parts: list[bytes] = []
        n = self.link.pump(self.now_us & TICKS_MASK, lambda buf, n: parts.append(bytes(buf[:n])), limit)
        self.stream = b"".join(parts)
        assert n == len(self.stream)
        raw = [cobs.decode(part) for part in self.stream.split(b"\0") if part]
        return [(r[0], r[2], r[3], r[4:-2]) for r in raw]

    def hear(self, kind: int, seq: int = 0, ack: int = 0, payload: bytes = b"") -> None:
        out = bytearray(400)
        n = encode_record(out, kind, 0, seq, ack, payload, 0, len(payload))
        self.feed(bytes(out[:n]))

    def feed(self, data: bytes) -> None:
        self.link.feed(data, len(data), self.now_us & TICKS_MASK)

    def queue(self, *payloads: bytes) -> None:
        for payload in payloads:
            assert self.link.queue(records.FRAME, 0, payload, len(payload))


class DeviceEnd(End):
    link: DeviceLink

    def __init__(self, **options: int) -> None:
        super().__init__(DeviceLink(**options))

    @property
    def session(self) -> int:
        return records.get_u32(self.link._session, 0)


class HostEnd(End):
    link: HostLink

    def __init__(self, **options: int) -> None:
        super().__init__(HostLink(**options))

    @property
    def session(self) -> int:
        return self.link.handshake.number()


def hello(session: int = SESSION, window: int = 2048, attempt: int = 1, proto: int = 1) -> bytes:
    return bytes([proto]) + session.to_bytes(4, "little") + window.to_bytes(2, "little") + bytes([attempt])


def open_device(window: int = 2048, **options: int) -> DeviceEnd:
    end = DeviceEnd(**options)
    end.hear(records.HELLO, payload=hello(window=window))
    end.pump()
    end.hear(records.HEARTBEAT, payload=b"\x05")
    return end


def open_pair(**options: int) -> tuple[DeviceEnd, HostEnd]:
    device, pc = DeviceEnd(**options), HostEnd(**options)
    pc.link.open(SESSION)
    talk(device, pc, 3)
    assert device.link.state == pc.link.state == OPEN
    return device, pc


def talk(device: DeviceEnd, pc: HostEnd, turns: int = 1, after_us: int = 10_000) -> None:
    for _ in range(turns):
        pc.pump(after_us)
        device.feed(pc.stream)
        device.pump(after_us)
        pc.feed(device.stream)


def sequenced(said: list[tuple[int, int, int, bytes]]) -> list[int]:
    return [seq for kind, seq, _, _ in said if kind > records.LAST_UNSEQUENCED]


# -- session


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
