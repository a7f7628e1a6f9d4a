"""What the PC needs to play an ELM327: own frames, own times, listening, own keep-alive; on the virtual clock."""

from obd_pc import ObdPc
from obd_rig import FAST, ISO, KWP, SLOW, with_gearbox
from tester import Tester

from kline.protocol.checksum import sum8
from kline.protocol.link import records

DONE = records.END_DONE
NOT_CONNECTED = records.END_ERROR + 13
ISO_RPM = b"\x68\x6a\xf1\x01\x0c"
KWP_RPM = b"\xc2\x33\xf1\x01\x0c"


def u16(n):
    return bytes((n & 0xFF, n >> 8))


def init(rig, kind=records.INIT_FAST, address=0x33, baud=0, flags=0, frame=b""):
    return rig.call(records.OP_INIT, bytes((kind, address)) + u16(baud) + bytes((flags,)) + frame)


def exchange(rig, frame, first_ms=200, more_ms=55, count=0, session=True):
    """(end, [(whole, bytes)])"""
    arguments = bytes((session,)) + u16(first_ms) + u16(more_ms) + bytes((count,)) + frame
    end = rig.call(records.OP_EXCHANGE, arguments)
    return end, heard(rig, end.ident)


def heard(rig, ident):
    return [(a.mode == records.ANSWER_WHOLE, a.data) for a in rig.answers if a.ident == ident]


def summed(data):
    return data + bytes((sum8(data, 0, len(data)),))


def test_only_an_initialisation_and_then_whole_messages():
    for script, kind, frame, answer in (
        (ISO, records.INIT_SLOW, ISO_RPM, b"\x48\x6b\x10\x41\x0c\x0d\x20"),
        (SLOW, records.INIT_SLOW, KWP_RPM, b"\x84\xf1\x10\x41\x0c\x0d\x20"),
        (FAST, records.INIT_FAST, KWP_RPM, b"\x84\xf1\x10\x41\x0c\x0d\x20"),
    ):
        rig = ObdPc(script)
        end = init(rig, kind)
        assert end.code == DONE and end.flags == records.END_ALIVE, rig.error()
        assert rig.ecu.requests == [] or kind == records.INIT_FAST  # nothing was asked
        end, answers = exchange(rig, frame)
        assert end.code == DONE and answers == [(True, summed(answer))], answers
        assert rig.car.refusals == []


def test_nothing_but_the_keep_alive_is_sent_by_the_board_itself():
    """Whoever makes an initialisation of his own has ECUs of which nobody knows what they answer."""
    script = with_gearbox(FAST)
    script["ecus"][1]["rules"] = [{"request": "3E", "silent": True}, {"request": "01 00", "silent": True}]
    rig = ObdPc(script)
    init(rig)
    rig.turn_for(40)
    sent = [frame[3:-1] for _, frame in rig.ecu.requests]
    assert sent[0] == b"\x81" and 10 <= len(sent) <= 13 and set(sent[1:]) == {b"\x3e"}, sent
    assert exchange(rig, KWP_RPM)[0].flags == records.END_ALIVE


def test_all_ecus_in_the_order_of_arrival_or_as_many_as_wanted():
    rig = ObdPc(with_gearbox(KWP))
    init(rig)
    begun = rig.world.now
    _, answers = exchange(rig, KWP_RPM)
    whole_us = rig.world.now - begun
    assert [data[2] for _, data in answers] == [0x18, 0x10]
    begun = rig.world.now
    _, answers = exchange(rig, KWP_RPM, count=2)
    assert len(answers) == 2
    assert rig.world.now - begun < whole_us - 40_000  # the last silence is not waited for
    _, answers = exchange(rig, KWP_RPM, count=1)
    assert [data[2] for _, data in answers] == [0x18]
    for _ in range(3):  # at once, while the other one still speaks, or between the two
        _, answers = exchange(rig, KWP_RPM, count=1)
        assert [data[2] for _, data in answers] == [0x18]
    rig.turn_for(0.045)
    _, answers = exchange(rig, KWP_RPM)
    assert len(answers) == 2
    assert rig.car.refusals == []


def test_own_header_and_no_answer():
    rig = ObdPc(with_gearbox(KWP))
    init(rig)
    _, answers = exchange(rig, b"\x82\x10\xf1\x01\x0c")
    assert [data[:3] for _, data in answers] == [b"\x84\xf1\x10"]
    begun = rig.world.now
    end, answers = exchange(rig, b"\x82\x55\xf1\x01\x0c", first_ms=400)
    assert end.code == DONE and answers == [] and end.flags == records.END_ALIVE
    assert 400_000 < rig.world.now - begun < 600_000
    begun = rig.world.now
    end, answers = exchange(rig, KWP_RPM, first_ms=0)  # send, and that is all
    assert answers == [] and rig.world.now - begun < 200_000


def test_silence_three_times_and_to_a_keep_alive_is_the_end():
    rig = ObdPc(KWP)
    init(rig)
    for _ in range(3):
        end, _ = exchange(rig, b"\x82\x55\xf1\x01\x0c")
    assert end.flags == records.END_ALIVE  # the keep-alive was answered
    rig.car.ignition(False)
    for _ in range(3):
        end, answers = exchange(rig, KWP_RPM)
    assert answers == [] and end.flags == 0
    assert exchange(rig, KWP_RPM)[0].code == NOT_CONNECTED
    rig.car.ignition(True)
    rig.turn_for(2)
    assert init(rig).code == DONE
    assert len(exchange(rig, KWP_RPM)[1]) == 1


def test_without_a_session():
    rig = ObdPc(FAST)
    assert exchange(rig, KWP_RPM)[0].code == NOT_CONNECTED
    end, answers = exchange(rig, KWP_RPM, session=False)  # the ECU sleeps
    assert (end.code, answers) == (DONE, [])
    init(rig)
    assert init(rig, records.INIT_NONE).code == DONE  # forgotten here, not there
    assert rig.call(records.OP_EXCHANGE, b"\x01" + bytes(5) + KWP_RPM).code == NOT_CONNECTED
    assert len(exchange(rig, KWP_RPM, session=False)[1]) == 1


def test_fast_initialisation_with_a_frame_of_ones_own():
    rig = ObdPc(FAST)
    end = init(rig, frame=b"\x81\x10\xf1\x81")
    assert end.code == DONE, rig.error()
    assert rig.call(records.OP_CLOSE).code == DONE
    assert rig.ecu.requests[-1][1] == summed(b"\x81\x10\xf1\x82")
    assert init(rig, frame=b"\x81\x10").code == records.END_BAD_CALL


def test_any_key_bytes():
    rig = ObdPc(ISO, key_bytes="55 AA")
    assert init(rig, records.INIT_SLOW).code == records.END_ERROR + 8
    rig.turn_for(6)
    end = init(rig, records.INIT_SLOW, flags=records.INIT_ANY_KEY)
    assert end.code == DONE and end.found[4:6] == b"\x55\xaa", rig.error()


def test_damage_is_told_as_such():
    rig = ObdPc(KWP)
    init(rig)
    rig.car.fault("01 0C", bad_checksum=True, times=1)
    _, answers = exchange(rig, KWP_RPM)
    assert len(answers) == 1 and not answers[0][0] and answers[0][1][:7] == b"\x84\xf1\x10\x41\x0c\x0d\x20"
    rig.car.fault("01 0C", glitch_ms=5, times=1)
    _, answers = exchange(rig, KWP_RPM)
    assert answers == [(True, summed(b"\x84\xf1\x10\x41\x0c\x0d\x20"))], answers


def test_an_ecu_that_needs_longer():
    rig = ObdPc(KWP, rules=[{"request": "01 05", "times": 1, "pending": 2, "pending_ms": 900}])
    init(rig)
    _, answers = exchange(rig, b"\xc2\x33\xf1\x01\x05", count=1)
    assert [data[3:-1] for _, data in answers] == [b"\x7f\x01\x78", b"\x7f\x01\x78", b"\x41\x05\x49"]


def test_frames_that_come_late():
    rig = ObdPc(KWP, rules=[{"request": "09 02", "p2_ms": 60}])
    init(rig)
    for more_ms, count in ((200, 0), (90, 0), (200, 5)):
        _, answers = exchange(rig, b"\xc2\x33\xf1\x09\x02", more_ms=more_ms, count=count)
        assert [data[5] for _, data in answers] == [1, 2, 3, 4, 5], answers
    assert rig.car.refusals == []


def test_what_answers_another_request_does_not_count():
    """It is told, but the answer is waited for: to another service, to another PID, a refusal of another service."""
    for late in (b"\x87\xf1\x10\x49\x02\x02\x4d\x38\x47\x44", b"\x83\xf1\x10\x41\x0d\x39", b"\x83\xf1\x18\x7f\x09\x12"):
        rig = ObdPc(KWP, rules=[{"request": "01 0C", "p2_ms": 45}])
        init(rig)
        ident = rig.send(records.OP_EXCHANGE, b"\x01" + u16(200) + u16(55) + b"\x01" + KWP_RPM)
        while len(rig.ecu.requests) < 2:
            rig.turn_for(0.001)
        Tester(rig.world.wire).send(rig.world.now + 1000, summed(late))
        assert rig.end_of(ident).code == DONE
        assert heard(rig, ident) == [(True, summed(late)), (True, summed(b"\x84\xf1\x10\x41\x0c\x0d\x20"))]


def test_listening():
    rig = ObdPc(ISO)
    init(rig, records.INIT_SLOW)
    ident = rig.send(records.OP_LISTEN)
    rig.turn_for(1)
    other = Tester(rig.world.wire)
    other.send(rig.world.now + 1000, summed(ISO_RPM))
    rig.turn_for(1)
    other.send(rig.world.now + 1000, b"\x12\x34\x56\x78\x9a\xbc")
    rig.turn_for(4)
    assert heard(rig, ident) == [
        (True, summed(ISO_RPM)),
        (True, summed(b"\x48\x6b\x10\x41\x0c\x0d\x20")),
        (False, b"\x12\x34\x56\x78\x9a\xbc"),
    ]
    assert len(rig.ecu.requests) == 1  # silent: no keep-alive
    rig.turn_for(3)
    rig.cancel(ident)
    assert rig.end_of(ident).code == records.END_CANCELLED
    assert exchange(rig, ISO_RPM)[0].code == NOT_CONNECTED  # P3max is over


def test_keep_alive_of_ones_own():
    rig = ObdPc(KWP)
    frame = b"\xc2\x33\xf1\x01\x0d"
    assert rig.call(records.OP_KEEP_ALIVE, b"\x01" + u16(1000) + frame).code == DONE
    init(rig)
    before = len(rig.ecu.requests)
    rig.turn_for(10.2)
    asked = [data for _, data in rig.ecu.requests[before:]]
    assert 8 <= len(asked) <= 10 and set(asked) == {summed(frame)}, asked
    assert rig.call(records.OP_KEEP_ALIVE, b"\x00").code == DONE
    before = len(rig.ecu.requests)
    rig.turn_for(4)
    assert len(rig.ecu.requests) == before
    assert rig.call(records.OP_KEEP_ALIVE, b"\x01" + u16(2000)).code == DONE  # the protocol's own
    init(rig)
    rig.turn_for(5)
    assert rig.ecu.requests[-1][1] == summed(b"\xc1\x33\xf1\x3e")


def test_voltage():
    rig = ObdPc(KWP)
    end = rig.call(records.OP_VOLTAGE)
    assert end.code == DONE and end.found == b""
    rig.app.board.vin_pin = 34
    end = rig.call(records.OP_VOLTAGE)
    assert 12_500 <= records.get_u16(end.found, 0) <= 12_700


def test_calls_that_can_not_be():
    rig = ObdPc()
    for operation, arguments in (
        (records.OP_INIT, b"\x00\x33\x00\x00"),
        (records.OP_INIT, b"\x03\x33\x00\x00\x00"),
        (records.OP_INIT, b"\x00\x33\xff\xff\x00"),
        (records.OP_EXCHANGE, bytes(6)),
    ):
        assert rig.call(operation, arguments).code == records.END_BAD_CALL, (operation, arguments)


def test_what_board_json_says_of_the_divider():
    from kline.device.board import Board

    assert Board(rx=1, tx=2).vin_pin is None
    for fields in ({"vin_pin": 99}, {"vin_pin": True}, {"vin_pin": 34, "vin_ratio": 0}, {"vin_ratio": "5.7"}):
        try:
            Board(rx=1, tx=2, **fields)
        except ValueError as error:
            assert "vin_" in str(error)
        else:
            raise AssertionError(fields)


def test_after_an_address_that_was_broken_off_the_next_one_is_heard():
    for after_ms in (300, 900, 1700, 2300):
        rig = ObdPc(ISO)
        ident = rig.send(records.OP_INIT, b"\x00\x33\x00\x00\x00")
        rig.turn_for(after_ms / 1000)
        rig.cancel(ident)
        assert rig.end_of(ident, 1).code == records.END_CANCELLED
        assert init(rig, records.INIT_SLOW).code == DONE, (after_ms, rig.error())
