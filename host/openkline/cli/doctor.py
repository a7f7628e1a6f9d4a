"""`openkline doctor`"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import rich_click as click

from openkline.cli.common import device_option, json_option, set_up_logging
from openkline.cli.numbers import Number
from openkline.device.port import port_for
from openkline.device.sim import SimOptions
from openkline.doctor import examine, report
from openkline.doctor.facts import WireFacts
from openkline.doctor.judge import cause, judge
from openkline.printable import printable
from openkline.terminal import echo

EXIT_FINDINGS = 9
# The virtual board's (boards/SIM/sim/faults.py); docs/doctor.md explains them.
FAULTS = (
    "both_inverted", "bus_high", "bus_low", "car_10400", "car_9600", "no_12v", "no_pull_up", "other_tester",
    "rx_inverted", "rx_loose", "rx_open", "rx_pull_missing", "rx_stuck", "slow", "swapped", "tx_inverted", "tx_loose",
    "tx_open", "tx_pull_missing", "tx_stuck", "unwired", "weak",
)  # fmt: skip


def _known_faults(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    unknown = [name for name in (value or "").split(",") if name and name not in FAULTS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(FAULTS)}")
    return value


@click.command(
    epilog="Examples: openkline doctor; openkline doctor -d /dev/ttyUSB0 --yes. Exit status: 0 no fault found (or "
    "only listening was possible), 9 fault found. docs/doctor.md explains each finding."
)
@device_option
@json_option
@click.option("--yes", is_flag=True, help="Don't ask before pulling the bus low for a few milliseconds.")
@click.option("--obd", is_flag=True, help="Examine a K-line (OBD-II) instead of the I-Bus.")
@click.option(
    "--listen",
    type=Number(0.1, 600),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to listen for other modules on the wire.",
)
@click.option("--car", default="none", help="With -d sim: the virtual car.")
@click.option(
    "--fault",
    metavar="NAME[,NAME]",
    callback=_known_faults,
    help="With -d sim: the fault to simulate; docs/doctor.md lists them.",
)
@click.pass_context
def doctor(
    ctx: click.Context,
    device: str | None,
    as_json: bool,
    yes: bool,
    obd: bool,
    listen: float,
    car: str,
    fault: str | None,
) -> None:
    """Diagnose the connection from this computer to the car.

    Checks port, board, link and wiring, in this order. It listens first, then asks before pulling the bus low for less
    time than a message takes; without a terminal to ask on and without --yes, that part is skipped.
    """
    set_up_logging(3)
    if device != "sim" and (fault is not None or car != "none"):
        raise click.UsageError("--fault and --car need -d sim")
    name = device or "auto"
    port = port_for(name, SimOptions(car=car, extra=("--fault", fault) if fault else ()))

    async def consent(heard: WireFacts) -> bool:
        return yes or (sys.stdin.isatty() and await _confirm(_question(heard)))

    facts = asyncio.run(examine(name, port, consent, obd=obd, listen_s=listen, tell=_tell))
    found = judge(facts)
    likely = cause(found)
    if as_json:
        for one in (*map(report.as_json, found), report.summary_json(facts, likely)):
            echo(json.dumps(one), wrap=False)
    else:
        for finding in found:
            echo("\n".join(report.lines_of(finding)), paint=report.paint_of(finding))
        echo("\n".join(["", *report.ending(facts, likely)]))
    ctx.exit(EXIT_FINDINGS if likely is not None else 0)


def _tell(text: str) -> None:
    echo(f"  {text}", err=True)


async def _confirm(question: str) -> bool:
    """The link keeps running while the question waits, and Ctrl-C ends the command as always."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    terminal = sys.stdin.fileno()

    def typed() -> None:
        loop.remove_reader(terminal)
        answer.set_result(os.read(terminal, 1024))

    try:
        loop.add_reader(terminal, typed)
    except NotImplementedError:  # Windows
        return click.confirm(printable(question), err=True)
    import termios

    try:
        termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before the question is no answer to it
        echo(f"{question} [y/N]: ", err=True, nl=False)
        return (await answer).strip().lower() in (b"y", b"yes")
    finally:
        loop.remove_reader(terminal)


def _question(heard: WireFacts) -> str:
    now = "There is traffic on the bus. " if heard.talking else "The bus is silent. "
    return (
        f"{now}To test the wiring, the board has to pull the bus low for a few milliseconds at a time, between "
        "messages and for less time than a message takes. This wakes a sleeping car. Continue?"
    )
