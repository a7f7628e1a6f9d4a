"""docs/gateway-protocol.md says what the code does."""

from __future__ import annotations

import dataclasses
import re
from inspect import signature
from pathlib import Path

import pytest

from kline.protocol.ibus.frames import MAX_FRAME, MIN_FRAME, IbusScanner
from kline.protocol.update import codes
from openkline.cli.bridge import bridge
from openkline.gateway import firmware, outbox, wire
from openkline.gateway.counters import ClientCounters, GatewayCounters
from openkline.gateway.options import MAX_CLIENTS, GatewayOptions
from openkline.gateway.rules import PRESETS, Rule, denied_by
from openkline.update import errors, updater

from .openbm.fakebus import with_checksum

TEXT = (Path(__file__).parents[2] / "docs" / "gateway-protocol.md").read_text(encoding="utf-8")

EXAMPLES: dict[str, wire.Message] = {
    "Hello": wire.Hello(),
    "Connect to port 4288": wire.Connect(4288),
    "Ping": wire.Ping(),
    "Disconnect": wire.Disconnect(),
    "`68 03 18 01 72` on the bus": wire.Data(0x68, 0x18, b"\x01"),
    "GetFirmwareVersion": wire.FirmwareVersion(),
    "its answer, 2.6": wire.FirmwareVersion(2, 6),
    "InitFirmwareUpdate, password 11 22 33 44": wire.InitFirmwareUpdate(bytes.fromhex("11223344")),
    "UploadFirmware, 0x1234 bytes, CRC 0xABCD, version 2.6": wire.UploadFirmware(0x1234, 0xABCD, 2, 6),
    "4096 bytes are safe": wire.UploadStatus(4096),
    "refusal with error 0103": wire.UploadStatus(error=0x0103),
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the last table under a heading."""
    part = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = re.findall(r"^\|(.*)\|$", part, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in table]


def test_every_example_is_what_the_codec_makes_and_reads() -> None:
    written = {row[0]: row[1].strip("`") for row in rows("Messages") if len(row) == 3 and "`" in row[1]}
    assert written.keys() == EXAMPLES.keys()
    for name, message in EXAMPLES.items():
        assert not isinstance(message, wire.UploadData | wire.Unknown)
        assert message.to_bytes().hex(" ").upper() == written[name], name
        parser = wire.Parser(to_gateway=not isinstance(message, wire.UploadStatus))
        if isinstance(message, wire.UploadStatus):
            parser.expect_answers(0xFFFF)
            assert parser.feed(wire.InitFirmwareUpdate().to_bytes()) == [wire.InitFirmwareUpdate()]
        assert parser.feed(bytes.fromhex(written[name])) == [message]


def test_the_longest_message_that_the_board_takes_unless_told() -> None:
    longest = signature(IbusScanner).parameters["max_frame"].default
    assert len(with_checksum(wire.Data(0x68, 0x18, bytes(60)).body)) == longest
    assert f"{MIN_FRAME} to {longest} bytes unless `--max-frame` (up to {MAX_FRAME})" in TEXT


def test_error_numbers() -> None:
    listed = {row[0].strip("`"): row[1] for row in rows("Firmware") if re.fullmatch(r"`\d{4}`", row[0])}
    assert listed == {f"{number:04X}": meaning for number, meaning in errors.MEANINGS.items()}
    used = {getattr(module, name) for module in (codes, errors) for name in dir(module) if name.startswith("ERROR_")}
    assert used == set(errors.MEANINGS)


def test_what_is_said_of_an_update() -> None:
    assert f"begin its upload within {firmware._IDLE_S:.0f} s of" in " ".join(TEXT.split())
    assert "go on, within 3 s" in TEXT and updater._OPEN_S < 3


@pytest.mark.parametrize("row", rows("Limits")[2:], ids=lambda row: row[0])
def test_limits_and_their_defaults(row: list[str]) -> None:
    defaults = {f.name: f.default for f in dataclasses.fields(GatewayOptions)}
    for name in re.findall(r"`(\w+)`", row[1]):
        assert re.search(rf"\b{defaults[name]:.0f}\b", row[2]), (name, row[2])


def test_numbers_in_sentences() -> None:
    options = GatewayOptions()
    assert f"8 (up to {MAX_CLIENTS})" in TEXT
    assert f"so 1 to {wire.MAX_BUS_DATA} can be sent" in TEXT
    assert f"`drain_s` ({options.drain_s:.0f} s)" in TEXT
    assert f"the alive timeout ({options.alive_timeout_s:.0f} s)" in TEXT
    assert f"{wire.MIN_PRIORITY} to {wire.MAX_PRIORITY}" in TEXT
    share = f"| {outbox._SHARES} / clients (at least 2)"
    assert share in TEXT
    assert f"| {outbox._BUS_WINDOW} |" in TEXT
    assert f"| {outbox._MAX_ORPHANS} |" in TEXT


def test_every_counter_that_is_named_exists() -> None:
    counters = {f.name for kind in (GatewayCounters, ClientCounters) for f in dataclasses.fields(kind)}
    assert {"too_long", "port_taken", "strangers"} <= counters


def test_what_cautious_stands_for() -> None:
    rules = tuple(Rule.parse(line) for line in PRESETS["cautious"])
    assert denied_by(rules, 0x44, 0xBF, b"\x01")
    assert denied_by(rules, 0xBF, 0x44, b"\x01")
    allowed = {n for n in range(256) if not denied_by(rules, 0x3F, 0x00, bytes((n,)))}
    assert allowed == {0x00, 0x04, 0x0B, 0x9F}
    assert not denied_by(rules, 0x68, 0x18, b"\x0c")
    block = TEXT.split("stands for\n\n```\n")[1].split("```")[0]
    assert re.findall(r"!?[0-9A-F?]{2} [0-9A-F?]{2}(?: [0-9A-F?]{2})?(?=  |\n)", block) == list(PRESETS["cautious"])


def test_a_frame_from_66_to_75_looks_as_described() -> None:
    raw = wire.encode_frame(bytes.fromhex("66 04 75 01 02 14"))
    assert raw.hex(" ") == "66 75 02 00 64 00 00 00 01 02"
    assert wire.UploadStatus.from_bytes(raw) == wire.UploadStatus(2 * 256, 100)
    assert wire.Parser(to_gateway=False).feed(raw) == [wire.Data(0x66, 0x75, b"\x01\x02")]


def test_every_option_of_the_original_is_there_with_its_long_name() -> None:
    known = {option: parameter.opts for parameter in bridge.params for option in parameter.opts}
    listed = set()
    for original, here, _ in (row for row in rows("Differences from the original") if row[0].startswith("`-")):
        shorts = re.findall(r"`(-\w)`", original)
        listed.update(shorts)
        for short, long in zip(shorts, re.findall(r"`(--[\w-]+)`", here), strict=False):
            assert long in known[short]
    assert listed == {"-h", "-v", "-d", "-l", "-f", "-e", "-c", "-p", "-i", "-t", "-o", "-r"}
    assert "--version" in known["-v"]


def test_what_the_conformance_suite_says_it_shows_is_there() -> None:
    suite = Path(__file__).parent / "openbm"
    text = (suite / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(test_\w+)\b(?!\.py)", text))
    there = {
        name
        for path in suite.glob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 40 and named <= there, named - there
    root = Path(__file__).parents[2]
    for path in re.findall(r"tests/[\w/]+\.py", text):
        assert (root / path).is_file(), path
