"""What the interpreter asks of the car's line, and what became of it. No I/O here.

Interpreter.operation --> back end --> Interpreter.heard() for each message, then completed(Outcome)
"""

from __future__ import annotations

from dataclasses import dataclass

STOPPED = "stopped"  # Outcome.error: it was cancelled
NOT_CONNECTED = "not_connected"  # Outcome.error: there is no session (any more)


@dataclass(frozen=True, slots=True)
class Initialise:
    """Wake the ECUs. kind: "slow" or "fast"; address: of the slow one; frame: StartCommunication without checksum.

    check_keys: key bytes of no known protocol are a failure.
    """

    kind: str
    address: int
    baud: int
    frame: bytes = b""
    check_keys: bool = True


@dataclass(frozen=True, slots=True)
class Bypass:
    """The line at this rate, and no session: requests go out without one."""

    baud: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send frame (its checksum is added) and hear what comes.

    first_ms  silence that ends it before anything came; 0: don't listen
    more_ms   silence after a message that ends it
    count     so many messages end it; 0: only silence does
    session   only within a session
    """

    frame: bytes
    first_ms: int
    more_ms: int
    count: int = 0
    session: bool = True


@dataclass(frozen=True, slots=True)
class Monitor:
    """Hear everything until it is cancelled. baud: of the line, where it isn't within a session."""

    baud: int
    session: bool = False


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """What keeps a session alive, and how often: 0 never; message without checksum, b"": the protocol's own."""

    interval_ms: int
    message: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """End the session politely."""


@dataclass(frozen=True, slots=True)
class Voltage:
    """The supply voltage, as Outcome.volts."""


Operation = Initialise | Bypass | Exchange | Monitor | KeepAlive | Close | Voltage


@dataclass(frozen=True, slots=True)
class Outcome:
    """error: "" for done, else a name of host_records.OBD_ERRORS, STOPPED, or another of openkline.errors.ObdError.

    alive: the session lives; key_bytes: of an Initialise; volts: of a Voltage, None where nothing is measured; gap_ms:
    of an Exchange, the longest time from one message to the next.
    """

    error: str = ""
    alive: bool = True
    key_bytes: bytes = b""
    volts: float | None = None
    gap_ms: int = 0
