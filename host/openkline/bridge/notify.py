"""Messages to a service manager (sd_notify(3)), without its library: one datagram to $NOTIFY_SOCKET each.

    READY=1        clients are served
    STATUS=text    one line for `systemctl status`
    WATCHDOG=1     all is well; when it stops coming the manager restarts the service (WatchdogSec= in the unit)
    STOPPING=1     the end has begun

Without $NOTIFY_SOCKET, or without Unix sockets as on Windows, all of this does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger("openkline.bridge.notify")

_LOOK_S = 2.0  # between two looks at the state; sooner when the watchdog's period wants it


def notify(*lines: str) -> bool:
    """Send NAME=value lines in one datagram. Returns whether the manager has them; never blocks, never raises."""
    address = _address(os.environ.get("NOTIFY_SOCKET", ""))
    if not address:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)  # a manager that doesn't read must not stop the bridge
            sock.sendto("\n".join(lines).encode(), address)
    except OSError:
        return False
    return True


def status_line(text: str) -> str:
    """STATUS= holds one line: a second one would be another assignment."""
    return "STATUS=" + " ".join(text.split())


def _address(name: str) -> str:
    """As bind() wants it: a path, or an abstract name (@name is \\0name, Linux only); "" for what we can't reach."""
    if not hasattr(socket, "AF_UNIX") or name[:1] not in ("/", "@"):
        return ""
    return "\0" + name[1:] if name.startswith("@") else name


def watchdog_s(environment: Mapping[str, str] | None = None) -> float | None:
    """How long the manager waits for WATCHDOG=1 ($WATCHDOG_USEC, in seconds); None: it doesn't wait for ours.

    sd_watchdog_enabled(3): $WATCHDOG_PID names the process that is meant; without it everyone is.
    """
    environment = os.environ if environment is None else environment
    try:
        period_us = int(environment.get("WATCHDOG_USEC", "0"))
        pid = int(environment.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return period_us / 1e6 if period_us > 0 and pid == os.getpid() else None


class SystemdNotifier:
    """Tells the manager from the event loop, at least twice per watchdog period, that all is well. start(), stop().

    trouble: what only a new start can mend, "" for nothing; then WATCHDOG=1 is held back. It comes from a timer of the
    loop, so a loop that hangs holds it back, too. status: one line, sent when it has changed.
    """

    def __init__(self, trouble: Callable[[], str], status: Callable[[], str]) -> None:
        self._trouble = trouble
        self._status = status
        self._period_s = watchdog_s()
        self._sent = ""
        self._logged = ""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """READY=1 and the first status; then the timer, if there is a manager."""
        self._sent = status_line(self._status())
        if notify("READY=1", self._sent):
            self._tick()

    def stop(self) -> None:
        """STOPPING=1, and no word after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        notify("STOPPING=1")

    def _tick(self) -> None:
        pause_s = min(self._period_s / 2, _LOOK_S) if self._period_s else _LOOK_S
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._tick)
        try:
            trouble, status = self._trouble(), status_line(self._status())
        except Exception as error:  # then we know nothing, which isn't well
            trouble, status = f"no state available ({error!r})", self._sent
        lines = [] if trouble or not self._period_s else ["WATCHDOG=1"]
        if trouble:
            status = status_line(trouble)
            if trouble != self._logged:
                log.error("%s: only a restart can fix that", trouble)
        self._logged = trouble
        if status != self._sent:
            lines.append(status)
        if lines and notify(*lines):
            self._sent = status
