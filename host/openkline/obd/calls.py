"""Calls to the board's OBD service: one OBD_CALL out, texts and answers in, until its OBD_END.

Layouts: kline/protocol/link/records.py, docs/link-protocol.md. A call that is cancelled here is cancelled on the
board. Two may be under way: the board begins the second when the first is done, with no time lost on the USB line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from kline.protocol.link import records, unpack
from openkline.device.device import Device, State
from openkline.errors import ObdError

Progress = Callable[[str], None]
OnAnswer = Callable[[unpack.ObdAnswer], None]

_ROOM_PAUSE_S = 0.02
_CANCEL_TIMEOUT_S = 2.0
_AT_ONCE = 2

_FAILURES = {
    records.END_CANCELLED: ("interrupted", "the request was broken off"),
    records.END_BUSY: ("failed", "the board is busy with another request: try again"),
    records.END_BAD_CALL: ("bad_call", "the board can't do that"),
    records.END_WRONG_MODE: (
        "wrong_mode",
        "the board did not change to OBD: messages for the I-Bus still wait there. Try again in some seconds",
    ),
    records.END_FAILED: ("failed", "the board's firmware failed: please report this"),
}


@dataclass(slots=True)
class Done:
    """How a call ended.

    alive    the session with the car lives
    renewed  it had to be initialised again
    damaged  of a request: something came that was no whole answer, so one may be missing
    """

    answers: list[unpack.ObdAnswer]
    found: bytes
    alive: bool
    renewed: bool
    damaged: bool


@dataclass(slots=True)
class _Call:
    ident: int
    done: asyncio.Future[Done]
    progress: Progress | None
    timeout_s: float
    on_answer: OnAnswer | None = None
    answers: list[unpack.ObdAnswer] = field(default_factory=list)
    error: bytes = b""


class ObdCalls:
    """The board's OBD service. It listens to the device's OBD records from here on."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._last = 0
        self._under_way: dict[int, _Call] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        device.serve(records.OBD_FIRST, records.OBD_LAST, self)

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
        async with self._room:
            self._last = self._last % 0xFFFF + 1
            call = _Call(self._last, asyncio.get_running_loop().create_future(), progress, timeout_s, on_answer)
            self._under_way[call.ident] = call
            try:
                async with asyncio.timeout(sum(one.timeout_s for one in self._under_way.values())):
                    out = bytearray(3 + len(arguments))
                    records.pack_obd_call(out, call.ident, operation, arguments)
                    await self._send(records.OBD_CALL, bytes(out))
                    return await asyncio.shield(call.done)
            except TimeoutError:
                await self._cancel(call)
                raise ObdError(f"the board gave no answer within {timeout_s:.0f} s", "timeout") from None
            except asyncio.CancelledError:
                await self._cancel(call)
                raise
            finally:
                del self._under_way[call.ident]
                call.done.cancel()

    async def _send(self, kind: int, payload: bytes) -> None:
        while not self.device.send_record(kind, payload):
            if self.device.state is not State.READY:
                raise ObdError(self.device.trouble or "the connection to the board is gone", "interrupted")
            await asyncio.sleep(_ROOM_PAUSE_S)

    async def _cancel(self, call: _Call) -> None:
        """Ask the board to stop, and give it a moment to say so: the next call would find it busy."""
        if not call.done.done() and self.device.send_record(records.OBD_CANCEL, call.ident.to_bytes(2, "little")):
            with contextlib.suppress(TimeoutError, ObdError):
                await asyncio.wait_for(asyncio.shield(call.done), _CANCEL_TIMEOUT_S)

    # -- device.Service

    def on_reset(self) -> None:
        for call in self._under_way.values():
            if not call.done.done():
                call.done.set_exception(ObdError("the board has restarted, or another program took it", "interrupted"))

    def on_record(self, kind: int, payload: bytes) -> None:
        call = self._under_way.get(int.from_bytes(payload[:2], "little"))
        if call is None or call.done.done():
            return
        n = len(payload)
        if kind == records.OBD_TEXT:
            _, what, text = unpack.unpack_obd_text(payload, 0, n)
            if what == records.TEXT_ERROR:
                call.error += text
            elif call.progress is not None:
                call.progress(text.decode("utf-8", "replace"))
        elif kind == records.OBD_ANSWER:
            (call.on_answer or call.answers.append)(unpack.unpack_obd_answer(payload, 0, n))
        elif kind == records.OBD_END:
            self._ended(call, unpack.unpack_obd_end(payload, 0, n))

    def _ended(self, call: _Call, end: unpack.ObdEnd) -> None:
        if end.code != records.END_DONE:
            call.done.set_exception(_failure(end.code, call.error.decode("utf-8", "replace")))
        elif end.flags & records.END_LOST_ANSWERS:
            call.done.set_exception(ObdError("the USB line could not take all answers: ask again", "failed"))
        else:
            flags = (records.END_ALIVE, records.END_RENEWED, records.END_DAMAGED)
            call.done.set_result(Done(call.answers, end.found, *(bool(end.flags & flag) for flag in flags)))


def _failure(code: int, text: str) -> ObdError:
    n = code - records.END_ERROR - 1
    if 0 <= n < len(records.OBD_ERRORS):
        return ObdError(_readable(text) or records.OBD_ERRORS[n].replace("_", " "), records.OBD_ERRORS[n])
    name, words = _FAILURES.get(code, ("failed", f"the board ended the request with code {code}"))
    return ObdError(f"{words} ({text})" if text else words, name)


def _readable(text: str) -> str:
    """Where several ways were tried: each on a line of its own, and once."""
    head, worked, tried = text.partition("worked. ")
    if not worked:
        return text
    return "\n  ".join([f"{head}worked.", *dict.fromkeys(way.strip() for way in tried.split(" / "))])
