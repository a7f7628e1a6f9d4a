"""Calls to a service of the board (OBD, probe, update): a record out, records in, until the board has ended the call.

    async with calls.begin(timeout_s) as call:
        await call.send(kind, payload)     as soon as the link has room
        record = await call.next()         what the board says to this call, in order

A call that is left by an exception (a failure, a cancelled task) before the board has ended it is cancelled there.
What the records hold is the business of the three users: obd/calls.py, doctor/calls.py, update/updater.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from openkline.device.device import Device
from openkline.device.state import State

_ROOM_PAUSE_S = 0.005
_BUSY_BACKLOG = 2  # with so many records on their way the USB line is never idle

T = TypeVar("T")


class Failure(enum.Enum):
    """Why a call got no answer."""

    GONE = "gone"  # no connection to send it over
    RESET = "reset"  # a new session: what was asked in the one before is not answered
    SILENT = "silent"  # not in time


class Call(Generic[T]):
    """One call: made by Calls.begin(). sent, ended: whether the board knows it, and whether it is done with it."""

    def __init__(self, calls: Calls[T], ident: int, timeout_s: float) -> None:
        self.ident = ident
        self.timeout_s = timeout_s
        self.sent = self.ended = False
        self._calls = calls
        self._records: deque[T] = deque()
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    async def send(self, kind: int, payload: bytes) -> None:
        """As soon as the link has room. Fails: GONE, unless the service is patient; RESET."""
        calls = self._calls
        device = calls.device
        while self._failure is None:
            if not (calls.patient and device.link.backlog >= _BUSY_BACKLOG) and device.send_record(kind, payload):
                self.sent = True
                return
            if not calls.patient and device.state is not State.READY:
                raise calls.failure(Failure.GONE, device.away or "the connection to the board is gone")
            await asyncio.sleep(_ROOM_PAUSE_S)
        raise self._failure

    async def next(self) -> T:
        """The next record of this call. Fails: RESET, after what came before it."""
        while not self._records:
            if self._failure is not None:
                raise self._failure
            await self._change()
        return self._records.popleft()

    @property
    def waiting(self) -> int:
        """Records that next() gives without waiting."""
        return len(self._records)

    @contextlib.asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """What is inside fails as SILENT when it takes longer."""
        async with self._calls.limit(seconds, seconds):
            yield

    async def end(self) -> None:
        """Wait until the board has ended it."""
        while not self.ended:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def hear(self, record: T, ends: bool) -> None:
        self._records.append(record)
        self.ended = self.ended or ends
        self._changed.set()

    def fail(self, failure: Exception) -> None:
        if not self.ended:
            self._failure = failure
            self.ended = True
            self._changed.set()


class Calls(Generic[T]):
    """One service of the board. It hears the device's records of these types from here on.

    first, last  the service's record types; all but an update's begin with the call's number, u16
    read         decodes a record; None: not for the caller. unpack.RecordError: too short, the link counts it
    ends         whether the board is done with the call when it has said this
    failure      makes the exception of a Failure and its words
    numbered     whether records carry the call's number
    at_once      calls that may be under way: the board begins the next as soon as one is done
    cancel       the record type that cancels a call, None: there is none; cancel_s: how long to wait for its end then
    patient      a pulled cable ends no call as long as the session may be resumed, and other records go first
    on_reset     called at each new session, after the calls have failed
    """

    def __init__(
        self,
        device: Device,
        first: int,
        last: int,
        *,
        read: Callable[[int, bytes], T | None],
        ends: Callable[[T], bool],
        failure: Callable[[Failure, str], Exception],
        numbered: bool = True,
        at_once: int = 1,
        cancel: int | None = None,
        cancel_s: float = 0.0,
        patient: bool = False,
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self.failure = failure
        self.patient = patient
        self._read, self._ends = read, ends
        self._numbered = numbered
        self._cancel_kind, self._cancel_s = cancel, cancel_s
        self._on_reset = on_reset
        self._last = 0
        self._under_way: dict[int, Call[T]] = {}
        self._room = asyncio.Semaphore(at_once)
        device.serve(first, last, self)

    @contextlib.asynccontextmanager
    async def begin(self, timeout_s: float = float("inf")) -> AsyncIterator[Call[T]]:
        """timeout_s: for this call; those before it have their own time."""
        async with self._room:
            self._last = self._last % 0xFFFF + 1
            call = self._under_way[self._last] = Call(self, self._last, timeout_s)
            try:
                async with self.limit(sum(one.timeout_s for one in self._under_way.values()), timeout_s):
                    yield call
            except BaseException:
                await self._cancel(call)
                raise
            finally:
                del self._under_way[call.ident]

    @contextlib.asynccontextmanager
    async def limit(self, seconds: float, told_s: float) -> AsyncIterator[None]:
        """What is inside fails as SILENT after `seconds`; the message says told_s."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            words = "" if self.device.state is State.READY else self.device.away
            raise self.failure(Failure.SILENT, words or f"the board gave no answer within {told_s:.0f} s") from None

    async def _cancel(self, call: Call[T]) -> None:
        """Ask the board to stop, and give it a moment to say so: the next call would find it busy."""
        if self._cancel_kind is None or not call.sent or call.ended:
            return
        payload = call.ident.to_bytes(2, "little") if self._numbered else b""
        if self.device.send_record(self._cancel_kind, payload) and self._cancel_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(call.end(), self._cancel_s)

    # -- device.Service

    def on_reset(self) -> None:
        for call in self._under_way.values():
            call.fail(self.failure(Failure.RESET, "the board has restarted, or another program took it"))
        self._on_reset()

    def on_record(self, kind: int, payload: bytes) -> None:
        numbered = self._numbered
        calls = [self._under_way.get(int.from_bytes(payload[:2], "little"))] if numbered else self._under_way.values()
        for call in calls:
            if call is not None and not call.ended and (record := self._read(kind, payload)) is not None:
                call.hear(record, self._ends(record))
