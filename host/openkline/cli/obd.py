"""`openkline obd`"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import rich_click as click

from kline.protocol import dtc, nrc, pids, records
from kline.protocol import obd as protocol
from openkline.cli.common import HexBytes, json_option
from openkline.cli.obd_common import car_options, ecu_name, opened_car, print_json, reach_of, shown
from openkline.cli.obd_live import live
from openkline.cli.obd_tests import tests
from openkline.errors import ObdError
from openkline.log.formats import hex_bytes
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.session import sender

_SERVICES = (("stored", protocol.STORED), ("pending", protocol.PENDING_CODES), ("permanent", protocol.PERMANENT))


@click.group(epilog="Examples: openkline obd scan; openkline obd live RPM SPEED; openkline obd dtc --json")
def obd() -> None:
    """Ask a car's ECUs over the K-line (OBD-II: ISO 9141-2, ISO 14230-4).

    The board's stage must fit (docs/wiring.md). -d sim has a virtual car. Exit status 7: the car did not answer, or
    refused.
    """


obd.add_command(live)
obd.add_command(tests)


@obd.command(epilog="Examples: openkline obd scan; openkline obd scan -d sim --car difficult")
@car_options
@json_option
def scan(as_json: bool, **words: Any) -> None:
    """What is there: how the car speaks, who answers, what it can say."""
    reach = reach_of(words)

    async def run() -> dict[str, Any]:
        async with opened_car(reach) as car:
            return await _scan(car)

    found = asyncio.run(run())
    if as_json:
        print_json(found)
        return
    ready = {True: "all ready", False: "not all ready", None: "not said"}[found["ready"]]
    lamp = {True: "on", False: "off", None: "not said"}[found["lamp"]]
    click.echo(f"protocol     {found['protocol']}")
    click.echo(f"reached      {found['init']} initialisation of {found['address']} at {found['baud']} baud")
    click.echo(f"ECUs         {', '.join(found['ecus'])}")
    click.echo(f"VIN          {found['vin'] or 'not said'}")
    click.echo(f"standard     {found['standard'] or 'not said'}")
    click.echo(f"warning lamp {lamp}, {found['codes']} stored codes; monitors: {ready}")
    for ecu, monitors in found["monitors"].items():
        for name, complete in monitors.items():
            click.echo(f"monitor      ECU {ecu}: {name}: {'complete' if complete else 'not complete'}")
    _show_identity(found)
    for pid in found["supported"]:
        fields = pids.fields(int(pid, 16))
        click.echo(f"  {pid}  {', '.join(field.name for field in fields) or '(not known here)'}")


async def _scan(car: Diagnostics) -> dict[str, Any]:
    profile = car.session.car
    assert profile is not None
    monitors = await car.monitors()
    supported = (await car.supported()).pids()
    return {
        "protocol": profile.protocol(),
        "init": profile.kind,
        "address": f"{profile.address:02X}",
        "baud": profile.baud,
        "ecus": [f"{ecu:02X}" for ecu in profile.ecus],
        "vin": await car.vin(),
        "standard": await car.standard(),
        "lamp": any(one.mil for one in monitors.values()) if monitors else None,
        "codes": sum(one.codes for one in monitors.values()),
        "ready": all(one.ready() for one in monitors.values())
        if any(one.monitors for one in monitors.values())
        else None,
        "monitors": {f"{ecu:02X}": dict(one.monitors) for ecu, one in monitors.items()},
        **await _identity(car),
        "supported": [f"{pid:02X}" for pid in supported if pid % 0x20],
    }


async def _identity(car: Diagnostics) -> dict[str, Any]:
    """What each ECU says of its program: {"names": .., "calibration": .., "cvn": ..}, by address."""
    names = await car.ecu_names()
    ids = await car.calibration_ids()
    numbers = await car.calibration_numbers()
    return {
        "names": {f"{ecu & 0xFF:02X}": name for ecu, name in names.items()},
        "calibration": {f"{ecu & 0xFF:02X}": found for ecu, found in ids.items()},
        "cvn": {f"{ecu & 0xFF:02X}": found for ecu, found in numbers.items()},
    }


def _show_identity(found: dict[str, Any]) -> None:
    for ecu, name in found["names"].items():
        click.echo(f"name         ECU {ecu}: {name}")
    for ecu, ids in found["calibration"].items():
        click.echo(f"calibration  ECU {ecu}: {', '.join(ids)}")
    for ecu, numbers in found["cvn"].items():
        click.echo(f"CVN          ECU {ecu}: {', '.join(numbers)}")


@obd.command("dtc", epilog="Examples: openkline obd dtc; openkline obd dtc --json | jq -r .code")
@car_options
@json_option
def trouble_codes(as_json: bool, **words: Any) -> None:
    """Stored, pending and permanent trouble codes."""
    reach = reach_of(words)

    async def run() -> list[tuple[str, dict[int, list[str]], bool]]:
        async with opened_car(reach) as car:
            return [(name, *await car.codes(service)) for name, service in _SERVICES]

    certain = True
    for name, found, sure in asyncio.run(run()):
        certain = certain and (sure or name != "stored")
        codes = [(ecu, code) for ecu in found for code in found[ecu]]
        for ecu, code in codes:
            if as_json:
                print_json({"kind": name, "ecu": f"{ecu & 0xFF:02X}", "code": code, "about": dtc.describe(code)})
            else:
                click.echo(f"{name:<10} {code}  {ecu_name(ecu)}  {dtc.describe(code)}")
        if not codes and not (as_json and sure):
            click.echo(f"{name:<10} {'none' if sure else 'not known (no answer, or refused)'}", err=as_json)
    if not certain:
        raise ObdError(
            "the stored codes are not certain: an ECU said nothing of its own, or what was read does not fit the "
            "number of codes that it says it has. Ask again",
            "silent",
        )


@obd.command(epilog="Examples: openkline obd clear; openkline obd clear --yes")
@click.option("--yes", is_flag=True, help="Don't ask.")
@car_options
def clear(yes: bool, **words: Any) -> None:
    """Erase trouble codes, freeze frames, and the readiness of all monitors."""
    reach = reach_of(words)
    if not yes:
        _ask_whether_to_clear()

    async def run() -> dict[int, int]:
        async with opened_car(reach) as car:
            return await car.clear()

    done = asyncio.run(run())
    for ecu, code in done.items():
        click.echo(f"{ecu_name(ecu)}: {f'refused: {nrc.name(code)}' if code else 'erased'}")
    if any(done.values()):
        raise ObdError("not everything was erased; most cars want ignition on and engine off", "refused")


def _ask_whether_to_clear() -> None:
    try:
        click.confirm(
            "This erases all trouble codes and the freeze frame, and the monitors begin anew (an inspection may want "
            "them complete). Erase them",
            abort=True,
            err=True,
        )
    except click.Abort:
        if not sys.stdin.isatty():
            click.echo("\nNothing was erased. Without a terminal, --yes erases without asking.", err=True)
        raise


@obd.command(epilog="Examples: openkline obd freeze; openkline obd freeze --json")
@car_options
@json_option
def freeze(as_json: bool, **words: Any) -> None:
    """The freeze frame: what the engine did when a code was stored."""
    reach = reach_of(words)

    async def run() -> tuple[str, list[pids.Value]] | None:
        async with opened_car(reach) as car:
            return await car.freeze_frame()

    found = asyncio.run(run())
    code, values = found if found is not None else (None, [])
    if as_json:
        print_json({"code": code, **{value.name: value.value for value in values}})
        return
    click.echo(f"stored by {code}  {dtc.describe(code)}" if code else "no freeze frame")
    for value in values:
        click.echo(f"  {value.text:<45} {shown(value)}")


@obd.command(epilog="Examples: openkline obd vin; openkline obd vin --json | jq -r .vin")
@car_options
@json_option
def vin(as_json: bool, **words: Any) -> None:
    """The vehicle identification number; and each ECU's name, calibration, and its check sum (CVN)."""
    reach = reach_of(words)

    async def run() -> dict[str, Any]:
        async with opened_car(reach) as car:
            return {"vin": await car.vin(), **await _identity(car)}

    found = asyncio.run(run())
    if as_json:
        print_json(found)
    else:
        if found["vin"]:
            click.echo(found["vin"])
        _show_identity(found)
    if not found["vin"]:
        raise ObdError("no ECU of this car tells a VIN: cars before about 2002 often don't", "silent")


@obd.command(epilog='Examples: openkline obd raw "C1 33 F1 81"; openkline obd raw --wake none 68 6A F1 01 00')
@click.argument("frame", nargs=-1, required=True)
@click.option(
    "--wake",
    type=click.Choice(["auto", "session", "pulse", "none"]),
    default="auto",
    show_default=True,
    help="Before it: connect; the pulse of fast initialisation; nothing. auto: the pulse before a StartCommunication "
    "(.. 81), else connect.",
)
@click.option("--no-checksum", is_flag=True, help="Send the bytes as they are; else the checksum is added.")
@click.option("--wait", "wait_ms", type=click.IntRange(1, 10000), default=100, show_default=True, metavar="MS",
              help="Silence that ends the answer.")  # fmt: skip
@car_options
@json_option
def raw(frame: tuple[str, ...], wake: str, no_checksum: bool, wait_ms: int, as_json: bool, **words: Any) -> None:
    """Send one frame, header and all, and show every frame that comes back.

    The bytes of an answer that are no valid frame are shown in brackets.
    """
    data = HexBytes()(" ".join(frame)) or b""
    if not 1 <= len(data) <= 254:
        raise click.UsageError("a frame has 1 to 254 bytes, such as C1 33 F1 81")
    reach = reach_of(words)
    if wake == "auto":
        wake = "pulse" if data[3:] == b"\x81" else "session"

    async def run() -> list[tuple[bytes, int, bool]]:
        async with opened_car(reach, connect=wake == "session") as car:
            answers = await car.session.raw(data, checksum=not no_checksum, pulse=wake == "pulse", silence_ms=wait_ms)
            return [(one.data, sender(one), one.mode != records.ANSWER_NO_FRAME) for one in answers]

    answers = asyncio.run(run())
    for whole, ecu, valid in answers:
        if as_json:
            print_json({"data": hex_bytes(whole), "ecu": f"{ecu:02X}" if ecu >= 0 else None, "valid": valid})
        else:
            click.echo(hex_bytes(whole) if valid else f"[{hex_bytes(whole)}]")
    if not answers:
        raise ObdError("no ECU answered. Is the ignition on? Try --wake session, or another header", "silent")
