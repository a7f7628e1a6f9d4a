"""`openkline status`"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openkline.bridge.problems import REFUSALS
from openkline.bridge.status import default_port, fetch
from openkline.cli.common import DEFAULT_PORT, json_option
from openkline.errors import OpenklineError
from openkline.net.access import host_port
from openkline.terminal import console, echo
from openkline.words import plural


@click.command(epilog="Examples: openkline status; openkline status --json | jq .bus")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    metavar="PORT",
    help="TCP port of the bridge; its status port is one below.",
)
@click.option(
    "--status-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Status port of the bridge, if it was started with --status-port.",
)
@json_option
def status(port: int, status_port: int | None, as_json: bool) -> None:
    """Show the state of the bridge on this computer.

    Board, bus, clients, logs, and current problems. Exit status 0: the bridge is running, even without a board (see
    `problems` in the JSON); 6: no bridge answers.
    """
    wanted = status_port or default_port(port)
    if not wanted:
        raise OpenklineError("there is no port below 1 for the status: name one with --status-port, there and here")
    found = asyncio.run(fetch(wanted))
    if as_json:
        echo(json.dumps(found), wrap=False)
        return
    screen = console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        show(screen, found)
    except (KeyError, TypeError, AttributeError) as error:
        raise OpenklineError(
            f"the bridge is openkline {found['openkline']}, whose status has another format; --json prints it unchanged"
        ) from error


def show(screen: Console, status: Mapping[str, Any]) -> None:
    """For people. KeyError, TypeError, AttributeError: the status is of another version."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in _lines(status):
        table.add_row(name, Text(text))
    screen.print(table)
    if status["gateway"]["clients"]:
        screen.print(_clients(status["gateway"]["clients"]))
    if not status["problems"]:
        screen.print("no problems")
    for problem in status["problems"]:
        screen.print(Text.assemble(("! ", "bold red"), problem))


def _lines(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    device, bus, gateway, elm = status["device"], status["bus"], status["gateway"], status["elm327"]
    board = "not known yet"
    if device["board"]:
        board = f"{device['board']} {device['unique_id']}, firmware {device['firmware']}"
    return [
        ("bridge", f"openkline {status['openkline']}, up {duration(status['uptime_s'])}"),
        ("board", f"{device['state']}, {board}"),
        ("port", _port(device)),
        ("link", _counts(status["link"], "rx_records", "rx_bad", "rx_gaps", "tx_records", "tx_resent")),
        ("bus", _bus(bus)),
        ("wire", _counts(status["board"], "dropped_bytes", "bad_checksum", "stalled", "tx_collisions", "echo_lost")),
        ("sent", _sent(status["transmit"])),
        ("latency", _latency(status["latency"])),
        ("clients", _served(gateway)),
        *([("elm327", _elm(elm))] if elm else []),
        *[("log", _log(frame_log)) for frame_log in status["logs"]],
    ]


def _port(device: Mapping[str, Any]) -> str:
    restarts = plural(device["reboots"], "board restart")
    return f"{device['port']}, {plural(device['reconnects'], 'reconnect')}, {restarts}"


def duration(seconds: float) -> str:
    """1 d 02:03:04"""
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock


def _counts(counters: Mapping[str, Any], *names: str) -> str:
    """Those that exist; the board's are not known before it has sent them."""
    known = [f"{counters[name]} {name.replace('_', ' ')}" for name in names if name in counters]
    return ", ".join(known) or "not known yet"


def _bus(bus: Mapping[str, Any]) -> str:
    loads = [
        f"{bus[f'load_{seconds}s_percent']:.1f} % over {seconds} s"
        for seconds in (10, 60)
        if bus[f"load_{seconds}s_percent"] is not None
    ]
    silent_s = bus["silent_s"]
    last = "nothing heard" if silent_s is None else f"last frame {silent_s:.1f} s ago"
    return ", ".join([plural(bus["frames"], "frame"), last, *([f"load {', '.join(loads)}"] if loads else [])])


def _sent(transmit: Mapping[str, Any]) -> str:
    outcomes = [f"{n} {name.replace('_', ' ')}" for name, n in transmit["outcomes"].items() if n or name == "sent"]
    return ", ".join([*outcomes, f"{transmit['waiting']} waiting", f"{transmit['in_flight']} at the board"])


def _latency(latency: Mapping[str, Any]) -> str:
    if not latency["frames"]:
        return "no frame yet"
    frames = plural(latency["frames"], "frame")
    bus, port = latency["bus_to_clients_ms"], latency["port_to_clients_ms"]
    return (
        f"bus to clients {bus['median']:.1f} ms, 99 %: {bus['p99']:.1f} ms; "
        f"of that in the bridge {port['median']:.2f} ms, 99 %: {port['p99']:.2f} ms (last {frames})"
    )


def _served(gateway: Mapping[str, Any]) -> str:
    held = gateway["of_gone_clients"]
    more = f"; {plural(held, 'message')} of closed connections still waiting" if held else ""
    where = host_port(gateway["address"], gateway["port"])
    return f"{len(gateway['clients'])} of {gateway['max_clients']} on {where}{more}"


def _elm(elm: Mapping[str, Any]) -> str:
    """One client drives; only the number of the others matters."""
    clients = elm["clients"]
    driver = next((f", {one['name']} drives" for one in clients if one["drives"]), "")
    return f"{len(clients)} of {elm['max_clients']} on {host_port(elm['address'], elm['port'])}{driver}"


def _log(frame_log: Mapping[str, Any]) -> str:
    missing = frame_log["dropped"] + frame_log["failed"]
    return f"{frame_log['name']}: {frame_log['state']}, {plural(frame_log['written'], 'line')}, {missing} lost"


def _clients(clients: list[Mapping[str, Any]]) -> Table:
    """REFUSED: messages not accepted, for any reason; docs/status.md tells them apart."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("PORT", "FROM", "STATE", "FRAMES", "UNREAD BYTES", "MESSAGES", "WAITING", "REFUSED"):
        table.add_column(name, justify="left" if name in ("FROM", "STATE") else "right")
    for client in clients:
        numbers = [client[name] for name in ("frames", "unread_bytes", "messages", "waiting_for_bus")]
        refused = sum(client[name] for name in REFUSALS)
        table.add_row(str(client["port"]), client["address"], client["state"], *map(str, [*numbers, refused]))
    return table
