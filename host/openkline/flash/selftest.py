"""The board greeted and asked: its versions, the link's round trips, its counters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from dataclasses import dataclass
from statistics import median

from kline.protocol.link import records
from kline.version import VERSION
from openkline.device.device import Device
from openkline.device.port import Port
from openkline.device.state import DeviceSettings, State
from openkline.device.welcome import BoardInfo
from openkline.flash.trouble import FlashError

HELLO_S = 40.0  # reset, boot window, and import of all modules on a slow chip
_AFTER_ERROR_S = 5.0  # the link starts the firmware once more when it sees a prompt
_ROUNDS = 10
_ROUND_S = 3.0
_ERRORS = ("rx_bad", "rx_gaps", "misread")  # of our end of the link; a few bytes of boot messages belong to none


@dataclass(frozen=True, slots=True)
class Result:
    """round_trip_ms: the median of ten; lost: those without an answer; errors: by the link's counters, above zero."""

    info: BoardInfo
    round_trip_ms: float
    errors: dict[str, int]
    counters: int


async def self_test(port: Port) -> Result:
    """FlashError: it does not answer as it should. DeviceRefused: its versions don't fit."""
    device = Device(port, DeviceSettings(backoff_min_s=0.1))
    said = _Said()
    await device.start()
    try:
        if not await _ready(device, said):
            words = f"; the board said: {said.last}" if said.last else ""
            raise FlashError(
                f"{port.name}: the board is flashed, but openkline does not answer{words}. "
                "Press its EN (or RST) button and run this again; if that does not help: openkline flash --erase"
            )
        info = device.info
        assert info is not None
        firmware = ".".join(map(str, info.firmware))
        if firmware != VERSION:
            raise FlashError(
                f"{port.name}: the board runs openkline {firmware} and not {VERSION}, which was copied: is there "
                "another kline on it (frozen, or in /lib)? Make a new file system: openkline flash --erase"
            )
        before = device.link.counters()
        times_ms = [await _round_trip(device) for _ in range(_ROUNDS)]
        after = device.link.counters()
        errors = {name: after[name] - before[name] for name in _ERRORS if after[name] > before[name]}
        return Result(info, median(times_ms), errors, len(device.board_counters))
    finally:
        said.close()
        await device.stop()
        await _closed()


async def _ready(device: Device, said: _Said) -> bool:
    end_s = time.monotonic() + HELLO_S
    while time.monotonic() < end_s and (not said.last or time.monotonic() < said.at_s + _AFTER_ERROR_S):
        with contextlib.suppress(TimeoutError):
            await device.wait_for(State.READY, timeout_s=0.5)
            return True
    return False


class _Said(logging.Handler):
    """The last line that the board has printed, but for MicroPython's greeting: of a traceback the one that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        self.at_s = 0.0
        self._logger = logging.getLogger("openkline.board")
        self._before = self._logger.level, self._logger.propagate
        self._logger.addHandler(self)
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False

    def close(self) -> None:
        self._logger.removeHandler(self)
        level, self._logger.propagate = self._before
        self._logger.setLevel(level)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().removeprefix("board: ")
        if re.match(r"\w+(Error|Interrupt|Exit)\b", text):
            self.last, self.at_s = text, time.monotonic()


async def _closed() -> None:
    """The port's closing is a task of its own; when this loop ends before it, the port stays open."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=5)


async def _round_trip(device: Device) -> float:
    """Milliseconds from asking for the counters to having them."""
    before_s = device.board_counted_s
    start_s = time.monotonic()
    sent = device.send_record(records.COUNTERS_REQUEST, b"")
    while device.board_counted_s == before_s:
        if time.monotonic() - start_s > _ROUND_S or not sent:
            raise FlashError(
                f"{device.port.name}: the board says hello, but does not answer within {_ROUND_S:.0f} s. "
                "Try another cable"
            )
        await asyncio.sleep(0.002)
    return (device.board_counted_s - start_s) * 1000
