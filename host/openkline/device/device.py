"""The board as the PC sees it: a connection that comes back by itself, and a Bus for everybody else.

    CLOSED -> OPENING -> GREETING -> READY        start(); port open, HELLO sent; WELCOME came
                 ^  '-> WAITING <-'--'            the port can't be opened, or closed under us: again, after a pause
                 '---------'                      that doubles from 0.25 s to 5 s
    any -> REFUSED                                the board's versions don't fit: nothing to wait for
    any -> CLOSED                                 stop()

A pulled cable: the session is resumed when the same port is back within `resume_s` and the board has kept its state;
then nothing is lost and nothing is sent twice. Otherwise what the board had taken ends in `unknown_after_reset`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from kline.protocol.link import records
from kline.protocol.link.host_end import HOST_WINDOW
from openkline.bus import DEFAULT_PRIORITY, DEFAULT_TRIES, FrameCallback, TransmitResult, Unsubscribe
from openkline.device.connection import Connection
from openkline.device.link import BoardLink, BusEvent
from openkline.device.patience import Patience
from openkline.device.port import Port
from openkline.device.prompt import MANY_STARTS, NO_FIRMWARE
from openkline.device.queue import TransmitQueue
from openkline.device.repl import PROMPTS, ReplWaker, StartWatch, is_prompt
from openkline.device.services import Services
from openkline.device.state import DeviceCounters, DeviceSettings, DeviceState, State
from openkline.device.subscribers import EventCallback, Subscribers
from openkline.device.welcome import INFO_STATS, BoardInfo, check
from openkline.errors import DeviceRefused, DeviceUnusable

log = logging.getLogger("openkline.device.device")
board_log = logging.getLogger("openkline.board")

_TICK_S = 0.05
# Once the board is there, ticks only expire messages and acknowledge the last frames before a silence (the board
# repeats after 500 ms); on a busy bus both go along with what comes, at most every _BUSY_S. Few, because a processor
# that was asleep takes as long for a tick as for a frame.
_BUSY_S = 0.34
_BUSY_BYTES = HOST_WINDOW // 2  # or after so much, when the board has a backlog: it waits for our word after twice that
_QUIET_TICK_S = 0.4


class Device:
    """A board behind a Port. Implements openkline.bus.Bus."""

    def __init__(self, port: Port, settings: DeviceSettings | None = None) -> None:
        self.port = port
        self.settings = settings or DeviceSettings()
        self.counters = DeviceCounters()
        self.board_counters: dict[str, int] = {}
        self.board_counted_s = 0.0  # time.monotonic() when they came
        self.info: BoardInfo | None = None
        self.away = ""  # why there is no connection to the board, for a person; "" when there is
        self.queue = TransmitQueue(self.settings.queue_limit, self.settings.in_flight, self.settings.patience_s)
        self.link = BoardLink(self)
        self._states = DeviceState(port.name)
        self._task: asyncio.Task[None] | None = None
        self._connection = Connection(port, self.settings, self.counters, self)
        self._subscribers = Subscribers(self.counters)
        self.on_frame = self._subscribers.frame
        self._services = Services()
        self.serve = self._services.serve
        self.on_service_record = self._services.record
        self._repl = ReplWaker()
        self._starts = StartWatch()
        self.patience = Patience(self.settings.silence_s)
        self._lost_at_s: float | None = None
        self._was_ready = False
        self._pumped_s = 0.0
        self._pumped_at = 0  # bytes_in then

    # -- life

    @property
    def state(self) -> State:
        return self._states.state

    @property
    def refusal(self) -> DeviceRefused | DeviceUnusable | None:
        """Why this board can't be worked with."""
        return self._states.refusal

    @property
    def failure(self) -> Exception | None:
        """An error of this program that ended the connecting for good."""
        return self._states.failure

    async def start(self) -> None:
        """Begin to connect, and go on until stop(). Does not wait: see wait_for()."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="openkline device")

    async def stop(self) -> None:
        """Close the port, give each waiting message its result, end the virtual board."""
        task, self._task = self._task, None
        try:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        finally:
            self._connection.drop()
            self.queue.close()
            await self.port.close()
            self._states.set(State.CLOSED)

    async def wait_for(self, *states: State, timeout_s: float | None = None) -> State:
        """Wait for one. TimeoutError; DeviceRefused, DeviceUnusable, DeviceFailed when it never will come."""
        return await self._states.wait_for(*states, timeout_s=timeout_s)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. DeviceRefused, DeviceUnusable, DeviceFailed: there is nothing to wait for any more."""
        await self._states.run_until(stop)

    def trouble(self) -> str:
        """What only a new start of this program can mend; "" for nothing. A board that is away is waited for."""
        if self.failure is None:
            return ""
        return f"the board's connection ended by an error of the bridge itself ({self.failure!r})"

    def stats(self) -> dict[str, dict[str, object]]:
        """For `openkline status` (docs/status.md): the sections device, link, board, transmit."""
        device: dict[str, object] = {
            "port": self.port.name,
            "state": self.state.value,
            "trouble": str(self.refusal) if self.refusal is not None else self.away,
            **(self.info.stats() if self.info is not None else dict.fromkeys(INFO_STATS)),
            **self.counters.stats(),
            **self.link.clock.stats(),
        }
        age_s = round(time.monotonic() - self.board_counted_s, 3) if self.board_counters else None
        return {
            "device": device,
            "link": dict(self.link.counters()),
            "board": {"age_s": age_s, **self.board_counters},
            "transmit": self.queue.stats(),
        }

    # -- the Bus

    @property
    def firmware_version(self) -> tuple[int, int, int] | None:
        return self.info.firmware if self.info is not None else None

    def subscribe(self, callback: FrameCallback) -> Unsubscribe:
        return self._subscribers.subscribe(callback)

    def subscribe_events(self, callback: EventCallback) -> Unsubscribe:
        return self._subscribers.subscribe_events(callback)

    def transmit(
        self,
        body: bytes,
        *,
        priority: int = DEFAULT_PRIORITY,
        max_tries: int = DEFAULT_TRIES,
        deadline_ms: int = 0,
    ) -> asyncio.Future[TransmitResult]:
        future = self.queue.submit(body, priority, max_tries, deadline_ms)
        if self._states.state is State.READY:
            self._pump()
        return future

    def send_record(self, kind: int, payload: bytes) -> bool:
        """A sequenced record to the board. False: not ready, or no room now."""
        sent = self._states.state is State.READY and self.link.send(kind, payload)
        self._pump()
        return sent

    async def _run(self) -> None:
        try:
            await self._connection.run()
        except DeviceUnusable as error:
            self.away = str(error)
            self._states.refuse(error)
            self.queue.close()
            self._states.set(State.REFUSED)
        except Exception as error:
            log.exception("%s: the connection to the board has failed", self.port.name)
            self._states.failure = error
            self.queue.close()
            self._states.set(State.CLOSED)
        else:
            self._states.set(State.REFUSED)

    # -- the connection (connection.User)

    def on_opening(self) -> None:
        self._states.set(State.OPENING)

    def on_open(self) -> None:
        self._give_up_session()
        self._repl.reset()
        self.away = ""
        self._was_ready = False
        self._greet()
        self.link.open(resume=self._lost_at_s is not None)
        self.on_tick()

    def on_received(self, data: bytes) -> None:
        self.counters.bytes_in += len(data)
        now_s = time.monotonic()
        session = self._states.state is State.READY  # before: what came ahead of a WELCOME is over with it
        if not self.link.feed(data, now_s) and (sign := self._starts.seen(data)):
            self._restarts(sign, session)
        if now_s - self._pumped_s >= _BUSY_S or self.counters.bytes_in - self._pumped_at >= _BUSY_BYTES:
            self.on_tick()
        elif self.link.urgent():
            self._pump()

    def _restarts(self, sign: bytes, session: bool) -> None:
        """The board has left the session `session`: it starts, or shows the prompt."""
        if sign not in PROMPTS and self.patience.board_starts():
            self.on_trouble(f"{self.port.name}: {self.patience.trouble.why or MANY_STARTS}")
        if session and self._states.state is State.READY:
            self.link.open(resume=True)

    def on_tick(self) -> None:
        self._connection.tick_in(_QUIET_TICK_S if self._states.state is State.READY else _TICK_S)
        self.queue.expire(self._states.state is State.READY)
        if self._states.state is State.GREETING:
            if self._give_up_session():
                self.link.open(resume=False)
            if self.patience.over():
                self._silent()
        self._pump()

    def on_closed(self) -> bool:
        self._lose()
        self.link.close()
        return self._was_ready

    def on_trouble(self, text: str) -> None:
        if text != self.away:
            self.away = text
            log.warning("%s; trying again", text)

    def on_pause(self) -> None:
        self._states.set(State.WAITING)
        self.queue.expire(board_is_there=False)
        self._give_up_session()

    def _greet(self) -> None:
        self.patience.begin()
        self._states.set(State.GREETING)

    def _lose(self) -> None:
        """The board no longer answers; from now on the session may be resumed for a while."""
        if self._states.state is State.READY:
            self._lost_at_s = time.monotonic()

    def _give_up_session(self) -> bool:
        """After too long: results are no longer waited for, and the next session is a new one."""
        if self._lost_at_s is None or time.monotonic() - self._lost_at_s < self.settings.resume_s:
            return False
        self._lost_at_s = None
        self.queue.abandon_in_flight()
        return True

    def _silent(self) -> None:
        self.patience.begin()
        self.counters.silences += 1
        self.on_trouble(f"{self.port.name}: {self.patience.trouble.why or NO_FIRMWARE}")

    def _hand_over(self) -> None:
        if self._states.state is not State.READY:
            return
        while self.queue and self.link.has_room() and (message := self.queue.take()) is not None:
            self.link.transmit(message, self.settings.wake)

    def _pump(self) -> None:
        self._hand_over()
        room = self._connection.room
        if room > 0:
            self._pumped_s = time.monotonic()
            self._pumped_at = self.counters.bytes_in
            self._connection.write(self.link.pump(self._pumped_s, room))
        if self.queue or self.link.backlog:
            self._connection.tick_soon(_TICK_S)

    # -- what the board says (boardlink.Listener)

    def on_welcome(self, info: BoardInfo, resumed: bool) -> None:
        try:
            warnings = check(info)
        except DeviceRefused as error:
            self._states.refuse(error)
            self._connection.finish()
            return
        before, self.info = self.info, info
        self.queue.max_frame = info.max_frame
        rebooted = before is not None and before.boot_id != info.boot_id
        self.counters.reboots += rebooted
        self.counters.resumed += resumed
        if not resumed:
            self.queue.abandon_in_flight()
            self.link.configure(self.settings.configure)
        self._lost_at_s = None
        self._was_ready = True
        self.patience.answered()
        self.away = ""
        if before is None or rebooted:
            log.info("%s: %s%s", self.port.name, info, " (it has restarted)" if rebooted else "")
            for warning in warnings:
                log.warning("%s", warning)
        else:
            log.info("%s: the board is back%s", self.port.name, ", nothing lost" if resumed else "")
        self._states.set(State.READY)
        if not resumed:
            self._services.reset()

    def on_silent(self) -> None:
        if self._states.state is State.READY:
            self._lose()
            self._greet()

    def on_result(self, id: int, result: TransmitResult) -> None:
        self.queue.result(id, result)
        self._hand_over()

    def on_event(self, event: BusEvent) -> None:
        if event.name == "tx_flushed":
            self.queue.abandon_in_flight()  # the board no longer knows which they were: no RESULT will come
            self._hand_over()
        self._subscribers.event(event)

    def on_counters(self, counters: dict[str, int]) -> None:
        self.board_counters = counters
        self.board_counted_s = time.monotonic()

    def on_configured(self, key: int, ok: bool, value: int) -> None:
        if key == records.CONFIG_MAX_FRAME:
            self.queue.max_frame = value
        if not ok and dict(self.settings.configure).get(key) != value:
            log.warning("the board refused setting %d; it keeps %d", key, value)

    def on_text(self, line: str) -> None:
        keys = self._repl.seen(line, time.monotonic()) if self._states.state is State.GREETING else b""
        if self._states.state is State.GREETING and (why := self.patience.trouble.seen(line)):
            self.on_trouble(f"{self.port.name}: {why}")
        if keys:
            log.info("%s: the board is at MicroPython's prompt: starting its firmware", self.port.name)
            self._connection.write(keys)
        board_log.log(logging.DEBUG if is_prompt(line) else logging.INFO, "board: %s", line)
