"""States, settings and counters of a Device (device.py)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.Enum):
    CLOSED = "closed"
    OPENING = "opening"
    GREETING = "greeting"
    READY = "ready"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """backoff_*  pause between two tries to open the port: it doubles from min to max
    resume_s      how long a session may be resumed after the board was last heard
    silence_s     an open port without an answer for so long is worth telling
    queue_limit   messages that wait at most; in_flight: that the board has at once
    patience_s    how long a message waits while there is no board
    wake          whether our messages may wake a sleeping car
    configure     (key, value) of CONFIGURE records, sent after each start of the board
    """

    backoff_min_s: float = 0.25
    backoff_max_s: float = 5.0
    resume_s: float = 30.0
    silence_s: float = 8.0
    queue_limit: int = 256
    in_flight: int = 2
    patience_s: float = 10.0
    wake: bool = True
    configure: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class DeviceCounters:
    frames: int = 0
    opened: int = 0
    open_failures: int = 0
    reboots: int = 0
    resumed: int = 0
    silences: int = 0
    callback_errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
