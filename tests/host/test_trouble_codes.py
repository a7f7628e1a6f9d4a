"""Texts of generic trouble codes: how many, each once, short, and the right ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from kline.protocol.obd import dtc
from openkline.obd.trouble_codes import describe, texts

from .fake_obd import ObdBoard
from .obd_commands import board_of_commands, lines, run


def test_there_are_many_and_all_are_generic_codes() -> None:
    assert len(texts()) >= 900
    for code in texts():
        assert dtc.decode(*dtc.encode(code)) == code and dtc.is_generic(code), code


def test_a_text_is_short_and_belongs_to_one_code() -> None:
    by_text: dict[str, list[str]] = {}
    for code, text in texts().items():
        assert 8 <= len(text) <= 80 and text == " ".join(text.split()) and not set(text) & set("$#@|*"), (code, text)
        by_text.setdefault(text, []).append(code)
    assert {text: codes for text, codes in by_text.items() if len(codes) > 1} == {}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("P0016", "crankshaft and camshaft do not agree, bank 1: sensor A"),
        ("P0102", "air flow sensor A: circuit low"),
        ("P0113", "intake air temperature sensor 1: circuit high"),
        ("P0128", "coolant stays below the thermostat's regulating temperature"),
        ("P0133", "oxygen sensor, bank 1 sensor 1: slow response"),
        ("P0141", "oxygen sensor, bank 1 sensor 2: heater circuit"),
        ("P0161", "oxygen sensor, bank 2 sensor 2: heater circuit"),
        ("P0171", "mixture, bank 1: too lean"),
        ("P0175", "mixture, bank 2: too rich"),
        ("P0206", "injector circuit, cylinder 6"),
        ("P0263", "injector of cylinder 1: contribution or balance"),
        ("P0301", "misfire, cylinder 1"),
        ("P0312", "misfire, cylinder 12"),
        ("P0340", "camshaft position sensor A, bank 1: circuit"),
        ("P0354", "ignition coil D, primary or secondary circuit"),
        ("P0420", "catalyst efficiency too low, bank 1"),
        ("P0430", "catalyst efficiency too low, bank 2"),
        ("P0442", "evaporative system: small leak"),
        ("P0455", "evaporative system: large leak"),
        ("P0491", "secondary air flow insufficient, bank 1"),
        ("P0507", "idle speed higher than expected"),
        ("P0562", "system voltage: low"),
        ("P0600", "serial communication link"),
        ("P0674", "glow plug circuit, cylinder 4"),
        ("P0720", "output speed sensor: circuit"),
        ("P0733", "gear 3, incorrect ratio"),
        ("P0758", "shift solenoid B: electrical fault"),
        ("P0986", "shift solenoid E control: circuit high"),
        ("P2138", "throttle or pedal position sensors do not agree: D and E"),
        ("P2187", "mixture at idle: too lean, bank 1"),
        ("P2304", "ignition coil B: primary circuit high"),
        ("P2347", "knocking of cylinder 12 above the limit"),
        ("P3408", "deactivation of cylinder 1: exhaust valve circuit high"),
        ("P3496", "deactivation of cylinder 12: exhaust valve circuit high"),
        ("C003A", "wheel speed sensor, right rear"),
        ("U0064", "vehicle communication bus E: fault"),
        ("U0100", "no communication with engine control module"),
        ("U0121", "no communication with anti-lock brakes"),
        ("U0155", "no communication with instrument cluster"),
        ("P1234", "powertrain: code of the manufacturer"),
        ("P0A0F", "powertrain: hybrid drive"),
    ],
)
def test_known_codes(code: str, text: str) -> None:
    assert describe(code) == text and describe(code.lower()) == text


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    return board_of_commands(tmp_path, monkeypatch)


def test_a_mechanic_reads_them(board: ObdBoard) -> None:
    assert "P0133  ECU 10  oxygen sensor, bank 1 sensor 1: slow response" in run("dtc").stdout
    assert lines(run("dtc", "--json"))[1]["about"] == "misfire, cylinder 1"
    assert run("freeze").stdout.startswith("stored by P0133  ECU 10  oxygen sensor, bank 1 sensor 1: slow response")
