"""The bridge: a board, the gateway for TCP clients, and the logs, put together and run until something says stop.

    Port -> Device --frames--> FrameLog (stdout), FrameLog (file)
                   |          EventRunner --> commands
                   |-- Bus --> GatewayServer --> TCP clients
                   |-- BoardLine --> ElmServer --> apps, with the board in K-line mode
                   '---------> Probe --> StatusServer --> `openkline status`

This is the only place that knows all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from kline.protocol.link import records
from openkline.bridge.events import EventRunner
from openkline.bridge.health import Probe
from openkline.bridge.notify import SystemdNotifier
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

log = logging.getLogger("openkline.bridge.bridge")


@dataclass(slots=True)
class BridgeSettings:
    """status_port: where `openkline status` asks; None: nowhere; 0: any free one (tests)
    mode: records.MODE_.., what the board is told to do after each of its starts, whatever its board.json says
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
        self.stop = asyncio.Event()
        self.logs: list[FrameLog[Any]] = []
        self.events: EventRunner | None = None
        self.probe: Probe | None = None
        self.status: StatusServer | None = None
        self.systemd = SystemdNotifier(self.trouble, self.status_line)  # for systemd
        self.started_s = time.monotonic()
        self._unsubscribe: list[Unsubscribe] = []

    def add_log(self, frame_log: FrameLog[BusFrame]) -> None:
        """Write each frame there, too; the bridge closes it in the end."""
        self.logs.append(frame_log)
        self._unsubscribe.append(self.device.subscribe(frame_log))

    def add_messages(self, writer: FrameLog[str]) -> None:
        """A log that somebody else feeds; the bridge reopens and closes it, and tells how it is."""
        self.logs.append(writer)

    def run_events(self, events: EventRunner) -> None:
        """Start commands when their frames are seen; the bridge ends them in the end."""
        self.events = events
        self._unsubscribe.append(self.device.subscribe(events))

    def on_event(self, callback: Callable[[BusEvent], None]) -> None:
        self._unsubscribe.append(self.device.subscribe_events(callback))

    async def start(self) -> None:
        """Serve clients and begin to look for the board. OSError: the TCP port is taken, or not ours."""
        await self.server.start()
        if self.elm is not None:
            await self.elm.start()
        self.started_s = time.monotonic()
        self.probe = Probe(self.device)  # behind the gateway: a frame's latency has the writes to all clients in it
        self._unsubscribe.append(self.probe.close)
        if self.settings.status_port is not None:
            self.status = StatusServer(lambda: report(self), self.settings.status_port)
            await self.status.start()
        await self.device.start()

    def trouble(self) -> str:
        """What only a new start can mend; "" for nothing. A board that is away is no such thing: it is waited for."""
        if not self.server.is_serving:
            return "the gateway's port doesn't listen any more"
        if self.device.failure is not None:
            return f"the board's connection ended by an error of the bridge itself ({self.device.failure!r})"
        dead = next((frame_log for frame_log in self.logs if not frame_log.is_alive), None)
        return f"the log's thread has ended ({dead.stats()['name']})" if dead is not None else ""

    def status_line(self) -> str:
        """For `systemctl status`."""
        clients, device = len(self.server.sessions), self.device
        board = device.trouble or f"{device.port.name}: {device.state.value}"
        return f"{board}; {clients} client{'' if clients == 1 else 's'} on port {self.server.port}"

    async def run(self) -> None:
        """Until `stop` is set. DeviceRefused: the board can't be worked with. DeviceFailed: a mistake of ours."""
        await self.device.run_until(self.stop)

    async def close(self) -> None:
        """Clients are told Disconnect after what they sent has gone out; then the board's port, then the logs."""
        await self.server.stop()
        if self.elm is not None:
            await self.elm.stop()
        if self.status is not None:
            self.status.stop()
        try:
            await self.device.stop()
        finally:  # whatever goes wrong there, the logs are closed
            for unsubscribe in self._unsubscribe:
                unsubscribe()
            if self.events is not None:
                await self.events.close()
            for frame_log in self.logs:
                await asyncio.get_running_loop().run_in_executor(None, frame_log.close)

    def reopen_logs(self) -> None:
        for frame_log in self.logs:
            frame_log.reopen()

    def listen_to_signals(self) -> None:
        """SIGINT and SIGTERM stop, SIGHUP reopens the logs. Windows has only Ctrl-C, as KeyboardInterrupt."""
        loop = asyncio.get_running_loop()
        actions: dict[str, Callable[[], None]] = {
            "SIGINT": self.stop.set,
            "SIGTERM": self.stop.set,
            "SIGHUP": self.reopen_logs,
        }
        for name, action in actions.items():
            number = getattr(signal, name, None)
            if number is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError):
                    loop.add_signal_handler(number, action)
