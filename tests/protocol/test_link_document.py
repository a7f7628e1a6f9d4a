"""docs/link-protocol.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from kline.protocol.checksum import crc16
from kline.protocol.link import device_end, host_end, host_records, link, outbox, probe, records, unpack
from kline.protocol.update import bundle
from kline.protocol.update import codes as update

from .vectors import load

DOC = Path(__file__).parents[2] / "docs" / "link-protocol.md"


def test_examples_of_the_document() -> None:
    """Its hex is the vectors', and all of it."""
    text = re.sub(r"\s+", " ", DOC.read_text())
    for record in load("link_records.json")["records"]:
        assert record["stream"] in text, record["what"]


def test_numbers_of_the_document() -> None:
    """Every type, code and key stands in the document with its number."""
    text = DOC.read_text()
    prefixes = ("RESULT_", "EVENT_", "CONFIG_", "NO_ECHO_", "DROPPED_", "ASLEEP_", "CAN_", "RUNS_", "MODE_", "LOG_")
    prefixes += ("OP_", "INIT_", "RAW_", "TEXT_", "ANSWER_", "END_")
    types = ("HELLO", "WELCOME", "NAK", "QUIT", "LOG", "HEARTBEAT", "FRAME", "TRANSMIT", "RESULT", "EVENT")
    types += ("COUNTERS", "COUNTERS_REQUEST", "CONFIGURE", "CONFIGURED")
    types += ("OBD_CALL", "OBD_CANCEL", "OBD_TEXT", "OBD_ANSWER", "OBD_END")
    for name in types:
        assert re.search(rf"\| `{getattr(records, name):02X}` \| {name} \|", text), name
    for name in dir(records):
        if name.startswith(prefixes):
            assert re.search(rf"\b{getattr(records, name)} {name}\b", text), name
    for name in host_records.COUNTER_NAMES:
        assert name in text, name
    assert " ".join(host_records.OBD_ERRORS) in text


def test_probe_numbers_of_the_document() -> None:
    text = DOC.read_text()
    for name in ("PROBE_CALL", "PROBE_ANSWER", "PROBE_END"):
        assert f"| `{getattr(probe, name):02X}` | {name} |" in text, name
    prefixes = ("OP_", "FILE_", "SEEN_", "MAX_", "MIN_", "PULSE_", "PROBE_", "BOARD_", "LIMIT_", "PIECE_")
    prefixes += ("NEVER", "AT_ONCE")
    for name in dir(probe):
        if name.startswith(prefixes) and name not in ("PROBE_CALL", "PROBE_ANSWER", "PROBE_END"):
            assert re.search(rf"(?<!\w){getattr(probe, name)} {name}\b", text), name
    assert probe.PATTERN.hex(" ").upper() in text


def test_update_numbers_of_the_document() -> None:
    text = DOC.read_text()
    codes = [name for name in dir(update) if name.startswith("ERROR_")]
    assert len(codes) == 11
    for name in ("OK", *codes):
        assert f"| `{getattr(update, name):04X}` {name} |" in text, name
    for name in dir(update):
        if name.startswith("UPDATE_"):
            assert f"| `{getattr(update, name):02X}` | {name} |" in text, name
        if name.startswith("STATE_"):
            assert f"| {getattr(update, name)} {name} |" in text, name
    assert f"of the bundle, {bundle.MIN_HEADER} .. {update.MAX_BUNDLE} (MAX_BUNDLE)" in text
    assert f"at most {update.MAX_DATA} bytes each (MAX_DATA)" in text
    assert f'"{bundle.MAGIC.decode()}" | format u8 = {bundle.FORMAT} |' in text and f"mpy u8 = {bundle.MPY} |" in text
    assert f"({bundle.MIN_WBITS} .. {bundle.MAX_WBITS})" in text
    # The board's side can't be imported here.
    source = (DOC.parents[1] / "firmware/kline/device/updater.py").read_text()
    for line in (
        "_SAFE = 4096 ",
        "_SILENCE_MS = 30_000 ",
        "_FAREWELL_MS = 2_000\n",
        "_OPEN_S = 60\n",
        "_MAX_WAIT_S = 3600\n",
    ):
        assert line in source, line
    assert "_TRIAL_MS = 60_000\n" in (DOC.parents[1] / "firmware/main.py").read_text()


def test_update_records() -> None:
    """Layouts of the document."""
    out = bytearray(160)
    assert out[: update.pack_open(out, 0x8899AABB)] == bytes.fromhex("BB AA 99 88")
    crc = crc16(b"123456789", 0, 9)
    assert crc == 0x4B37  # CRC-16/MODBUS
    assert out[: update.pack_begin(out, 0xFFFF, crc, 2, 6)] == bytes.fromhex("FF FF 00 00 37 4B 02 06")
    assert out[: update.pack_data(out, 0x0102, b"xyz")] == bytes.fromhex("02 01 00 00") + b"xyz"
    n = update.pack_status(out, update.ERROR_PASSWORD, update.STATE_IDLE, 0x10203, 3600)
    assert out[:n] == bytes.fromhex("06 01 00 03 02 01 00 10 0E")
    assert update.unpack_status(out) == (update.ERROR_PASSWORD, update.STATE_IDLE, 0x10203, 3600)


def test_probe_records() -> None:
    """Packing and unpacking fit each other, and the layouts of the document."""
    out = bytearray(200)
    n = probe.pack_call(out, 0x0102, probe.OP_PULSE, b"\x00\xe8\x03")
    assert out[:n] == bytes.fromhex("02 01 07 00 E8 03")
    assert out[: probe.pack_end(out, 0x0102, probe.PROBE_BUSY)] == bytes.fromhex("02 01 01")
    for pulse in ((5, -1, -2), (2, 3000, 0), (7, 0, 2999)):
        assert probe.unpack_pulse(probe.pack_pulse(*pulse)) == pulse
    assert probe.pack_pulse(5, 104, probe.NEVER) == bytes.fromhex("05 68 00 FF FF")
    assert probe.pack_widths([104, 70_000]) == bytes.fromhex("68 00 FF FF")
    assert probe.unpack_widths(b"\x09\x68\x00\xff\xff", 1) == [104, 0xFFFF]


def test_constants_of_the_document() -> None:
    text = DOC.read_text()

    def shown(us: int) -> str:
        return f"{us // 1000} ms" if us % 1_000_000 else f"{us // 1_000_000} s"

    for module, names in (
        (link, ("HEARTBEAT_US", "PEER_LOST_US")),
        (device_end, ("ANNOUNCE_US",)),
        (host_end, ("HELLO_US", "TEXT_IDLE_US")),
        (outbox, ("RESEND_US, RESEND_CAP_US",)),
    ):
        for row in names:
            values = ", ".join(shown(getattr(module, name)) for name in row.split(", "))
            assert f"| {row} | {values} |" in text, row
    assert f"| DEVICE_WINDOW, HOST_WINDOW | {device_end.DEVICE_WINDOW}, {host_end.HOST_WINDOW} |" in text
    assert f"| MAX_OUTSTANDING | {outbox.MAX_OUTSTANDING} |" in text
    assert link.BAD_ACKS == 8  # "Eight in a row"


def payload(what: str) -> bytes:
    found = [r for r in load("link_records.json")["records"] if r["what"].startswith(what)]
    assert len(found) == 1
    return bytes.fromhex(found[0]["payload"])


def test_payloads_of_the_examples() -> None:
    """The hand-made payloads are what packing gives, and unpacking reads what their captions say."""
    out = bytearray(100)
    frame = bytes.fromhex("3F04800B0ABA")
    body = bytes.fromhex("68031801")
    for what, n in (
        ("FRAME", lambda: records.pack_frame(out, 1_073_741_000, 0, frame, 6)),
        ("TRANSMIT", lambda: host_records.pack_transmit(out, 1, 5, records.TRANSMIT_WAKE, 0, body)),
        ("RESULT", lambda: records.pack_result(out, 1, records.RESULT_SENT, 0, 1, 12_500, 3_000_000)),
        ("EVENT", lambda: records.pack_event(out, records.EVENT_BUS_STUCK_LOW, 3_000_000)),
        ("CONFIGURE ", lambda: host_records.pack_configure(out, records.CONFIG_SLEEP_AFTER_S, 60)),
        ("CONFIGURED", lambda: records.pack_configured(out, records.CONFIG_SLEEP_AFTER_S, True, 60)),
        ("LOG", lambda: records.pack_log(out, records.LOG_INFO, b"bye")),
    ):
        assert bytes(out[: n()]) == payload(what), what
    hello = unpack.unpack_hello(payload("HELLO"), 0, 8)
    assert (hello.proto, hello.session, hello.window, hello.attempt) == (1, 0x7856C3F1, 2048, 1)
    data = payload("WELCOME")
    w = unpack.unpack_welcome(data, 0, len(data))
    assert (w.session, w.resumed, w.boot_id, w.time_us, w.window) == (0x7856C3F1, False, 0x0A0B0C0D, 1_000_000, 192)
    assert (w.max_frame, w.capabilities, w.firmware, w.micropython) == (64, records.CAN_IBUS, (0, 1, 0), (1, 27, 0))
    assert (w.board, w.unique_id) == ("ESP32_GENERIC", bytes.fromhex("246F28AABBCC"))
    assert unpack.unpack_heartbeat(payload("HEARTBEAT of a device"), 0, 5) == 2_000_000


def test_obd_records() -> None:
    """Packing and unpacking fit each other, and the layouts of the document."""
    out = bytearray(300)
    n = records.pack_obd_call(out, 0x0102, records.OP_REQUEST, b"\x00\x00\x01\x0c")
    assert out[:n] == bytes.fromhex("02 01 02 00 00 01 0C")
    call = unpack.unpack_obd_call(out, 0, n)
    assert (call.ident, call.operation, call.arguments) == (0x0102, records.OP_REQUEST, b"\x00\x00\x01\x0c")
    n = records.pack_obd_text(out, 7, records.TEXT_PROGRESS, b"calling")
    assert unpack.unpack_obd_text(out, 0, n) == (7, records.TEXT_PROGRESS, b"calling")
    n = records.pack_obd_answer(out, 7, 1, 2, 0xF1, 0x10, b"\x41\x0c\x0d\x20")
    assert out[:n] == bytes.fromhex("07 00 01 02 F1 10 41 0C 0D 20")
    answer = unpack.unpack_obd_answer(out, 0, n)
    assert (answer.ident, answer.attempt, answer.mode, answer.target, answer.source) == (7, 1, 2, 0xF1, 0x10)
    assert answer.data == bytes.fromhex("41 0C 0D 20")
    n = records.pack_obd_answer(out, 7, 1, 0, -1, -1, b"\x7e")
    assert unpack.unpack_obd_answer(out, 0, n).source == -1
    assert records.pack_obd_answer(out, 7, 1, 2, 0xF1, 0x10, bytes(255)) <= 262
    packed = records.pack_obd_found(records.INIT_FAST, 0x33, 10400, b"\xe9\x8f", bytes(range(32)), [0x10, 0x18])
    n = records.pack_obd_end(out, 7, records.END_DONE, records.END_ALIVE, packed)
    end = unpack.unpack_obd_end(out, 0, n)
    assert (end.ident, end.code, end.flags) == (7, records.END_DONE, records.END_ALIVE)
    found = unpack.ObdFound(end.found)
    assert (found.kind, found.address, found.baud, found.key_bytes) == (1, 0x33, 10400, b"\xe9\x8f")
    assert (found.supported, found.ecus) == (bytes(range(32)), [0x10, 0x18])
