"""Live values of one car, round by round: the same cells in each round, and each cell of one ECU only."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from kline.protocol.obd import answers, multi, pids, requests, words
from openkline.obd.session import ObdSession

SILENT = "no answer"
DAMAGED = "only a damaged answer"
_PIDS_IN_A_BITMAP = 0x20


@dataclass(frozen=True, slots=True)
class Cell:
    """One quantity of one ECU in one round.

    ecu  its address & FF where several have the PID, else None
    why  the value is None: refused (with the reason), no answer ..; "" where it is the ECU's word
    """

    ecu: int | None
    value: pids.Value
    why: str = ""

    @property
    def name(self) -> str:
        """`RPM`, or `RPM@10` where several ECUs have it; `A6` of a PID that pids.py does not know."""
        return self.value.name if self.ecu is None else f"{self.value.name}@{self.ecu:02X}"


class RawValue(pids.Value):
    """Of a PID that pids.py does not know: data, the bytes that came; value: as one number."""

    __slots__ = ("data",)

    def __init__(self, pid: int, data: bytes) -> None:
        super().__init__(_raw_field(pid), int.from_bytes(data, "big"))
        self.data = data


def _raw_field(pid: int) -> pids.Field:
    return pids.Field(pid, 1, ["", f"{pid:02X}", "0", "0", "0", "1", "1", "0", ""])


def no_answer(pid: int, why: str = SILENT, ecu: int | None = None) -> list[Cell]:
    """The PID's cells without values."""
    return [Cell(ecu, pids.Value(field, None), why) for field in pids.fields(pid) or (_raw_field(pid),)]


Answers = dict[tuple[int, int], tuple[list[pids.Value], str]]  # by PID, and ECU's address & FF: values, else why not


class LiveValues:
    """Rounds of the PIDs `wanted`; begin() first.

    strangers  (PID, ECU) of answers that have no cell, because begin() did not hear of that ECU
    """

    def __init__(self, session: ObdSession, wanted: Iterable[int]) -> None:
        self.session = session
        self.wanted = tuple(dict.fromkeys(wanted))
        self.strangers: set[tuple[int, int]] = set()
        self._who: dict[int, list[int]] = {}

    async def begin(self) -> list[Cell]:
        """The cells that each round will have, without values. Asks a car with several ECUs which has what."""
        car = self.session.car
        ecus = sorted({ecu & 0xFF for ecu in car.ecus}) if car is not None else []
        have: dict[int, requests.PidSet] = {}
        if len(ecus) > 1:
            for base in sorted({max(pid - 1, 0) // _PIDS_IN_A_BITMAP * _PIDS_IN_A_BITMAP for pid in self.wanted}):
                for answer in (await self.session.request(bytes((requests.LIVE, base)))).positive():
                    have.setdefault(answer.ecu & 0xFF, requests.PidSet()).add_bitmap(base, answer.frames[0], 1)
        if not ecus:
            return self._cells(*await self._first_round())
        for pid in self.wanted:
            self._who[pid] = [ecu for ecu in sorted(have) if pid in have[ecu]] or ecus or [0xFF]
        return self._cells({}, set())

    async def _first_round(self) -> tuple[Answers, set[int]]:
        """No ECU has answered 01 00: those that have a value show it."""
        asked, damaged = await self._ask()
        for pid in self.wanted:
            self._who[pid] = sorted(ecu for one, ecu in asked if one == pid and not asked[one, ecu][1]) or [0xFF]
        return asked, damaged

    async def round(self) -> list[Cell]:
        """ObdError: the car, or the way to it, is gone."""
        asked, damaged = await self._ask()
        for pid, ecu in asked:
            if ecu not in self._who[pid] and not asked[pid, ecu][1]:
                self.strangers.add((pid, ecu))
        return self._cells(asked, damaged)

    def _cells(self, asked: Answers, damaged: set[int]) -> list[Cell]:
        cells = []
        for pid in self.wanted:
            ecus = self._who[pid]
            for ecu in ecus:
                values, why = asked.get((pid, ecu), ([], DAMAGED if pid in damaged else SILENT))
                named = ecu if len(ecus) > 1 else None
                cells += [Cell(named, value, why) for value in values] or no_answer(pid, why, named)
        return cells

    async def _ask(self) -> tuple[Answers, set[int]]:
        """(answers, PIDs where something came that was damaged). As many PIDs in one request as the ECU takes.

        The next request is on the board before it may be sent.
        """
        found: Answers = {}
        damaged: set[int] = set()
        left = list(self.wanted)
        several = self.session.multi
        if several is not None and several.takes:
            groups = [group for group in several.groups(left) if len(group) > 1]
            assemblies = await together(self.session.request(multi.request_of(group)) for group in groups)
            for group, assembly in zip(groups, assemblies, strict=True):
                if several.read(group, assembly.answers):
                    found.update(_taken_apart(group, assembly))
            answered = {pid for pid, _ in found}
            left = [pid for pid in left if pid not in answered]
        for pid, assembly in zip(
            left, await together(self.session.request(bytes((requests.LIVE, pid))) for pid in left), strict=True
        ):
            if assembly.broken:
                damaged.add(pid)
            for answer in assembly.answers:
                found[pid, answer.ecu & 0xFF] = _read(pid, answers.payload(assembly.request, answer) or b"", answer.nrc)
        return found, damaged


def _taken_apart(group: list[int], assembly: requests.Assembly) -> Answers:
    found: Answers = {}
    for answer in assembly.positive():
        for pid, data in (multi.split(answers.payload(assembly.request, answer) or b"", group) or {}).items():
            found.setdefault((pid, answer.ecu & 0xFF), _read(pid, data, 0))
    return found


def _read(pid: int, data: bytes, code: int) -> tuple[list[pids.Value], str]:
    if code:
        return [], f"refused ({words.refusal(code)})"
    if not pids.fields(pid) and data:
        return [RawValue(pid, data)], ""
    values = pids.decode(pid, data)
    return values, "" if values else f"the answer is too short: {data.hex(' ').upper()}"


async def together(asking: Iterable[Coroutine[Any, Any, requests.Assembly]]) -> list[requests.Assembly]:
    """Their results, in order; the first that fails ends all."""
    tasks = [asyncio.ensure_future(request) for request in asking]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
