"""`openkline ports`"""

from __future__ import annotations

import json
from dataclasses import asdict

import rich_click as click

from openkline.cli.common import json_option
from openkline.device import ports as ports_module
from openkline.terminal import echo


@click.command(epilog="Example: openkline ports --json")
@json_option
def ports(as_json: bool) -> None:
    """List serial ports, likely boards first."""
    found = ports_module.list_ports()
    for port in found:
        if as_json:
            echo(json.dumps({**asdict(port), "is_candidate": port.is_candidate}), wrap=False)
        else:
            mark = "*" if port.is_candidate else " "
            words = [port.device.ljust(20), port.usb_id.ljust(9), port.board or port.description, port.serial_number]
            echo(f"{mark} {'  '.join(words).rstrip()}")
    if not any(port.is_candidate for port in found):
        none = "no port has the USB id of an ESP32 board" if found else "no serial port found"
        echo(f"{none}. Is the board plugged in, with a cable that carries data?", err=True)
    elif not as_json:
        echo("* likely a board", err=True)
