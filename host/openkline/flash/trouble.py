"""What goes wrong while flashing, in words: what happened, and the one thing to try.

`explain` reads what esptool or mpremote said. Their words are matched, so they are tested with the real programs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from openkline.device.port import permission_hint, who_has
from openkline.errors import OpenklineError

UDEV_LINE = 'SUBSYSTEM=="tty", ATTRS{idVendor}=="303a|10c4|1a86|0403", TAG+="uaccess"'
HOLD_BOOT = "hold the board's BOOT button, press and release EN (or RST), let go of BOOT, and run this again"
AGAIN = "run this again: it continues where it stopped"


class FlashError(OpenklineError):
    """Flashing has stopped. The sentence says what to try; running again finishes the job."""


def explain(port: str, doing: str, text: str, status: int | None) -> FlashError:
    """What the program's last words mean. doing: the step, as in "while writing MicroPython"."""
    for pattern, words in _WORDS:
        if re.search(pattern, text, re.IGNORECASE):
            return FlashError(f"{port}: {words(port)} (while {doing})")
    if status is None:
        return FlashError(f"{port}: the board fell silent (while {doing}): press its EN (or RST) button, then {AGAIN}")
    said = [line for line in text.splitlines() if line.strip()]
    last = said[-1].strip() if said else f"exit status {status}"
    return FlashError(f"{port}: stopped while {doing}: {last}. Try another cable or USB port, then {AGAIN}")


def no_permission(port: str) -> str:
    return (
        f"no permission to open the port. {permission_hint(port)}. Or, for whoever is logged in here: put the line "
        f"{UDEV_LINE} into /etc/udev/rules.d/70-openkline.rules, and plug the board in again"
    )


def busy(port: str) -> str:
    """mpremote says the same when there is no such port."""
    if "://" not in port and os.name == "posix" and not Path(port).exists():
        return _gone(port)
    user = who_has(port)
    return f"in use{f' by {user}' if user else ''}. End that program, then run this again"


def _refused(_: str) -> str:
    return f"the board does not enter its boot loader: {HOLD_BOOT}"


def _cut(_: str) -> str:
    return f"the connection was lost. Check cable and plug, then {AGAIN}"


def _brown_out(_: str) -> str:
    return "the board's supply voltage fell too low (brown-out). Try a shorter cable, or a port without a hub"


def _no_room(_: str) -> str:
    return "the board's file system is full. Remove files from it, or make a new one: openkline flash --erase"


def _read_only(_: str) -> str:
    return "the board's file system is read-only or damaged. Make a new one: openkline flash --erase"


def _not_written(_: str) -> str:
    return f"what was written is not what the flash holds: a bad cable, or worn flash. Try another cable, then {AGAIN}"


def _gone(port: str) -> str:
    if "://" in port:
        return "nothing answers at this address. Is the serial server running there?"
    return "there is no such port. Plug the board in; openkline ports lists what is there"


def _no_scheme(_: str) -> str:
    return "this is not a port's address. Expected a serial port's path, or socket://host:port"


def _unknown_chip(_: str) -> str:
    return "this chip is not one that esptool knows. openkline boards lists what can be flashed"


# In this order: the first that fits.
_WORDS = (
    (r"Errno 13|Permission denied", no_permission),
    (r"Errno 16|Errno 11\b|Could not exclusively lock|may be in use by another|port is busy\.", busy),
    (r"Brownout|brown-out", _brown_out),
    (r"ENOSPC|Errno 28\b|No space left", _no_room),
    (r"EROFS|Errno 30\b|Read-only file ?system", _read_only),
    (r"Wrong boot mode|No serial data received|Failed to connect to|Invalid head of packet", _refused),
    (r"invalid URL, protocol", _no_scheme),
    (r"Verification failed|MD5 of file does not match", _not_written),
    (r"Errno 2\] could not open port|port is busy or doesn't exist", _gone),
    (r"Unexpected chip|not supported by this version|Unknown chip|doesn't appear to be", _unknown_chip),
    (
        r"socket disconnected|connection closed|Connection refused|Errno 5\b|Errno 6\b|Errno 104|Errno 32\b|Broken pipe"
        r"|device reports readiness|device disconnected|write failed|read failed|The chip stopped responding"
        r"|could not enter raw repl|could not exec|timeout waiting for|Connection reset|could not complete raw paste"
        r"|Invalid head|Packet content transfer stopped|No more data|port is closed|unexpected read during"
        r"|unpack requires a buffer|Serial data stream stopped|Failed to communicate|Could not open|index out of range",
        _cut,
    ),
)
