"""One car: the tester on the board, asked from here.

    async with ObdSession(device, profile_name="golf") as car:
        await car.connect(progress=print)
        assembly = await car.request(b"\\x01\\x0c")

The board keeps the session alive and opens it again when it was lost; here it is opened again when the board restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from types import TracebackType

from kline.protocol.link import records, unpack
from kline.protocol.obd import kwp, requests, timing
from kline.protocol.obd.keybytes import KeyBytes
from kline.protocol.obd.multi import MultiPids
from openkline.device.device import Device
from openkline.device.state import DeviceSettings, State
from openkline.errors import DeviceRefused, ObdError
from openkline.obd import profile as profiles
from openkline.obd.calls import Done, ObdCalls, Progress
from openkline.obd.limits import LONGER, MOST_P2_MS, STANDARD_P2_MS, Limits
from openkline.obd.profile import Profile

SETTINGS = DeviceSettings(configure=((records.CONFIG_MODE, records.MODE_OBD),))  # of a Device for an ObdSession

# Each way takes up to 5 s, the second round comes after 5 s; a request may be initialised again, and the board listens
# for up to 60 s to an ECU that says 78 again and again.
_CONNECT_S = 90.0
_REQUEST_S = 100.0
_RAW_S = 20.0
_CLOSE_S = 3.0
_BOARD_S = 20.0  # a board that restarts needs some seconds

_USUAL_BAUD = 10_400
_LATE_P3_MS = 1000  # the board's, where an ECU answers no sooner
_ROUNDS = 2  # some ECUs don't answer the first time

Way = tuple[str, int]  # ("slow" or "fast", address)
WAYS: tuple[Way, ...] = (("slow", 0x33), ("fast", 0x33))


class ObdSession:
    """profile_name: under which the car is saved; "": it is not. car: what is known of it, None before connect().

    limits: of P1, P2, P3, W1, as a person sets them; what the profile remembers counts where they say nothing.

    multi    whether this car takes several PIDs in one request; None before connect()
    renewed  how often the session had to be opened again
    alive    the board believes that the car is there: not after silence several times in a row
    """

    def __init__(self, device: Device, profile_name: str = "", limits: Limits | None = None) -> None:
        self.calls = ObdCalls(device)
        self.profile_name = profile_name
        self.car: Profile | None = None
        self.multi: MultiPids | None = None
        self.renewed = 0
        self.alive = False
        self.limits = limits or Limits()
        self._told = Limits()  # what the board goes by
        self._late: set[str] = set()  # of P2, P3: what has been said
        self._fastest = False
        self._reopening = asyncio.Lock()
        self._how: tuple[tuple[Way, ...], int] = ((), 0)
        self._progress: Progress | None = None
        self._kept: Profile | None = None  # what the profile's file holds, or was to hold

    async def __aenter__(self) -> ObdSession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- the session with the car

    async def connect(
        self, ways: tuple[Way, ...] = (), baud: int = 0, progress: Progress | None = None, rounds: int = _ROUNDS
    ) -> Profile:
        """Find out what the car speaks. ways: what to try, in order; else the profile's way, then the usual ones.

        ObdError: what was tried, what happened, what to try. DeviceRefused: the firmware has no OBD.
        """
        known = await self._begin(progress)
        self._how = (ways, baud)
        if ways or known is None:
            done = await self._find(ways or WAYS, baud, rounds)
        else:
            done = await self._find_again(known, baud)
        self.alive = done.alive
        self.car = _profile(unpack.ObdFound(done.found))
        if known is not None and known.same_car(self.car):
            # What was found out about it still holds; how it was reached may have changed.
            self.car = dataclasses.replace(
                self.car, supported=known.supported, vin=known.vin, p2_ms=known.p2_ms, p3_ms=known.p3_ms
            )
        self.remember(self.car)
        self._notice(done)
        if not self.car.supported:
            self._say("the session is open, but 01 00 was refused or not answered: what the car supports is unknown")
        self.multi = MultiPids(KeyBytes(*self.car.key_bytes))
        return self.car

    async def initialise(self, ways: tuple[Way, ...] = (), baud: int = 0, progress: Progress | None = None) -> None:
        """Only initialise, whatever the key bytes are, and ask nothing: for raw(). Else as connect()."""
        known = await self._begin(progress)
        if not ways:
            first = () if known is None else ((known.kind, known.address),)
            ways = (*first, *(way for way in WAYS if way not in first))
        tried: list[str] = []
        for kind, address in ways:
            number = profiles.KINDS.index(kind)
            arguments = bytes((number, address)) + baud.to_bytes(2, "little") + bytes((records.INIT_ANY_KEY,))
            try:
                await self._call(records.OP_INIT, arguments, _CONNECT_S)
                return
            except ObdError as error:
                if error.name in ("no_echo", "stuck_low", "busy", "interrupted", "timeout", "bad_call"):
                    raise  # no other way would help
                tried.append(f"{kind} init of {address:02X}: {error}")
        raise ObdError("\n  ".join(["no way of initialisation worked.", *tried]), "no_car")

    async def _begin(self, progress: Progress | None) -> Profile | None:
        """What every connection begins with: the profile, which is returned, and the limits for the board."""
        info = self.calls.device.info
        if info is not None and not info.capabilities & records.CAN_OBD:
            raise DeviceRefused("the board's firmware has no OBD: update it")
        self._progress = progress
        if self._kept is None and self.profile_name:
            self._kept = profiles.load(self.profile_name)
        await self.tell_limits()
        return self._kept

    async def tell_limits(self) -> None:
        """To the board, where they are not the standard's."""
        known = self._kept
        limits = self.limits if known is None else self.limits.filled(known.p2_ms, known.p3_ms)
        if limits != Limits() or limits != self._told:
            arguments = bytes((records.TIMING_LIMITS,)) + limits.arguments()
            await self._call(records.OP_TIMING, arguments, _CLOSE_S)
            self._told = limits

    def _say(self, text: str) -> None:
        if self._progress is not None:
            self._progress(text)

    def _notice(self, done: Done) -> None:
        """Say and remember, once, that the car is slower than the standard has it."""
        if self.car is None:
            return
        p2_ms = self._told.p2 or STANDARD_P2_MS
        if done.late_p2 and "P2" not in self._late:
            self._late.add("P2")
            self._say(f"this car answers late, after more than {p2_ms} ms: from now on the wait is {p2_ms * LONGER} ms")
            self.remember(dataclasses.replace(self.car, p2_ms=min(p2_ms * LONGER, MOST_P2_MS)))
        if done.too_late and not self._late & {"P2", "too late"}:
            self._late.add("too late")
            self._say("something came after the wait had ended: try a longer --wait, such as --wait 1000")
        if done.late_p3 and "P3" not in self._late:
            self._late.add("P3")
            self._say(f"this car takes a request only {_LATE_P3_MS} ms after an answer: each value takes over a second")
            self.remember(dataclasses.replace(self.car, p3_ms=_LATE_P3_MS))

    def longer_ms(self) -> int:
        """How long to wait for answers where a question is repeated."""
        p2_ms = (self._told.p2 or STANDARD_P2_MS) * (LONGER if "P2" in self._late else 1)
        return max(STANDARD_P2_MS * LONGER, p2_ms)

    async def _find(self, ways: tuple[Way, ...], baud: int, rounds: int = _ROUNDS) -> Done:
        arguments = baud.to_bytes(2, "little")
        arguments += b"".join(bytes((profiles.KINDS.index(kind), address)) for kind, address in ways * rounds)
        return await self.calls.call(records.OP_CONNECT, arguments, timeout_s=_CONNECT_S, progress=self._progress)

    async def _find_again(self, known: Profile, baud: int) -> Done:
        """As it was reached before; and as any other car, as this may be one."""
        way = (known.kind, known.address)
        own_baud = known.baud if known.kind == "fast" and not baud else 0
        try:
            return await self._find((way, *(one for one in WAYS if one != way)), baud or own_baud)
        except ObdError as error:
            if error.name != "no_car" or own_baud in (0, _USUAL_BAUD):
                raise
        return await self._find(WAYS, 0)

    async def timing(self, fastest: bool = False) -> timing.Timing:
        """The times P2, P3, P4 that hold. fastest: ask for the shortest that the ECU offers (AccessTimingParameters).

        ObdError not_allowed: ISO 14230-4 fixes the times of address 33; refused or silent: the ECU
        has no such service.
        """
        which = records.TIMING_FASTEST if fastest else records.TIMING_READ
        found = timing.decode_access_timing((await self._call(records.OP_TIMING, bytes((which,)), _REQUEST_S)).found)
        if found is None:
            raise ObdError("the board's firmware does not report the times: update it", "failed")
        self._fastest = self._fastest or fastest
        return found

    def remember(self, car: Profile) -> None:
        """Keep what was found out."""
        if self.profile_name and car != self._kept:
            self._kept = car
            if not profiles.save(self.profile_name, car):
                self.profile_name = ""  # it has been said
        self.car = car

    async def close(self) -> None:
        """End the session with the car; nothing is raised."""
        with contextlib.suppress(ObdError):  # it ends by itself, 5 s after the last request
            await self.calls.call(records.OP_CLOSE, timeout_s=_CLOSE_S)

    async def keep_alive(self, on: bool) -> None:
        """Whether the board keeps the session alive between requests (it does by default)."""
        await self._call(records.OP_KEEP_ALIVE, bytes((on,)), _CLOSE_S)

    # -- requests

    async def request(self, data: bytes, p2_max_ms: int = 0) -> requests.Assembly:
        """Everybody's answers to service, PID ..; none at all is no error. p2_max_ms: 0 = the session's."""
        arguments = p2_max_ms.to_bytes(2, "little") + data
        renewed = self.renewed
        try:
            done = await self._call(records.OP_REQUEST, arguments, _REQUEST_S)
        except ObdError as error:
            # The board has restarted since connect(): what it knew of the car is gone.
            if error.name not in ("not_connected", "interrupted") or self.car is None:
                raise
            await self._open_again(renewed)
            done = await self._call(records.OP_REQUEST, arguments, _REQUEST_S)
        return assemble(data, done)

    async def _open_again(self, renewed: int) -> None:
        """Of two requests that find the session gone, one opens it again. renewed: what it was when it was made."""
        async with self._reopening:
            if self.renewed != renewed:
                return
            await self._board_is_back()
            multi = self.multi
            await self.connect(*self._how, self._progress)
            self.multi = multi
            self.renewed += 1
            if self._fastest:
                with contextlib.suppress(ObdError):  # the times of the standard hold
                    await self.timing(fastest=True)

    async def _board_is_back(self) -> None:
        try:
            await self.calls.device.wait_for(State.READY, timeout_s=_BOARD_S)
        except TimeoutError:
            raise ObdError(self.calls.device.away or "the connection to the board is gone", "interrupted") from None

    async def raw(
        self, data: bytes, *, checksum: bool = False, pulse: bool = False, silence_ms: int = 0
    ) -> list[unpack.ObdAnswer]:
        """Send bytes as they are and give whatever comes until silence: frames as they were. See OP_RAW."""
        flags = (records.RAW_CHECKSUM if checksum else 0) | (records.RAW_PULSE if pulse else 0)
        arguments = bytes((flags,)) + silence_ms.to_bytes(2, "little") + data
        return (await self._call(records.OP_RAW, arguments, _RAW_S)).answers

    async def _call(self, operation: int, arguments: bytes, timeout_s: float) -> Done:
        done = await self.calls.call(operation, arguments, timeout_s=timeout_s, progress=self._progress)
        self.renewed += done.renewed
        self.alive = done.alive
        self._notice(done)
        return done


def assemble(request: bytes, done: Done) -> requests.Assembly:
    """The answers of the last attempt, by ECU. Older firmware does not say its number: that of the last answer."""
    assembly = requests.Assembly(request)
    for answer in done.answers:
        if answer.attempt == (done.found[0] if done.found else done.answers[-1].attempt):
            assembly.add(kwp.Frame(answer.mode, answer.target, answer.source, answer.data))
    assembly.broken = done.damaged
    return assembly


def sender(answer: unpack.ObdAnswer) -> int:
    """The ECU that sent a frame that raw() has heard; -1: it has no addresses, or is none."""
    if answer.mode != records.ANSWER_WHOLE or kwp.address_mode(answer.data[0]) == kwp.NO_ADDRESS:
        return -1
    return answer.data[2]


def _profile(found: unpack.ObdFound) -> Profile:
    supported = tuple(requests.PidSet(found.supported).pids())
    kind = profiles.KINDS[found.kind]
    return Profile(kind, found.address, found.baud, found.key_bytes, tuple(found.ecus), supported)
