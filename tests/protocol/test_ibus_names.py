"""Names of addresses and message types: the tables are sound, and every gathered one is in them."""

from pathlib import Path

import pytest

from kline.protocol.ibus import names

DESIGN = Path(__file__).parents[3] / "shared" / "design"
HEX = {f"{byte:02X}" for byte in range(256)}


def first_column(text: str, separator: str) -> list[str]:
    return [line.split(separator)[0] for line in text.splitlines() if line.split(separator)[0] in HEX]


@pytest.mark.parametrize("table", [names._ADDRESSES, names._MESSAGES, names._DIAGNOSIS])
def test_each_line_has_one_byte_and_words_in_ascending_order(table: str) -> None:
    lines = table.strip("\n").splitlines()
    bytes_ = first_column(table, " ")
    assert len(bytes_) == len(lines)
    assert bytes_ == sorted(set(bytes_))
    assert all(len(line.split()) >= 2 and line.isascii() and line == line.strip() for line in lines)


def test_names_and_titles() -> None:
    assert names.address_name(0x80) == "IKE"
    assert names.address_title(0x80) == "Instrument cluster (IKE, KMB)"
    assert names.address_name(0xFF) == "LOC"
    assert names.message_name(0x80, 0xBF, 0x11) == "Ignition"
    assert names.message_name(0x68, 0xFF, 0xD4) == "Station list"


def test_every_address_has_a_short_name() -> None:
    for byte in range(256):
        assert 2 <= len(names.address_name(byte)) <= 5
        assert names.address_title(byte) and names.message_name(0x80, 0xBF, byte)


def test_what_is_unknown_comes_as_hex() -> None:
    assert names.address_name(0x01) == names.address_title(0x01) == "01"
    assert names.message_name(0x80, 0xBF, 0xFE) == "FE"


@pytest.mark.parametrize(
    ("frame", "about"),
    [
        ("3F 03 D0 05 E9", "Diagnosis: clear fault memory"),
        ("D0 03 3F A2 4E", "Diagnosis: bad parameter"),
        ("3F 05 00 0C 34 01 03", "Diagnosis: control an output"),
        ("3F 03 D0 77 9B", "Diagnosis: 77"),
        ("D0 03 3F 11 FD", "Diagnosis: 11"),
        ("7F 05 80 A2 00 00 58", "Position: coordinates"),
        ("68 03 F0 06 9D", "Monitor service mode"),
    ],
)
def test_from_and_to_the_diagnosis_tester_a_number_means_something_else(frame: str, about: str) -> None:
    assert names.describe(bytes.fromhex(frame)).endswith("  " + about)


def test_describe() -> None:
    assert names.describe(bytes.fromhex("80 04 BF 11 00 2A")) == "IKE -> GLO  Ignition"
    assert names.describe(bytes.fromhex("D0 07 BF 5B 20 00 04 00 17")) == "LCM -> GLO  Lamp states"
    assert names.describe(bytearray.fromhex("01 03 02 FE")) == "01 -> 02  FE"
    assert names.describe(memoryview(b"\x80\x04\xbf")) == "80 04 BF"


@pytest.mark.skipif(not DESIGN.exists(), reason="the gathered tables are not here")
def test_every_gathered_address_and_type_is_named() -> None:
    for file, table in (("ibus-addresses.tsv", names._ADDRESSES), ("ibus-messages.tsv", names._MESSAGES)):
        assert set(first_column((DESIGN / file).read_text(), "\t")) == set(first_column(table, " "))
