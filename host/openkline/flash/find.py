"""Which port the board is on, and what speaks against using it, before a program runs into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from openkline.device import ports
from openkline.device.port import explain, port_for, who_has
from openkline.errors import DeviceAmbiguous, DeviceBusy, DeviceError, DeviceForbidden, DeviceMissing
from openkline.flash.esp import BootLoader
from openkline.flash.trouble import FlashError, busy, no_permission

Choose = Callable[[str, list[str]], int | None]


def find_port(named: str | None, choose: Choose) -> tuple[str, str]:
    """-> the port and why it is this one. choose(question, lines): asks a person; None when there is nobody to ask.

    DeviceMissing, DeviceAmbiguous (with chip and USB id of each), DeviceForbidden, DeviceBusy.
    """
    if named is not None and named != "auto":
        check(named)
        return named, "as named"
    found = [port for port in ports.list_ports() if port.is_candidate]
    if not found:
        raise DeviceMissing(
            "no board found: no serial port has the USB id of an ESP32 board. Plug it in (a cable with data lines), "
            "or name its port: -d /dev/.. (PORT= of make)"
        )
    if len(found) == 1:
        check(found[0].device)
        return found[0].device, f"{found[0].board}, USB id {found[0].usb_id}"
    lines = [f"{port.device}  {port.usb_id}  {port.board}, chip {_chip(port.device)}" for port in found]
    number = choose("Several boards are connected. Which one?", lines)
    if number is None:
        listed = "".join(f"\n  {line}" for line in lines)
        raise DeviceAmbiguous(f"several boards are connected; name one with -d (PORT= of make):{listed}", found)
    check(found[number].device)
    return found[number].device, f"USB id {found[number].usb_id}"


def check(port: str) -> None:
    """DeviceError: the port is not there, none at all, forbidden, or another program has it."""
    if "://" in port:
        port_for(port)
        return
    path = Path(port)
    if os.name != "posix":
        return
    if not path.exists():
        raise DeviceMissing(f"{port}: there is no such port. Found here: {_there()} (openkline ports shows more)")
    if not os.access(port, os.R_OK | os.W_OK):
        raise DeviceForbidden(f"{port}: {no_permission(port)}")
    if not _is_serial(port):
        raise DeviceError(f"{port}: this is not a serial port. Found here: {_there()} (openkline ports shows more)")
    if who_has(port):
        raise DeviceBusy(f"{port}: {busy(port)}")


def _is_serial(port: str) -> bool:
    """Raises what else speaks against it. Opened as everybody does, DTR and RTS equal: that resets no board."""
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.EISDIR:
            return False
        if error.errno == errno.EBUSY:
            raise DeviceBusy(f"{port}: {busy(port)}") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise DeviceForbidden(f"{port}: {no_permission(port)}") from error
        raise explain(port, error) from error
    try:
        return os.isatty(handle)
    finally:
        os.close(handle)


def _there() -> str:
    return ", ".join(one.device for one in ports.list_ports()) or "none"


def _chip(port: str) -> str:
    """What its boot loader says, or why it says nothing. It goes on with what it did: it may not be the board meant."""
    try:
        check(port)
        return BootLoader(port).detect(go_on=True).chip
    except DeviceBusy:
        return "unknown (another program has the port)"
    except (DeviceError, FlashError):
        return "unknown (no answer from its boot loader)"
