"""What a mechanic asks, of an ObdSession: supported PIDs, monitors, trouble codes, freeze frames, VIN, test results.

The questions are those of kline/protocol/obd/questions.py, which the board asks as well: there is what each returns.
ObdError refused, silent or damaged: there is no answer. For live values see live.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from kline.protocol.link import host_records
from kline.protocol.obd import answers, pids, questions, requests, results, words
from kline.protocol.obd.answers import MonitorStatus
from openkline.errors import ObdError
from openkline.obd.live import Cell, no_answer
from openkline.obd.session import ObdSession

T = TypeVar("T")

_STANDARD = 0x1C


class Diagnostics:
    """damaged: in spite of repetitions an answer was damaged: an ECU may have said what is missing from a result.

    refused  {request: why} of those that no ECU has answered, and one has refused
    forms    {ecu: bytes} of answers to the newest question that have a form not known here
    """

    def __init__(self, session: ObdSession) -> None:
        self.session = session
        self.damaged = False
        self.refused: dict[bytes, int] = {}
        self.forms: dict[int, str] = {}
        self._asked: dict[bytes, requests.Assembly] = {}

    async def _ask(self, question: questions.Question[T]) -> T:
        """What the question returns. ObdError: there is no answer."""
        asked = self._asked = {}
        try:
            request = next(question)
            while True:
                longer_ms = self.session.longer_ms() if request in asked else 0  # a second round waits longer
                asked[request] = await self.session.request(request, longer_ms)
                request = question.send(asked[request])
        except StopIteration as end:
            answer: T = end.value
            return answer
        except questions.NoAnswer as error:
            raise _error(error) from None
        finally:
            self.damaged = self.damaged or any(assembly.broken for assembly in asked.values())
            for assembly in asked.values():
                best = assembly.best()
                if best is not None and best.nrc:
                    self.refused[assembly.request] = best.nrc

    def _known(self) -> tuple[int, ...]:
        """The ECUs that this car has."""
        return self.session.car.ecus if self.session.car is not None else ()

    async def supported(self) -> requests.PidSet:
        """PIDs of mode 01, of all ECUs together; asked once for a car, then its profile knows."""
        car = self.session.car
        have = car.pids() if car is not None else requests.PidSet()
        before = have.bits()
        damaged, self.damaged = self.damaged, False
        try:
            await self._ask(questions.supported(have))
            if car is not None and not self.damaged and have.bits() != before:
                self.session.remember(dataclasses.replace(car, supported=tuple(have.pids())))
        finally:
            self.damaged = self.damaged or damaged
        return have

    async def monitors(self) -> dict[int, MonitorStatus]:
        return await self._ask(questions.monitors())

    async def codes(self, service: int = requests.STORED) -> tuple[dict[int, list[str]], bool]:
        """({ecu: codes}, certain)"""
        found = await self._ask(questions.codes(service, self._known()))
        self._keep_forms(bytes((service,)), answers.odd)
        return found

    def _keep_forms(self, request: bytes, strange: Callable[[requests.Answer], bool]) -> None:
        service = bytes((request[0] | 0x40,))
        self.forms = {
            answer.ecu: " / ".join((service + frame).hex(" ").upper() for frame in answer.frames)
            for answer in self._asked[request].positive()
            if strange(answer)
        }

    async def clear(self) -> dict[int, int | None]:
        """{ecu: nrc, 0 = done, None = it said nothing}"""
        return await self._ask(questions.clear(self._known()))

    async def freeze_frames(self) -> dict[int, tuple[str, list[Cell]]]:
        """{ecu: (code that stored its frame, values)}; {} where all that answer say that they have none."""
        found = await self._ask(questions.freeze_frames())
        return {ecu: (code, _cells(values)) for ecu, (code, values) in found.items()}

    async def vins(self) -> dict[int, str]:
        """In order of address: an ECU that comes from another car gives that one's."""
        found = dict(sorted((await self._ask(questions.vins())).items()))
        self._keep_forms(b"\x09\x02", lambda answer: answer.ecu not in found)
        car, vin = self.session.car, next(iter(found.values()), "")
        if vin and car is not None and car.vin != vin:
            self.session.remember(dataclasses.replace(car, vin=vin))
        return found

    async def calibration_ids(self) -> dict[int, list[str]]:
        return await self._ask(questions.calibration_ids())

    async def calibration_numbers(self) -> dict[int, list[str]]:
        """CVN, the checksum of each calibration, as hexadecimal."""
        return await self._ask(questions.calibration_numbers())

    async def ecu_names(self) -> dict[int, str]:
        return await self._ask(questions.ecu_names())

    async def standard(self) -> str:
        """Which OBD standard the car says that it keeps; "" where it doesn't. ObdError: the answer was damaged."""
        try:
            (value,) = await self._ask(questions.live(_STANDARD))
        except ObdError as error:
            if error.name == "damaged":
                raise
            return ""
        return words.describe(_STANDARD, bytes((int(value.value or 0),)))[0]

    async def oxygen_tests(self) -> dict[int, list[tuple[str, results.O2Result]]]:
        """Mode 05: {ecu: [(sensor's name, result)]}"""
        return await self._ask(results.oxygen_tests())

    async def monitor_tests(self) -> dict[int, list[results.TestResult]]:
        """Mode 06: {ecu: results}"""
        return await self._ask(results.monitor_tests())


def _error(error: questions.NoAnswer) -> ObdError:
    asked = error.request.hex(" ").upper()
    clear = error.request[0] == requests.CLEAR
    if error.why == questions.REFUSED:
        text = f"the ECU refused {asked}: {words.refusal(error.nrc)}"
    elif error.why == questions.DAMAGED and clear:
        text = "the answer to the request to clear was damaged: read the codes to see whether they are gone"
    elif error.why == questions.DAMAGED:
        text = f"an answer to {asked} was damaged, or noise came instead. Try again"
    elif clear:
        text = "no ECU answered the request to clear: read the codes to see whether they are gone"
    else:
        text = f"no ECU answered {asked}: the car may not have it"
    return ObdError(text, host_records.OBD_ERRORS[error.why - 1])


def _cells(values: dict[int, list[pids.Value]]) -> list[Cell]:
    cells: list[Cell] = []
    for pid in sorted(values):
        cells += [Cell(None, value) for value in values[pid]] or no_answer(pid)
    return cells
