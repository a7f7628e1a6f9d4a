"""Reads tests/vectors; runs on CPython and on MicroPython (where OPENKLINE_ROOT names the project's root)."""

import json
import os


def load(name):
    root = os.getenv("OPENKLINE_ROOT") or __file__.rsplit("/tests/", 1)[0]
    with open(root + "/tests/vectors/" + name) as f:  # noqa: PTH123 - MicroPython has no pathlib
        return json.load(f)


def unhex(text):
    """Bytes of hex pairs in a string, or of a list of those and of [first, last] ranges."""
    if isinstance(text, str):
        return bytes.fromhex(text.replace(" ", ""))
    if len(text) == 2 and isinstance(text[0], int):
        return bytes([i & 0xFF for i in range(text[0], text[1] + 1)])
    return b"".join([unhex(part) for part in text])


def check_streams(drive):
    """`drive(max_frame)` makes a Driver; every stream of ibus_streams.json must give its frames and count."""
    for stream in load("ibus_streams.json")["streams"]:
        driver = drive(stream["max_frame"])
        for at_ms, data in stream["chunks"]:
            driver.look(at_ms * 1000 - (driver.now_us - driver.started_us))
            driver.write(unhex(data))
            driver.look(0)
        driver.finish()
        driver.check()
        got = [frame.hex(" ").upper() for frame in driver.frames]
        assert got == stream["frames"], (stream["name"], got)
        assert driver.scanner.dropped_bytes == stream["dropped_bytes"], stream["name"]


def check_checksums(checksum):
    tables = load("checksums.json")
    for name in ("crc16", "xor8", "sum8"):
        function = getattr(checksum, name)
        for data, expected in tables[name]:
            data = unhex(data)
            assert function(data, 0, len(data)) == int(expected, 16), (name, data)
            # The same bytes inside others, and not from the start.
            assert function(b"\x55\xaa" + data + b"\x77", 2, 2 + len(data)) == int(expected, 16), (name, data)


def check_cobs(framing):
    for plain, coded in load("cobs.json")["pairs"]:
        plain, coded = unhex(plain), unhex(coded)
        out = bytearray(b"\xa5" * len(coded))
        framing._decode(bytearray(coded), len(coded), out)
        assert bytes(out) == plain + b"\xa5" * (len(coded) - len(plain)), coded


def deframe(deframer, buf, n):
    found = []
    deframer.on_frame = lambda buf, start, end: found.append(bytes(buf[start:end]))
    deframer.feed(buf, n)
    return found


def check_records(framing):
    """Every record encodes to its stream, and is found in it."""
    out = bytearray(400)
    for record in load("link_records.json")["records"]:
        payload = unhex(record["payload"])
        header = (record["type"], record["channel"], record["seq"], record["ack"])
        n = framing.encode_record(out, *header, payload, 0, len(payload))
        assert bytes(out[:n]) == unhex(record["stream"]), record["what"]
        assert n <= framing.wire_size(len(payload))
        deframer = framing.Deframer(300)
        found = deframe(deframer, out, n)
        assert found == [bytes(header) + payload], record["what"]
        assert (deframer.bad, deframer.text_bytes) == (0, 0)
