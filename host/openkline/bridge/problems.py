"""What is wrong with a running bridge, in words that say what to look at. Made from the object of report.py alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openkline.words import plural

_QUIET_S = 10.0
_NOISY_SHARE = 0.01  # of the bytes on the wire: less is what a car's wire does
_WORN_SHARE = 0.001  # of the records on the USB line


def problems(status: Mapping[str, Any]) -> list[str]:
    """One sentence each, the gravest first; empty: nothing is wrong that the bridge could know of."""
    return [*_of_device(status), *_of_bus(status), *_of_transmit(status), *_of_clients(status), *_of_logs(status)]


def _of_device(status: Mapping[str, Any]) -> Iterator[str]:
    device, link = status["device"], status["link"]
    if device["state"] != "ready":
        yield device["trouble"] or f"the board has not answered yet ({device['port']} is {device['state']})"
    unasked = device["reboots"] - _updates(status["gateway"])
    if unasked > 0:
        yield f"the board has restarted {_times(unasked)}: look at its power supply"
    if link["rx_bad"] > max(3, link["rx_records"] * _WORN_SHARE):
        damaged = plural(link["rx_bad"], "damaged record")
        yield f"{damaged} on the USB line (sent again, nothing is lost): try another cable or port"
    if link["misread"]:
        misread = plural(link["misread"], "record")
        yield f"{misread} from the board could not be read: does its firmware have another version?"
    if device["callback_errors"]:
        errors = plural(device["callback_errors"], "error")
        yield f"{errors} in the bridge itself: please report the tracebacks in its messages"


def _updates(gateway: Mapping[str, Any]) -> int:
    """Restarts that clients' updates have led to. One that did not start leads to another: that one is worth a look."""
    return sum(client.get("updates", 0) for client in (*gateway["clients"], gateway.get("past_clients", {})))


def _of_bus(status: Mapping[str, Any]) -> Iterator[str]:
    bus, board = status["bus"], status["board"]
    event = bus["last_event"]["name"] if bus.get("last_event") else ""
    silent_s = status["uptime_s"] if bus.get("silent_s") is None else bus["silent_s"]
    if event == "bus_stuck_low":
        yield "the bus is held low: a short circuit, a module that hangs, or our transistor inverted (tx_invert)"
    elif status["device"]["state"] == "ready" and not bus.get("frames") and silent_s > _QUIET_S:
        yield "the board answers, but nothing was heard on the bus: is the car awake, are wire and ground connected?"
    lost = board.get("dropped_bytes", 0)
    if lost > 100 and lost > board.get("rx_bytes", 0) * _NOISY_SHARE:
        yield (
            f"{lost} of {plural(board['rx_bytes'], 'byte')} on the wire belong to no valid frame: "
            "a bad contact, noise, or the wrong wire"
        )
    if overflow := board.get("rx_full", 0) + board.get("rx_uart_full", 0):
        yield f"the board could not keep up {_times(overflow)}, bytes of the bus are lost"
    if unsent := board.get("link_queue_full", 0) + board.get("link_abandoned", 0):
        yield f"the board gave up {plural(unsent, 'record')}, frames among them, because no bridge took them"


_OUTCOME_WORDS = {
    "no_echo": "were not heard back on the wire: check the transmitting half of the wiring",
    "collision_limit": "lost every try against other senders: is the wire noisy?",
    "bus_stuck_low": "found the bus held low",
    "bus_busy": "were too old before the bus was free",
    "dropped": "were dropped: too many waited, no board, or longer than --max-frame allows",
    "asleep": "were not sent because the car sleeps",
    "rate_limited": "were more than --max-rate allows",
    "unknown_after_reset": "may or may not have been sent: the board went away meanwhile",
}


def _of_transmit(status: Mapping[str, Any]) -> Iterator[str]:
    outcomes = status["transmit"]["outcomes"]
    for outcome, words in _OUTCOME_WORDS.items():
        if n := outcomes.get(outcome, 0):
            yield f"{plural(n, 'message')} of ours {words if n > 1 else words.replace('were ', 'was ', 1)}"


def _of_clients(status: Mapping[str, Any]) -> Iterator[str]:
    gateway = status["gateway"]
    counters = gateway["counters"]
    if n := counters["full"]:
        yield f"the gateway was full {_times(n)}: -c lets in more than {gateway['max_clients']}"
    if n := counters["slow"]:
        yield f"clients that did not read were dropped {_times(n)}"
    if n := counters["timeouts"]:
        yield f"clients that sent no Ping in time were closed {_times(n)}"
    if n := counters["outboxes_dropped"]:
        yield f"gave up {plural(n, 'message')} of clients long gone"
    for client in gateway["clients"]:
        if refused := _refused(client):
            yield f"client on port {client['port']}: messages refused ({refused})"
    if refused := _refused(gateway.get("past_clients", {})):
        yield f"clients that have left: messages refused ({refused})"


def _refused(counters: Mapping[str, Any]) -> str:
    return ", ".join(f"{counters[name]} {name.replace('_', ' ')}" for name in REFUSALS if counters.get(name))


REFUSALS = ("read_only", "too_long", "denied", "rate_limited", "queue_full", "late")


def _of_logs(status: Mapping[str, Any]) -> Iterator[str]:
    for frame_log in status["logs"]:
        missing = frame_log["dropped"] + frame_log["failed"]
        lines = plural(missing, "line is missing", "lines are missing")
        if frame_log["state"] == "failing":
            yield f"{frame_log['name']} can't be written (is the disk full?); {lines} there"
        elif missing:
            yield f"{frame_log['name']}: {lines}, the disk was too slow"


def _times(n: int) -> str:
    return "once" if n == 1 else plural(n, "time")
