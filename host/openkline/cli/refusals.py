"""Why a message that was handed to a bridge on this computer did not get onto the bus, as the bridge's status tells.

The gateway protocol has no results. Of a bridge on another computer nothing more is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openkline.bridge.status import fetch_beside

OBD_MODE = "the bridge is an ELM327 on a K-line: its board neither hears nor sends I-Bus frames"

# By the counter of the gateway's client (docs/status.md).
_REFUSED = {
    "read_only": "the bridge only lets clients listen (--read-only)",
    "denied": "a rule of the bridge forbids it (--deny; `openkline bridge -h`)",
    "too_long": "it is longer than a frame of the bus can be",
    "rate_limited": "the bridge takes no more messages from this client at the moment",
    "queue_full": "too many messages wait at the bridge",
    "late": "the bridge is ending",
}


async def reason(host: str, port: int, session_port: int, before: Mapping[str, Any] | None) -> tuple[str, str]:
    """(outcome, why) of this client's only message; ("", "") when nothing is known against it.

    before: the status from before it was sent, for what the board says of messages.
    """
    now = await fetch_beside(host, port)
    if now is None:
        return "", ""
    for client in now["gateway"]["clients"]:
        if client["port"] == session_port:
            for counter, why in _REFUSED.items():
                if client.get(counter):
                    return counter, why
    if now["elm327"] is not None:
        return "wrong_mode", OBD_MODE
    if now["device"]["state"] != "ready":
        return "no_board", now["device"]["trouble"] or "the board has not answered yet"
    return _of_board(before, now), ""


def _of_board(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> str:
    """How the only message since then ended; "": there were several, or none has ended."""
    earlier = before["transmit"]["outcomes"] if before is not None else {}
    ended = {
        outcome: count - earlier.get(outcome, 0)
        for outcome, count in now["transmit"]["outcomes"].items()
        if count > earlier.get(outcome, 0)
    }
    only = next(iter(ended), "")
    return only if before is not None and list(ended.values()) == [1] and only != "sent" else ""
