"""OBD from the PC's end of the link, on the virtual clock: the application, KLineObd2, and ECUs on the wire."""

from obd_pc import ObdPc
from obd_rig import FAST, ISO, KWP, SLOW, with_gearbox

from kline.device.obd import errors
from kline.protocol.link import host_records, records
from kline.protocol.obd import requests

DONE = records.END_DONE
SLOW_33, FAST_33 = b"\x00\x33", b"\x01\x33"


def code(number):
    return records.END_ERROR + number


def test_the_codes_are_those_of_the_device():
    from kline.device.obd.texts import TEXTS

    for i, name in enumerate(host_records.OBD_ERRORS):
        found = getattr(errors, {"busy": "BUSY"}.get(name, name.upper()))
        assert found == i + 1, name
    assert i + 1 == max(TEXTS)


def test_each_kind_of_car_is_found():
    for script, kind, key, order in (
        (ISO, records.INIT_SLOW, "0808", b""),
        (FAST, records.INIT_FAST, "e98f", b""),
        (KWP, records.INIT_FAST, "e98f", FAST_33 + SLOW_33),
    ):
        rig = ObdPc(script)
        found = rig.connect(order)
        assert (found.kind, found.address, found.baud) == (kind, 0x33, 10400), found
        assert bytes(found.key_bytes).hex() == key and found.ecus == [0x10]
        assert 0x0C in requests.PidSet(found.supported)
        assert rig.ends[-1].flags == records.END_ALIVE
        assert any(["key bytes" in text for text in rig.progress()]), rig.progress()
        # Where fast initialisation is all the car takes, the 5-baud address came first.
        assert rig.car.refusals == [] or script is FAST, rig.car.refusals


def test_another_address_and_rate():
    rig = ObdPc(SLOW, address="13", baud=9600)
    found = rig.connect(b"\x00\x13")
    assert (found.address, found.baud) == (0x13, 9600)
    rig = ObdPc(FAST, baud=9600)
    assert rig.connect(FAST_33, baud=9600).baud == 9600


def test_the_link_goes_on_during_an_initialisation():
    rig = ObdPc(ISO)
    begun = rig.world.now
    rig.connect()
    assert rig.world.now - begun > 2_400_000
    times = [t for t, _ in rig.kinds if t >= begun]
    gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert max(gaps) < 1_300_000, max(gaps)  # heartbeats, each second
    assert rig.pc.losses == 0 and rig.pc.deframer.bad == 0
    assert sum([kind == records.HEARTBEAT for t, kind in rig.kinds if t >= begun]) >= 2


def test_answers_of_all_ecus_with_their_addresses():
    rig = ObdPc(with_gearbox(KWP))
    rig.connect(FAST_33)
    end, answers = rig.ask(b"\x01\x0c")
    assert end.code == DONE
    assert answers == [(1, 0x18, b"\x7f\x01\x12"), (1, 0x10, b"\x41\x0c\x0d\x20")], answers
    one = rig.answers[-1]
    assert (one.mode, one.target) == (2, 0xF1)


def test_pending_and_busy():
    rig = ObdPc(KWP, rules=[{"request": "01 05", "times": 1, "pending": 2, "pending_ms": 900}])
    rig.connect(FAST_33)
    _, answers = rig.ask(b"\x01\x05")
    assert [data for _, _, data in answers] == [b"\x7f\x01\x78", b"\x7f\x01\x78", b"\x41\x05\x49"]
    rig.car.fault("01 0C", nrc="21", times=1)
    _, answers = rig.ask(b"\x01\x0c")
    assert [data for _, _, data in answers] == [b"\x7f\x01\x21", b"\x41\x0c\x0d\x20"]
    # Another attempt: what came before doesn't count.
    assert answers[0][0] != answers[1][0] and rig.ends[-1].found == bytes((answers[1][0],))
    rig.car.fault("01 0C", silent=True, times=1)
    rig.car.fault("01 0C", nrc="21", times=1)
    end, answers = rig.ask(b"\x01\x0c")
    assert len(answers) == 1 and end.found == b"\x02" and end.flags == records.END_ALIVE, "to the last nobody did"


def test_damage_is_told():
    rig = ObdPc(KWP)
    rig.connect(FAST_33)
    for actions in ({"bad_checksum": True}, {"truncate": 4}, {"raw": "12 34 56"}, {"answer": "41 0D 39"}):
        rig.car.fault("01 0C", times=3, **actions)
        end, answers = rig.ask(b"\x01\x0c")
        assert (end.code, end.flags, answers) == (DONE, records.END_ALIVE | records.END_DAMAGED, []), (actions, end)
        assert end.found == b"\x03", "asked three times"
        end, answers = rig.ask(b"\x01\x0c")
        assert len(answers) == 1 and end.flags == records.END_ALIVE
    rig = ObdPc(with_gearbox(KWP))
    rig.connect(FAST_33)
    rig.car.fault("07", 0, bad_checksum=True, times=3)
    end, answers = rig.ask(b"\x07")
    assert end.flags == records.END_ALIVE | records.END_DAMAGED and answers[-1][1] == 0x18, "the engine's is missing"


def test_a_short_p2_is_the_requests_alone():
    """The engine answers after 40 ms: too late for whoever waits 32 ms, and still there."""
    rig = ObdPc(with_gearbox(KWP))
    rig.connect(FAST_33)
    for _ in range(25):
        end, answers = rig.ask(b"\x01\x0c", 32)
        assert end.flags == records.END_ALIVE and [ecu for _, ecu, _ in answers] == [0x18], (end, answers)
        rig.turn_for(0.5)
    assert [ecu for _, ecu, _ in rig.ask(b"\x01\x0c")[1]] == [0x18, 0x10]
    rig.turn_for(0.5)
    rig.car.ignition(False)
    rig.turn_for(6)
    rig.car.ignition(True)
    end, answers = rig.ask(b"\x01\x0c", 32)
    assert end.flags & records.END_RENEWED and [ecu for _, ecu, _ in answers] == [0x18], "also in a new session"


def test_no_answer_is_no_failure():
    rig = ObdPc(ISO)
    rig.connect(SLOW_33)
    end, answers = rig.ask(b"\x01\x2f")
    assert (end.code, answers) == (DONE, []) and end.flags & records.END_ALIVE


def test_a_dead_car_says_why():
    rig = ObdPc(ISO)
    rig.car.ignition(False)
    end = rig.call(records.OP_CONNECT, b"\x00\x00" + SLOW_33)
    assert end.code == code(16), end
    assert "no ECU answered the address 33" in rig.error() and "ignition" in rig.error()
    assert end.flags == 0


def test_calls_that_can_not_be():
    rig = ObdPc()
    for operation, arguments in (
        (99, b""),
        (records.OP_CONNECT, b""),
        (records.OP_CONNECT, b"\x00\x00\x02\x33"),
        (records.OP_CONNECT, b"\x01\x00"),
        (records.OP_REQUEST, b"\x00\x00"),
        (records.OP_RAW, b"\x00\x00\x00"),
    ):
        assert rig.call(operation, arguments).code == records.END_BAD_CALL, (operation, arguments)
    assert rig.ask(b"\x01\x0c")[0].code == code(13)
    assert "connect" in rig.error()


def test_one_call_at_a_time_and_one_that_waits():
    rig = ObdPc(KWP)
    first = rig.send(records.OP_CONNECT, b"\x00\x00" + FAST_33)
    second = rig.send(records.OP_REQUEST, b"\x00\x00\x01\x0c")
    assert rig.call(records.OP_REQUEST, b"\x00\x00\x01\x05", 2).code == records.END_BUSY
    assert rig.end_of(first).code == DONE and rig.end_of(second).code == DONE
    assert [(a.ident, a.data) for a in rig.answers] == [(second, b"\x41\x0c\x0d\x20")]
    third = rig.send(records.OP_REQUEST, b"\x00\x00\x01\x0c")
    waiting = rig.send(records.OP_REQUEST, b"\x00\x00\x01\x05")
    rig.cancel(waiting)
    assert rig.end_of(waiting).code == records.END_CANCELLED and rig.end_of(third).code == DONE
    rig.cancel(rig.send(records.OP_REQUEST, b"\x00\x00\x01\x0c"))
    assert rig.call(records.OP_REQUEST, b"\x00\x00\x01\x05").code == DONE
    assert rig.answers[-1].data == b"\x41\x05\x49"


def test_cancelling_releases_the_line_at_any_moment():
    for after_ms in (50, 700, 2500):
        rig = ObdPc(KWP)
        ident = rig.send(records.OP_CONNECT, b"\x00\x00")
        rig.turn_for(after_ms / 1000)
        rig.cancel(ident)
        assert rig.end_of(ident, 1).code == records.END_CANCELLED, after_ms
        rig.turn_for(0.1)
        assert rig.world.wire.level == 1
        rig.cancel(ident)  # too late: nothing
        rig.turn_for(8)
        assert rig.connect(FAST_33).ecus == [0x10]
        assert len(rig.ends) == 2


def test_the_session_is_kept_while_the_pc_is_there_and_not_longer():
    for script, order in ((KWP, FAST_33), (ISO, SLOW_33)):
        rig = ObdPc(script)
        rig.connect(order)
        rig.turn_for(30)
        end, answers = rig.ask(b"\x01\x0c")
        assert len(answers) == 1 and end.flags == records.END_ALIVE  # not initialised again
        assert rig.ecu.counts["session"] == 1
        asked = len(rig.ecu.requests)
        rig.host.link = None  # it says nothing any more
        rig.turn_for(60)
        assert len(rig.ecu.requests) <= asked + 2, len(rig.ecu.requests) - asked


def test_what_answers_a_keep_alive_is_no_answer_to_a_call():
    rig = ObdPc(ISO)
    rig.connect(SLOW_33)
    rig.ask(b"\x01\x00")
    asked = len(rig.ecu.requests)
    rig.turn_for(10)
    assert len(rig.ecu.requests) >= asked + 2 and rig.ecu.requests[-1][1][3:-1] == b"\x01\x00"
    assert len(rig.answers) == 1


def test_without_keep_alive_the_session_is_opened_again():
    rig = ObdPc(KWP)
    rig.connect(FAST_33)
    assert rig.call(records.OP_KEEP_ALIVE, b"\x00").code == DONE
    asked = len(rig.ecu.requests)
    rig.turn_for(20)
    assert len(rig.ecu.requests) == asked
    end, answers = rig.ask(b"\x01\x0c")
    assert len(answers) == 1 and end.flags == records.END_ALIVE | records.END_RENEWED


def test_a_lost_session_is_told():
    rig = ObdPc(KWP)
    rig.connect(FAST_33)
    rig.car.ignition(False)
    rig.turn_for(12)
    assert [event for event, _ in rig.events] == [records.EVENT_OBD_LOST]
    rig.car.ignition(True)
    rig.turn_for(2)
    end, answers = rig.ask(b"\x01\x0c")
    assert len(answers) == 1 and end.flags & records.END_RENEWED, (end, rig.error())


def test_a_call_during_a_keep_alive_waits_for_its_end():
    rig = ObdPc(KWP)
    rig.connect(FAST_33)
    for _ in range(3):
        rig.turn_until(lambda: not rig.app.obd.idle())
        end, answers = rig.ask(b"\x01\x0c")
        assert end.code == DONE and len(answers) == 1
    assert len(rig.car.refusals) == 0


def test_close_ends_the_session_politely():
    rig = ObdPc(KWP)
    rig.connect(FAST_33)
    assert rig.call(records.OP_CLOSE).flags == 0
    assert rig.ecu.requests[-1][1][3:-1] == b"\x82"
    asked = len(rig.ecu.requests)
    rig.turn_for(10)
    assert len(rig.ecu.requests) == asked
    assert rig.call(records.OP_CLOSE).code == DONE  # there was none


def test_raw_frames():
    rig = ObdPc(KWP)
    flags = records.RAW_CHECKSUM | records.RAW_PULSE
    end = rig.call(records.OP_RAW, bytes((flags, 0, 0)) + b"\xc1\x33\xf1\x81")
    assert end.code == DONE and rig.car.refusals == []
    assert [(a.mode, a.data) for a in rig.answers] == [(records.ANSWER_WHOLE, b"\x83\xf1\x10\xc1\xe9\x8f\xbd")]
    end = rig.call(records.OP_RAW, bytes((0, 0, 0)) + b"\xc2\x33\xf1\x01\x0c\xf3")
    assert rig.answers[-1].data == b"\x84\xf1\x10\x41\x0c\x0d\x20\xff"
    rig.car.fault("01 0C", bad_checksum=True, times=1)
    end = rig.call(records.OP_RAW, bytes((0, 0, 0)) + b"\xc2\x33\xf1\x01\x0c\xf3")
    one = rig.answers[-1]
    assert (one.ident, one.mode, one.source) == (end.ident, records.ANSWER_NO_FRAME, -1)
    assert one.data[:7] == b"\x84\xf1\x10\x41\x0c\x0d\x20"


def test_raw_frames_are_told_as_they_were_on_the_line():
    for header, whole in (
        ("extra_length", b"\x80\xf1\x10\x04\x41\x0c\x0d\x20\xff"),
        ("short", b"\x04\x41\x0c\x0d\x20\x7e"),
    ):
        rig = ObdPc(KWP, key_bytes="EF 8F", answer_header=header)
        rig.car.fault("01 0C", repeat=2, no_gap=True, times=1)
        flags = records.RAW_CHECKSUM | records.RAW_PULSE
        rig.call(records.OP_RAW, bytes((flags, 0, 0)) + b"\xc1\x33\xf1\x81")
        rig.answers.clear()
        rig.call(records.OP_RAW, bytes((0, 0, 0)) + b"\xc2\x33\xf1\x01\x0c\xf3")
        assert [(a.mode, a.data) for a in rig.answers] == [(records.ANSWER_WHOLE, whole)] * 2, rig.answers


def test_raw_frames_of_another_tester():
    rig = ObdPc(KWP, tester="F2")
    flags = records.RAW_CHECKSUM | records.RAW_PULSE
    rig.call(records.OP_RAW, bytes((flags, 0, 0)) + b"\xc1\x33\xf2\x81")
    rig.call(records.OP_RAW, bytes((records.RAW_CHECKSUM, 0, 0)) + b"\xc2\x33\xf2\x01\x0c")
    heard = [(a.mode, a.data[:7]) for a in rig.answers]
    whole = records.ANSWER_WHOLE
    assert heard == [(whole, b"\x83\xf2\x10\xc1\xe9\x8f\xbe"), (whole, b"\x84\xf2\x10\x41\x0c\x0d\x20")], heard


def test_the_mode_is_the_pcs_and_ends_with_its_session():
    from rig import frame

    rig = ObdPc(KWP, mode=False)
    assert rig.call(records.OP_CONNECT, b"\x00\x00", 2).code == records.END_WRONG_MODE
    assert rig.set_mode(records.MODE_OBD) == (records.CONFIG_MODE, 1, records.MODE_OBD)
    rig.connect(FAST_33)
    rig.transmit(9, b"\x18\x04\xff\x02\x00")
    rig.turn_until(lambda: rig.results)
    assert rig.results[0][:3] == (9, records.RESULT_DROPPED, records.DROPPED_WRONG_MODE)
    running = rig.send(records.OP_REQUEST, b"\x00\x00\x01\x0c")
    rig.turn_for(0.02)
    rig.pc.open(0x55667788)
    rig.turn_until(lambda: rig.app.obd is None)
    rig.turn_for(2)
    assert [e for e in rig.ends if e.ident == running] == []  # another session's
    rig.results.clear()
    rig.transmit(10, b"\x18\x04\xff\x02\x00")
    rig.turn_until(lambda: rig.results)
    assert rig.results[0][:2] == (10, records.RESULT_SENT)
    assert rig.frames[-1][2] == frame(0x18, 0xFF, b"\x02\x00")
    assert rig.set_mode(7)[1] == 0


def test_a_board_that_begins_as_a_tester():
    import json

    from rig import BOARD

    from kline.device import board as boards

    with open("board.json", "w") as file:
        json.dump(dict(BOARD, mode="obd"), file)
    assert boards.load().mode == records.MODE_OBD
    with open("board.json", "w") as file:
        json.dump(dict(BOARD, mode="can"), file)
    try:
        boards.load()
        raise AssertionError
    except ValueError as error:
        assert "ibus, obd" in str(error)


def test_rate_of_requests_through_the_link():
    """The next request waits on the board when P3min is over: no time is lost on the USB line."""
    rig = ObdPc(KWP)
    rig.connect(FAST_33)
    sent = [rig.send(records.OP_REQUEST, b"\x00\x00\x01\x0c")]
    begun = rig.world.now
    for _ in range(20):
        sent.append(rig.send(records.OP_REQUEST, b"\x00\x00\x01\x0c"))
        rig.end_of(sent.pop(0))
    each_ms = (rig.world.now - begun) / 20_000
    least_ms = 55 + 14 * 0.962 + 5 * 5 + 30
    print("a request each %.1f ms, by P2, P3, P4 and the bytes: %.1f ms" % (each_ms, least_ms))
    assert each_ms < least_ms / 0.95, (each_ms, least_ms)
