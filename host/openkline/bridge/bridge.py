"""The bridge: a board, the gateway for TCP clients, and the logs, put together and run until something says stop.

    Port -> Device --frames--> FrameLog (stdout), FrameLog (file)
                   |          EventRunner --> commands
                   |-- Bus --> GatewayServer --> TCP clients
                   |-- BoardLine --> ElmServer --> apps, with the board in K-line mode
                   '---------> Probe --> StatusServer --> `openkline status`

This is the only place that knows all of them. To everything else they are parts (part.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kline.protocol.link import records
from openkline.bridge.events import EventRunner
from openkline.bridge.health import Probe
from openkline.bridge.logs import Logs
from openkline.bridge.notify import SystemdNotifier
from openkline.bridge.part import Part
from openkline.bridge.report import report
from openkline.bridge.status import StatusServer
from openkline.bus import BusFrame, Unsubscribe
from openkline.device.device import Device
from openkline.device.link import BusEvent
from openkline.device.port import Port
from openkline.device.state import DeviceSettings
from openkline.elm.backend import BoardLine
from openkline.elm.options import ElmOptions
from openkline.elm.server import ElmServer
from openkline.gateway.options import GatewayOptions
from openkline.gateway.server import GatewayServer
from openkline.log.files import FrameLog
from openkline.update.updater import Updater
from openkline.words import plural

log = logging.getLogger("openkline.bridge.bridge")


@dataclass(slots=True)
class BridgeSettings:
    """status_port: where `openkline status` asks; None: nowhere; 0: any free one (tests)
    mode: records.MODE_.., set on the board after each of its starts, whatever its board.json says
    elm: an ELM327 for apps (K-line mode is implied); None: none
    """

    device: DeviceSettings = field(default_factory=DeviceSettings)
    gateway: GatewayOptions = field(default_factory=GatewayOptions)
    status_port: int | None = None
    mode: int = records.MODE_IBUS
    elm: ElmOptions | None = None


class Bridge:
    """start() once, then run() until stop is set; close() undoes start()."""

    def __init__(self, port: Port, settings: BridgeSettings) -> None:
        self.settings = settings
        mode = settings.mode if settings.elm is None else records.MODE_OBD
        first = (records.CONFIG_MODE, mode)  # other settings belong to a mode
        self.device = Device(port, replace(settings.device, configure=(first, *settings.device.configure)))
        self.server = GatewayServer(self.device, settings.gateway, Updater(self.device))
        self.elm = ElmServer(BoardLine(self.device), settings.elm) if settings.elm is not None else None
        self.status: StatusServer | None = None
        if settings.status_port is not None:
            self.status = StatusServer(self._report, settings.status_port)
        self.logs = Logs()
        self.stop = asyncio.Event()
        self.systemd = SystemdNotifier(self.trouble, self.status_line)
        self._parts = self._in_order()
        self._started_s = time.monotonic()
        self._unsubscribe: list[Unsubscribe] = []

    def _in_order(self) -> list[Part]:
        """In which they start, and stop: clients hear Disconnect after what they sent has gone out, then the board's
        port is closed, then the logs. The probe hears each frame after the gateway.
        """
        parts: tuple[Part | None, ...] = (
            self.server, self.elm, Probe(self.device), self.status, self.device, self.logs
        )  # fmt: skip
        return [part for part in parts if part is not None]

    def add_log(self, frame_log: FrameLog[BusFrame]) -> None:
        """Write each frame there, too; the bridge closes it in the end."""
        self.logs.writers.append(frame_log)
        self._unsubscribe.append(self.device.subscribe(frame_log))

    def add_messages(self, writer: FrameLog[str]) -> None:
        """A log of messages instead of frames; the bridge reopens, closes and reports on it."""
        self.logs.writers.append(writer)

    def run_events(self, events: EventRunner) -> None:
        """Start commands when their frames are seen; the bridge ends them in the end."""
        self._parts.insert(self._parts.index(self.logs), events)
        self._unsubscribe.append(self.device.subscribe(events))

    def on_event(self, callback: Callable[[BusEvent], None]) -> None:
        self._unsubscribe.append(self.device.subscribe_events(callback))

    async def start(self) -> None:
        """Serve clients and begin to look for the board. OSError: the TCP port is taken, or not ours."""
        self._started_s = time.monotonic()
        for part in self._parts:
            await part.start()

    def trouble(self) -> str:
        """What only a new start can mend; "" for nothing. A board that is away is no such thing: it is waited for."""
        return next((trouble for part in self._parts if (trouble := part.trouble())), "")

    def _report(self) -> dict[str, object]:
        return report(self._parts, time.monotonic() - self._started_s)

    def status_line(self) -> str:
        """For `systemctl status`."""
        device = self.device
        board = device.away or f"{device.port.name}: {device.state.value}"
        return f"{board}; {plural(len(self.server.sessions), 'client')} on port {self.server.port}"

    async def run(self) -> None:
        """Until `stop` is set. DeviceRefused: the board can't be worked with. DeviceFailed: a mistake of ours."""
        await self.device.run_until(self.stop)

    async def close(self) -> None:
        """Stop each part, also when another one fails at its end."""
        async with contextlib.AsyncExitStack() as stack:
            for part in reversed(self._parts):  # the last one pushed is called first
                stack.push_async_callback(part.stop)
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def listen_to_signals(self) -> None:
        """SIGINT and SIGTERM stop, SIGHUP reopens the logs, SIGUSR1 empties the queues of clients that have gone.

        Windows has only Ctrl-C, as KeyboardInterrupt.
        """
        loop = asyncio.get_running_loop()
        actions: dict[str, Callable[[], None]] = {
            "SIGINT": self.stop.set,
            "SIGTERM": self.stop.set,
            "SIGHUP": self.logs.reopen,
            "SIGUSR1": self.server.empty_queues,
        }
        for name, action in actions.items():
            number = getattr(signal, name, None)
            if number is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError):
                    loop.add_signal_handler(number, action)
