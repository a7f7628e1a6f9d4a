"""What a mechanic asks, of an ObdSession: monitors, trouble codes, freeze frames, VIN. See live.py, too.

Results that several ECUs have are dicts by ECU address (-1: its frames carry none). Nothing here mistakes a refusal or
silence for a value.
"""

from __future__ import annotations

import dataclasses

from kline.protocol.obd import nrc, pids, requests, results
from kline.protocol.obd.words import MonitorStatus, describe, monitor_status
from openkline.errors import ObdError
from openkline.obd.live import Cell, no_answer
from openkline.obd.session import ObdSession

_TRIES = 3
_LAST_BITMAP = 0xE0
_STANDARD = 0x1C


class Diagnostics:
    """damaged: in spite of repetitions an answer was not whole, so what nobody has said may have been said."""

    def __init__(self, session: ObdSession) -> None:
        self.session = session
        self.damaged = False

    async def _ask(self, request: bytes) -> requests.Assembly:
        assembly = await self.session.request(request)
        self.damaged = self.damaged or assembly.broken
        return assembly

    async def supported(self) -> requests.PidSet:
        """PIDs of mode 01, of all ECUs together; asked once for a car, then its profile knows."""
        car = self.session.car
        have = car.pids() if car is not None else requests.PidSet()
        before = have.bits()
        whole = True
        base = 0
        while base <= _LAST_BITMAP and (base in have or not base):
            if not any(base < pid <= base + 0x20 for pid in have.pids()):
                assembly = await self._ask(bytes((requests.LIVE, base)))
                whole = whole and not assembly.broken
                for answer in assembly.positive():
                    have.add_bitmap(base, answer.frames[0], 1)
            base += 0x20
        if car is not None and whole and have.bits() != before:
            self.session.remember(dataclasses.replace(car, supported=tuple(have.pids())))
        return have

    # -- monitors and codes

    async def monitors(self) -> dict[int, MonitorStatus]:
        """Of those ECUs that have PID 01."""
        found = {}
        for answer in (await self._ask(b"\x01\x01")).positive():
            one = monitor_status(answer.frames[0], 1)
            if one is not None:
                found[answer.ecu] = one
        return found

    async def codes(self, service: int = requests.STORED) -> tuple[dict[int, list[str]], bool]:
        """({ecu: codes}, certain) of stored (03), pending (07) or permanent (0A) codes.

        Silence means "none" only where PID 01 says zero, and the number of stored codes has to fit PID 01's, for each
        ECU that is known: else it is asked again, and `certain` is False when it stays so. PID 01 says nothing of
        pending and permanent codes: there `certain` means that somebody answered.
        """
        found: dict[int, list[str]] = {}
        damaged = self.damaged
        for _ in range(_TRIES):
            monitors = await self.monitors() if service == requests.STORED else {}
            assembly = await self._ask(bytes((service,)))
            found = {answer.ecu: requests.codes(answer) for answer in assembly.positive()}
            known = self.session.car.ecus if self.session.car is not None and service == requests.STORED else ()
            certain = bool(found or monitors) and not assembly.broken
            if requests.without_a_word(known, monitors, assembly):
                certain = False
            for ecu, monitor in monitors.items():
                judged = requests.judge_codes(len(found.get(ecu, [])), ecu in found, monitor.codes)
                certain = certain and judged != requests.UNCERTAIN
            if certain:
                self.damaged = damaged  # what was not whole has been asked again
                return found, True
        return found, False

    async def clear(self) -> dict[int, int | None]:
        """Erase codes, freeze frames and monitors' results in all ECUs: {ecu: nrc, 0 = done, None = said nothing}.

        ObdError: no ECU answered.
        """
        assembly = await self._ask(bytes((requests.CLEAR,)))
        if not assembly.answers and assembly.broken:
            raise ObdError("the answer to the request to clear was damaged: read the codes, they say whether it was"
                           " done", "damaged")  # fmt: skip
        if not assembly.answers:
            raise ObdError("no ECU answered the request to clear: nobody can say whether it was done", "silent")
        said: dict[int, int | None] = {answer.ecu: answer.nrc for answer in assembly.answers}
        heard = {ecu & 0xFF for ecu in said}
        known = self.session.car.ecus if self.session.car is not None else ()
        return said | {ecu: None for ecu in known if ecu & 0xFF not in heard}

    # -- test results

    async def oxygen_tests(self) -> dict[int, list[tuple[str, results.O2Result]]]:
        """Mode 05: {ecu: [(sensor's name, result)]}; {} where no ECU has it (or its sensors are not told)."""
        found: dict[int, list[tuple[str, results.O2Result]]] = {}
        for pid in (0x13, 0x1D):
            sensors = 0
            for answer in (await self._ask(bytes((requests.LIVE, pid)))).positive():
                sensors |= (requests.payload(bytes((requests.LIVE, pid)), answer) or b"\0")[0]
            for sensor in (1 << i for i in range(8) if sensors >> i & 1):
                for ecu, frame in await self._frames(bytes((requests.OXYGEN, 0, sensor))):
                    for test in results.supported(frame):
                        for other, one in await self._frames(bytes((requests.OXYGEN, test, sensor))):
                            result = results.o2_result(one) if other == ecu else None
                            if result is not None:
                                found.setdefault(ecu, []).append((results.sensor_name(sensor, pid), result))
            if sensors:
                break
        return found

    async def monitor_tests(self) -> dict[int, list[results.TestResult]]:
        """Mode 06: {ecu: results}; {} where no ECU has it."""
        found: dict[int, list[results.TestResult]] = {}
        for ecu, frame in await self._frames(bytes((requests.TESTS, 0))):
            for test in results.supported(frame):
                for other, one in await self._frames(bytes((requests.TESTS, test))):
                    result = results.test_result(one) if other == ecu else None
                    if result is not None:
                        found.setdefault(ecu, []).append(result)
        return found

    async def _frames(self, request: bytes) -> list[tuple[int, bytes]]:
        """(ecu, data after the service) of each frame."""
        assembly = await self._ask(request)
        return [(answer.ecu, frame) for answer in assembly.positive() for frame in answer.frames]

    async def freeze_frames(self) -> dict[int, tuple[str, list[Cell]]]:
        """{ecu: (code that stored its frame, values)}; {} where all that answer say that they have none.

        ObdError refused, silent or damaged: nobody says whether there is one.
        """
        assembly = await self._ask(requests.freeze_request(0x02))
        stored = dict(requests.frozen_by(assembly))
        if not stored:
            _all_said(assembly)
            return {}
        have = {ecu: requests.PidSet() for ecu in stored}
        base = 0
        while base <= _LAST_BITMAP and (not base or any(base in pid_set for pid_set in have.values())):
            frozen = await self._frozen(base)
            for ecu in stored:
                have[ecu].add_bitmap(base, frozen.get(ecu, b""))
            base += 0x20
        cells: dict[int, list[Cell]] = {ecu: [] for ecu in stored}
        for pid in sorted({pid for pid_set in have.values() for pid in pid_set.pids() if pid % 0x20 and pid != 2}):
            frozen = await self._frozen(pid)
            for ecu in (ecu for ecu in stored if pid in have[ecu]):
                values = pids.decode(pid, frozen.get(ecu, b""))
                cells[ecu] += [Cell(None, value) for value in values] or no_answer(pid)
        return {ecu: (describe(2, code)[0], cells[ecu]) for ecu, code in stored.items()}

    async def _frozen(self, pid: int) -> dict[int, bytes]:
        """{ecu: data} of a PID in the freeze frames."""
        assembly = await self._ask(requests.freeze_request(pid))
        return {answer.ecu: requests.payload(assembly.request, answer) or b"" for answer in assembly.positive()}

    # -- vehicle information

    async def vins(self) -> dict[int, str]:
        """{ecu: vehicle identification number}, of those that tell one: an ECU of another car tells that one's."""
        told = {ecu: requests.vin(data) for ecu, data in (await self._info(requests.VIN)).items()}
        found = {ecu: told[ecu] for ecu in sorted(told) if told[ecu]}
        car, vin = self.session.car, next(iter(found.values()), "")
        if vin and car is not None and car.vin != vin:
            self.session.remember(dataclasses.replace(car, vin=vin))
        return found

    async def calibration_ids(self) -> dict[int, list[str]]:
        return {
            ecu: requests.calibration_ids(data) for ecu, data in (await self._info(requests.CALIBRATION_IDS)).items()
        }

    async def calibration_numbers(self) -> dict[int, list[str]]:
        """CVN, the check sum of each calibration, as hexadecimal; an ECU may take seconds to compute it."""
        found = await self._info(requests.CALIBRATION_NUMBERS)
        return {ecu: requests.calibration_numbers(data) for ecu, data in found.items()}

    async def ecu_names(self) -> dict[int, str]:
        return {ecu: requests.text(data) for ecu, data in (await self._info(requests.ECU_NAME)).items()}

    async def standard(self) -> str:
        """Which OBD standard the car says that it keeps; "" where it doesn't."""
        request = bytes((requests.LIVE, _STANDARD))
        for answer in (await self._ask(request)).positive():
            words = describe(_STANDARD, requests.payload(request, answer) or b"")
            return words[0] if words else ""
        return ""

    async def _info(self, kind: int) -> dict[int, bytes]:
        """{ecu: joined data} of an info type; asked again where a frame is missing."""
        found: dict[int, bytes] = {}
        request = bytes((requests.INFO, kind))
        for _ in range(_TRIES):
            assembly = await self.session.request(request)
            whole = not assembly.broken
            for answer in assembly.positive():
                data = requests.payload(request, answer)
                if data is None:
                    whole = False
                else:
                    found[answer.ecu] = data
            if whole:
                break
        self.damaged = self.damaged or not whole
        return found


def _all_said(assembly: requests.Assembly) -> None:
    """ObdError: nobody has answered with data, or somebody whose answer was damaged may have."""
    words = assembly.request.hex(" ").upper()
    answer = assembly.best()
    if assembly.broken:
        raise ObdError(f"an answer to {words} was damaged, or noise came instead. Try again", "damaged")
    if answer is None:
        raise ObdError(f"no ECU answered {words}: the car may not have it", "silent")
    if answer.nrc:
        raise ObdError(f"the ECU refused {words}: {nrc.name(answer.nrc)}", "refused")
