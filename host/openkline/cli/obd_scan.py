"""`openkline obd scan` and `openkline obd vin`: which car, which ECUs, and what they can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import rich_click as click

from kline.protocol.obd import pids
from kline.protocol.obd.requests import PidSet
from kline.protocol.obd.words import refusal
from openkline.bus import hex_bytes
from openkline.cli.common import json_option
from openkline.cli.obd_common import car_options, ecu_key, ecu_name, opened_car, print_json, reach_of, unless_damaged
from openkline.errors import ObdError
from openkline.obd.diagnostics import Diagnostics
from openkline.terminal import echo


@click.command(epilog="Examples: openkline obd scan; openkline obd scan -d sim --car difficult")
@car_options
@json_option
def scan(as_json: bool, **words: Any) -> None:
    """How the car speaks, which ECUs answer, and what they can tell."""
    reach = reach_of(words)

    async def run() -> dict[str, Any]:
        async with opened_car(reach) as car:
            return await _scan(car)

    found = asyncio.run(run())
    if as_json:
        print_json(found)
        return
    ready = {True: "all ready", False: "not all ready", None: "not reported"}[found["ready"]]
    lamp = {True: "on", False: "off", None: "not reported"}[found["lamp"]]
    echo(f"protocol     {found['protocol']}")
    echo(f"reached      {found['init']} initialisation of {found['address']} at {found['baud']} baud")
    echo(f"ECUs         {', '.join(found['ecus']) if found['ecus'] != ['FF'] else 'one, without an address'}")
    echo(f"VIN          {found['vin'] or 'not reported'}")
    _show_other_vins(found)
    echo(f"standard     {found['standard'] or 'not reported'}")
    codes = "not reported" if found["codes"] is None else found["codes"]
    echo(f"warning lamp {lamp}; stored codes: {codes}; monitors: {ready}")
    for ecu, monitors in found["monitors"].items():
        for name, complete in monitors.items():
            echo(f"monitor      {ecu_name(ecu)}: {name}: {'complete' if complete else 'not complete'}")
    _show_identity(found)
    _show_refused(found["refused"])
    for pid in found["supported"]:
        fields = pids.fields(int(pid, 16))
        echo(f"  {pid}  {', '.join(field.name for field in fields) or '(not known here)'}")


async def _scan(car: Diagnostics) -> dict[str, Any]:
    profile = car.session.car
    assert profile is not None
    monitors = await unless_damaged(car.monitors(), {})
    supported = (await unless_damaged(car.supported(), PidSet())).pids()
    return {
        "protocol": profile.protocol(),
        "init": profile.kind,
        "address": f"{profile.address:02X}",
        "baud": profile.baud,
        "ecus": [ecu_key(ecu) for ecu in sorted(profile.ecus)],
        **await _vins(car),
        "standard": await unless_damaged(car.standard(), ""),
        "lamp": any(one.mil for one in monitors.values()) if monitors else None,
        "codes": sum(one.codes for one in monitors.values()) if monitors else None,
        "ready": all(one.ready() for one in monitors.values())
        if any(one.monitors for one in monitors.values())
        else None,
        "monitors": {ecu_key(ecu): dict(one.monitors) for ecu, one in monitors.items()},
        **await _identity(car),
        "supported": [f"{pid:02X}" for pid in supported if pid % 0x20],
        "refused": {hex_bytes(request): refusal(code) for request, code in car.refused.items()},
    }


def _show_refused(refused: dict[str, str]) -> None:
    by_reason: dict[str, list[str]] = {}
    for request, reason in refused.items():
        by_reason.setdefault(reason, []).append(request)
    for reason, requests in by_reason.items():
        echo(f"refused      {', '.join(requests)}  ({reason})")


async def _vins(car: Diagnostics) -> dict[str, Any]:
    """{"vin": the first ECU's or "", "vins": by address, "vin_bytes": those of another form}"""
    vins = {ecu_key(ecu): vin for ecu, vin in (await unless_damaged(car.vins(), {})).items()}
    forms = {ecu_key(ecu): data for ecu, data in car.forms.items()}
    return {"vin": next(iter(vins.values()), ""), "vins": vins, "vin_bytes": forms}


def _show_other_vins(found: dict[str, Any]) -> None:
    for ecu, vin in found["vins"].items():
        if vin != found["vin"]:
            echo(f"VIN          {ecu_name(ecu)} gives another one: {vin}")
    for ecu, data in found["vin_bytes"].items():
        echo(f"VIN          {ecu_name(ecu)} gives it in a form not known here: {data}")


async def _identity(car: Diagnostics) -> dict[str, Any]:
    """What each ECU says of its program: {"names": .., "calibration": .., "cvn": ..}, by address."""
    names = await unless_damaged(car.ecu_names(), {})
    ids = await unless_damaged(car.calibration_ids(), {})
    numbers = await unless_damaged(car.calibration_numbers(), {})
    return {
        "names": {ecu_key(ecu): name for ecu, name in names.items()},
        "calibration": {ecu_key(ecu): found for ecu, found in ids.items()},
        "cvn": {ecu_key(ecu): found for ecu, found in numbers.items()},
    }


def _show_identity(found: dict[str, Any]) -> None:
    for ecu, name in found["names"].items():
        echo(f"name         {ecu_name(ecu)}: {name}")
    for ecu, ids in found["calibration"].items():
        echo(f"calibration  {ecu_name(ecu)}: {', '.join(ids)}")
    for ecu, numbers in found["cvn"].items():
        echo(f"CVN          {ecu_name(ecu)}: {', '.join(numbers)}")


@click.command(epilog="Examples: openkline obd vin; openkline obd vin --json | jq -r .vin")
@car_options
@json_option
def vin(as_json: bool, **words: Any) -> None:
    """The vehicle identification number; and each ECU's name, calibration and its checksum (CVN)."""
    reach = reach_of(words)

    async def run() -> tuple[dict[str, Any], bool]:
        async with opened_car(reach) as car:
            return {**await _vins(car), **await _identity(car)}, car.damaged

    found, damaged = asyncio.run(run())
    if as_json:
        print_json(found)
    else:
        if found["vin"]:
            echo(found["vin"])
        _show_other_vins(found)
        _show_identity(found)
    if not found["vin"] and damaged:
        raise ObdError("the VIN came incomplete: answers were damaged. Try again", "damaged")
    if not found["vin"] and found["vin_bytes"]:
        raise ObdError("the VIN came in a form not known here: please report these bytes", "failed")
    if not found["vin"]:
        raise ObdError("no ECU of this car gives a VIN: cars built before about 2002 often don't", "silent")
