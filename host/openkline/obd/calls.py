"""Calls to the board's OBD service: one OBD_CALL out, texts and answers in, until its OBD_END.

Layouts: kline/protocol/link/records.py, docs/link-protocol.md. A call that is cancelled here is cancelled on the
board. Two may be under way: the board begins the second when the first is done, with no time lost on the USB line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kline.protocol.link import host_records, records, unpack
from openkline.device.calls import Call, Calls, Failure
from openkline.device.device import Device
from openkline.errors import ObdError

Progress = Callable[[str], None]
OnAnswer = Callable[[unpack.ObdAnswer], None]
Said = tuple[int, int, bytes] | unpack.ObdAnswer | unpack.ObdEnd  # the tuple: number, kind of text, text

_CANCEL_TIMEOUT_S = 2.0
_AT_ONCE = 2
_NAMES = {Failure.GONE: "interrupted", Failure.RESET: "interrupted", Failure.SILENT: "timeout"}
_FAILURES = {
    records.END_CANCELLED: ("interrupted", "the request was aborted"),
    records.END_BUSY: ("failed", "the board is busy with another request: try again"),
    records.END_BAD_CALL: ("bad_call", "the board can't do that"),
    records.END_WRONG_MODE: (
        "wrong_mode",
        "the board did not change to OBD: messages for the I-Bus still wait there. Try again in a few seconds",
    ),
    records.END_FAILED: ("failed", "the board's firmware failed: please report this"),
}


@dataclass(slots=True)
class Done:
    """How a call ended.

    alive    the session with the car lives
    renewed  it had to be initialised again
    damaged  of a request: something came that was no whole answer, so one may be missing
    late_p2, late_p3  the car answers after P2max; only requests that come 1 s after an answer
    too_late          something came when a request without an answer was waited for no more
    """

    answers: list[unpack.ObdAnswer]
    found: bytes
    alive: bool
    renewed: bool
    damaged: bool
    late_p2: bool = False
    late_p3: bool = False
    too_late: bool = False


class ObdCalls:
    """The board's OBD service. It listens to the device's OBD records from here on."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._calls: Calls[Said] = Calls(
            device,
            records.OBD_FIRST,
            records.OBD_LAST,
            read=_read,
            ends=lambda said: isinstance(said, unpack.ObdEnd),
            failure=lambda why, words: ObdError(words, _NAMES[why]),
            at_once=_AT_ONCE,
            cancel=records.OBD_CANCEL,
            cancel_s=_CANCEL_TIMEOUT_S,
        )

    async def call(
        self,
        operation: int,
        arguments: bytes = b"",
        *,
        timeout_s: float,
        progress: Progress | None = None,
        on_answer: OnAnswer | None = None,
    ) -> Done:
        """ObdError: what went wrong, in words for a person; also when the board went away meanwhile.

        on_answer gets each answer when it comes; then none are kept.
        """
        async with self._calls.begin(timeout_s) as call:
            out = bytearray(3 + len(arguments))
            records.pack_obd_call(out, call.ident, operation, arguments)
            await call.send(records.OBD_CALL, bytes(out))
            answers: list[unpack.ObdAnswer] = []
            end, error = await _listen(call, on_answer or answers.append, progress)
        if end.code != records.END_DONE:
            raise _failure(end.code, error)
        if end.flags & records.END_LOST_ANSWERS:
            raise ObdError("the USB line could not carry all answers: ask again", "failed")
        return Done(answers, end.found, *flags_of(end.flags))


def flags_of(flags: int) -> tuple[bool, ...]:
    """OBD_END's, in Done's order."""
    late = (records.END_LATE_P2, records.END_LATE_P3, records.END_TOO_LATE)
    names = (records.END_ALIVE, records.END_RENEWED, records.END_DAMAGED, *late)
    return tuple(bool(flags & flag) for flag in names)


def _read(kind: int, payload: bytes) -> Said | None:
    n = len(payload)
    if kind == records.OBD_TEXT:
        return unpack.unpack_obd_text(payload, 0, n)
    if kind == records.OBD_ANSWER:
        return unpack.unpack_obd_answer(payload, 0, n)
    return unpack.unpack_obd_end(payload, 0, n) if kind == records.OBD_END else None


async def _listen(call: Call[Said], on_answer: OnAnswer, progress: Progress | None) -> tuple[unpack.ObdEnd, str]:
    """Until OBD_END: that, and the error's text."""
    error = b""
    while True:
        said = await call.next()
        if isinstance(said, unpack.ObdEnd):
            return said, error.decode("utf-8", "replace")
        if isinstance(said, unpack.ObdAnswer):
            on_answer(said)
        elif said[1] == records.TEXT_ERROR:
            error += said[2]
        elif progress is not None:
            progress(said[2].decode("utf-8", "replace"))


def _failure(code: int, text: str) -> ObdError:
    n = code - records.END_ERROR - 1
    if 0 <= n < len(host_records.OBD_ERRORS):
        return ObdError(_readable(text) or host_records.OBD_ERRORS[n].replace("_", " "), host_records.OBD_ERRORS[n])
    name, words = _FAILURES.get(code, ("failed", f"the board ended the request with code {code}"))
    return ObdError(f"{words} ({text})" if text else words, name)


def _readable(text: str) -> str:
    """Where several ways were tried: each on a line of its own, and once."""
    head, worked, tried = text.partition("worked. ")
    if not worked:
        return text
    return "\n  ".join([f"{head}worked.", *dict.fromkeys(way.strip() for way in tried.split(" / "))])
