"""`openkline obd`"""

from __future__ import annotations

import asyncio
from typing import Any

import rich_click as click

from kline.protocol.obd import requests
from kline.protocol.obd.words import quantity, refusal
from openkline.cli.common import ask, json_option
from openkline.cli.obd_common import (
    car_options,
    cells_json,
    ecu_key,
    ecu_name,
    in_words,
    opened_car,
    print_json,
    reach_of,
)
from openkline.cli.obd_live import live
from openkline.cli.obd_raw import raw
from openkline.cli.obd_scan import scan, vin
from openkline.cli.obd_tests import tests
from openkline.errors import ObdError
from openkline.obd.live import Cell
from openkline.obd.trouble_codes import describe
from openkline.terminal import echo

_SERVICES = (("stored", requests.STORED), ("pending", requests.PENDING_CODES), ("permanent", requests.PERMANENT))

_NO_PERMANENT = "not answered: permanent codes came in 2010, with CAN; cars with a K-line have none"
_FORM = "not certain: {} answers in a form that the standard does not define for a K-line: {}"


@click.group(epilog="Examples: openkline obd scan; openkline obd live RPM SPEED; openkline obd dtc --json")
def obd() -> None:
    """Ask a car's ECUs over the K-line (OBD-II: ISO 9141-2, ISO 14230-4).

    The board's stage must fit (docs/wiring.md). -d sim has a virtual car. Exit status 7: the car did not answer, or
    refused.
    """


for _command in (scan, live, tests, vin, raw):
    obd.add_command(_command)


@obd.command("dtc", epilog="Examples: openkline obd dtc; openkline obd dtc --json | jq -r .code")
@car_options
@json_option
def trouble_codes(as_json: bool, **words: Any) -> None:
    """Stored, pending and permanent trouble codes."""
    reach = reach_of(words)

    async def run() -> tuple[list[tuple[str, dict[int, list[str]], bool, dict[int, str]]], tuple[int, ...]]:
        async with opened_car(reach) as car:
            known = car.session.car.ecus if car.session.car is not None else ()
            return [(name, *await car.codes(service), car.forms) for name, service in _SERVICES], known

    certain = True
    read, known = asyncio.run(run())
    for name, found, sure, forms in read:
        certain = certain and (sure or name != "stored")
        codes = [(ecu, code) for ecu in found for code in found[ecu]]
        for ecu, code in codes:
            if as_json:
                print_json({"kind": name, "ecu": ecu_key(ecu), "code": code, "about": describe(code)})
            else:
                echo(f"{name:<10} {code}  {ecu_name(ecu)}  {describe(code)}")
        remark = _remark(found, sure, () if name == "stored" else known)
        if name == "permanent" and not found:
            remark = _NO_PERMANENT
        for ecu, data in forms.items():
            echo(f"{name:<10} {_FORM.format(ecu_name(ecu), data)}", err=as_json)
            remark = ""
        if remark and not (as_json and remark == "none"):
            echo(f"{name:<10} {remark}", err=as_json)
    if not certain:
        raise ObdError(
            "the stored codes are not certain: an ECU did not answer, or what was read does not fit the "
            "number of codes that it reports. Ask again",
            "silent",
        )


def _remark(found: dict[int, list[str]], sure: bool, known: tuple[int, ...]) -> str:
    """What a list of codes does not say by itself. known: ECUs that are to be named where they have not said a word."""
    codes = any(found.values())
    if not sure and not codes:
        return "not known (no complete answer, or refused)"
    if not sure:
        return "perhaps more: an answer was damaged" if known else ""
    heard = {ecu_key(ecu) for ecu in found}
    silent = [ecu_name(ecu) for ecu in sorted(known) if ecu_key(ecu) not in heard]
    who = f"({', '.join(silent)} did not say)" if silent else ""
    return who if codes else f"none {who}".rstrip()


@obd.command(epilog="Examples: openkline obd clear; openkline obd clear --yes")
@click.option("--yes", is_flag=True, help="Don't ask.")
@car_options
def clear(yes: bool, **words: Any) -> None:
    """Erase trouble codes, freeze frames, and the readiness of all monitors."""
    reach = reach_of(words)
    if not yes:
        ask(
            "This erases all trouble codes and the freeze frame, and the monitors start again (an inspection may "
            "require them to be complete). Erase them",
            "erased",
        )

    async def run() -> dict[int, int | None]:
        async with opened_car(reach) as car:
            return await car.clear()

    try:
        done = asyncio.run(run())
    except KeyboardInterrupt:
        echo("\nInterrupted: openkline obd dtc shows whether anything was erased.", err=True)
        raise
    for ecu, code in done.items():
        said = "no answer" if code is None else f"refused: {refusal(code)}" if code else "erased"
        echo(f"{ecu_name(ecu)}: {said}")
    if any(done.values()):
        raise ObdError("not everything was erased; most cars want ignition on and engine off", "refused")
    if None in done.values():
        raise ObdError("an ECU did not answer: openkline obd dtc shows whether its codes are gone", "silent")


@obd.command(epilog="Examples: openkline obd freeze; openkline obd freeze --json")
@car_options
@json_option
def freeze(as_json: bool, **words: Any) -> None:
    """The freeze frames: what the engine did when a code was stored."""
    reach = reach_of(words)

    async def run() -> dict[int, tuple[str, list[Cell]]]:
        async with opened_car(reach) as car:
            return await car.freeze_frames()

    found = asyncio.run(run())
    for ecu, (code, cells) in found.items():
        if as_json:
            print_json({"ecu": ecu_key(ecu), "code": code, **cells_json(cells)})
            continue
        echo(f"stored by {code}  {ecu_name(ecu)}  {describe(code)}")
        for cell in cells:
            echo(f"  {quantity(cell.value.name):<45} {in_words(cell)}")
    if not found and as_json:
        print_json({"code": None})
    elif not found:
        echo("no freeze frame")
