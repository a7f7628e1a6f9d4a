"""`openkline obd tests`"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import rich_click as click

from kline.protocol.obd.results import O2Result, TestResult
from openkline.cli.common import json_option
from openkline.cli.obd_common import car_options, ecu_key, ecu_name, opened_car, print_json, reach_of
from openkline.errors import ObdError
from openkline.terminal import echo

_VERDICTS = {True: "good", False: "NOT GOOD", None: ""}


@click.command(epilog="Examples: openkline obd tests; openkline obd tests --json")
@car_options
@json_option
def tests(as_json: bool, **words: Any) -> None:
    """What the monitors have measured, beside the limits: oxygen sensors (mode 05), others (mode 06).

    The numbers of mode 06 are the manufacturer's own: only value, limit and verdict can be shown.
    """
    reach = reach_of(words)

    async def run() -> list[dict[str, Any]]:
        async with opened_car(reach) as car:
            oxygen = await car.oxygen_tests()
            return [*_oxygen(oxygen), *_others(await car.monitor_tests())]

    found = asyncio.run(run())
    for one in found:
        if as_json:
            print_json(one)
        else:
            echo(_line(one))
    if not found:
        raise ObdError("no ECU of this car gives test results: many K-line cars don't", "silent")


def _line(one: dict[str, Any]) -> str:
    limits = ", ".join(f"{name} {one[name]:g}" for name in ("least", "most") if one[name] is not None)
    value = f"{one['value']:g} {one['unit']}".rstrip()
    what = f"{ecu_name(one['ecu'])}  mode {one['mode']} test {one['test']}  {one['of']}: {one['about']} {value}"
    return f"{what}{f'  ({limits})' if limits else ''}  {_VERDICTS[one['passed']]}".rstrip()


def _oxygen(found: dict[int, list[tuple[str, O2Result]]]) -> Iterator[dict[str, Any]]:
    for ecu, sensors in found.items():
        for name, one in sensors:
            yield {
                "ecu": ecu_key(ecu), "mode": "05", "test": f"{one.test:02X}", "of": name, "about": one.text,
                "value": one.value, "unit": one.unit, "least": one.least, "most": one.most, "passed": one.passed(),
            }  # fmt: skip


def _others(found: dict[int, list[TestResult]]) -> Iterator[dict[str, Any]]:
    for ecu, results in found.items():
        for one in results:
            yield {
                "ecu": ecu_key(ecu), "mode": "06", "test": f"{one.test:02X}",
                "of": f"component {one.component:02X}", "about": "value", "value": one.value, "unit": "",
                "least": one.limit if one.is_least else None, "most": None if one.is_least else one.limit,
                "passed": one.passed(),
            }  # fmt: skip
