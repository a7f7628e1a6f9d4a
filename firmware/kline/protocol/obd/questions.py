"""What a mechanic asks a car: supported PIDs, monitors, trouble codes, freeze frames, VIN and other information.

Each question is a generator, and the same one for the board and for the PC: it yields a request (service, PID ..), is
sent the requests.Assembly of the answers, and returns what was asked for. An Assembly that is still `broken` when the
question has ended (the newest one, where a request was repeated) says that an answer was damaged, or a frame missing.

Results that several ECUs have are dicts by ECU address (-1: its frames carry none). Nothing here mistakes a refusal,
silence or damage for a value, or for an ECU that has nothing to say.
"""

from kline.protocol.obd import answers, dtc, nrc, pids, requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import TypeVar

    from kline.protocol.obd.requests import Answer, Assembly, PidSet

    T = TypeVar("T")
    Question = Generator[bytes, Assembly, T]

# Why there is no answer: n stands for host_records.OBD_ERRORS[n - 1], as the codes of kline.device.obd.errors do.
SILENT = 10
REFUSED = 11
DAMAGED = 17

_TRIES = 3
_LAST_BITMAP = 0xE0


class NoAnswer(Exception):
    """why: SILENT, REFUSED or DAMAGED; request: what was asked; nrc: the reason for a refusal, else 0."""

    def __init__(self, why: int, request: bytes, code: int = 0) -> None:
        super().__init__(why, request, code)
        self.why = why
        self.request = request
        self.nrc = code


def _best(assembly: "Assembly") -> "Answer":
    """The best answer, which has data. NoAnswer: there is none."""
    answer = assembly.best()
    if answer is None:
        raise NoAnswer(DAMAGED if assembly.broken else SILENT, assembly.request)
    if answer.nrc:
        raise NoAnswer(REFUSED, assembly.request, answer.nrc)
    return answer


def _check_damage(found: object, assembly: "Assembly") -> None:
    """NoAnswer DAMAGED: nothing was found, but something came that was damaged."""
    if assembly.broken and not found:
        raise NoAnswer(DAMAGED, assembly.request)


# -- live data ---------------------------------------------------------------------------------------------------------


def supported(have: "PidSet") -> "Question[PidSet]":
    """PIDs of mode 01, of all ECUs together: added to `have`; a bitmap that it knows is not asked for."""
    base = 0
    while base <= _LAST_BITMAP and (not base or base in have):
        if not any(pid in have for pid in range(base + 1, base + 33)):
            assembly = yield bytes((requests.LIVE, base))
            for answer in assembly.positive():
                have.add_bitmap(base, answer.frames[0], 1)
            _check_damage(have.pids(), assembly)
        base += 32
    return have


def live(pid: int) -> "Question[list[pids.Value]]":
    """The values of one PID, of the first ECU that has it. NoAnswer: none has, or with fewer bytes than it should."""
    assembly = yield bytes((requests.LIVE, pid))
    values = pids.decode(pid, answers.payload(assembly.request, _best(assembly)) or b"")
    if not values:
        raise NoAnswer(SILENT, assembly.request)
    return values


# -- monitors and codes ------------------------------------------------------------------------------------------------


def monitors() -> "Question[dict[int, answers.MonitorStatus]]":
    """{ecu: status} of those that have PID 01."""
    assembly = yield b"\x01\x01"
    found = _monitors(assembly)
    _check_damage(found, assembly)
    return found


def _monitors(assembly: "Assembly") -> "dict[int, answers.MonitorStatus]":
    found = {}
    for answer in assembly.positive():
        one = answers.monitor_status(answer.frames[0], 1)
        if one is not None:
            found[answer.ecu] = one
    return found


def codes(service: int, known: "Iterable[int]") -> "Question[tuple[dict[int, list[str]], bool]]":
    """({ecu: codes}, certain) of stored (03), pending (07) or permanent (0A) codes. known: the ECUs of this car.

    Silence means "none" only where PID 01 says zero, and the number of stored codes has to fit PID 01's, for each
    known ECU: otherwise it is asked again, and `certain` is False if it stays so. PID 01 says nothing about pending
    and permanent codes: there `certain` means that an ECU has answered, and no answer was damaged.
    """
    found: "dict[int, list[str]]" = {}
    for _ in range(_TRIES):
        said: "dict[int, answers.MonitorStatus]" = {}
        if service == requests.STORED:
            said = _monitors((yield b"\x01\x01"))
        assembly = yield bytes((service,))
        found = {answer.ecu: answers.codes(answer) for answer in assembly.positive()}
        certain = bool(found or said) and not assembly.broken
        if [answer for answer in assembly.positive() if answers.odd(answer)]:
            certain = False
        if service == requests.STORED and without_a_word(known, said, assembly):
            certain = False
        for ecu in said:
            if len(found.get(ecu, ())) != said[ecu].codes:
                certain = False
        if certain:
            return found, True
    return found, False


def without_a_word(known: "Iterable[int]", monitors: "Iterable[int]", assembly: "Assembly") -> "list[int]":
    """ECUs of `known` that have said nothing about stored codes: neither in PID 01 (`monitors`) nor in answer to 03.

    One that does not have the service has said so: 11 or 12. FF and -1 are the same: one without an address.
    """
    refusals = (0, nrc.SERVICE_NOT_SUPPORTED, nrc.SUB_FUNCTION_NOT_SUPPORTED)
    heard = [answer.ecu & 0xFF for answer in assembly.answers if answer.nrc in refusals]
    heard.extend([ecu & 0xFF for ecu in monitors])
    return [ecu for ecu in known if ecu & 0xFF not in heard]


def clear(known: "Iterable[int]") -> "Question[dict[int, int | None]]":
    """Erase codes, freeze frames and monitors' results in all ECUs: {ecu: nrc, 0 = done, None = it said nothing}.

    known: the ECUs of this car. NoAnswer: none has answered.
    """
    assembly = yield bytes((requests.CLEAR,))
    if not assembly.answers:
        raise NoAnswer(DAMAGED if assembly.broken else SILENT, assembly.request)
    said: "dict[int, int | None]" = {answer.ecu: answer.nrc for answer in assembly.answers}
    heard = [ecu & 0xFF for ecu in said]
    for ecu in known:
        if ecu & 0xFF not in heard:
            said[ecu] = None
    return said


# -- freeze frames -----------------------------------------------------------------------------------------------------


def freeze_request(pid: int, frame: int = 0) -> bytes:
    """Mode 02 for one PID of a freeze frame; PID 02 gives the code that stored it (0000: there is no freeze frame)."""
    return bytes((requests.FREEZE, pid, frame))


def freeze_frames() -> "Question[dict[int, tuple[str, dict[int, list[pids.Value]]]]]":
    """{ecu: (code that stored its frame, {pid: values, [] = no answer})}; {} where all that answer say they have none.

    NoAnswer: no ECU says whether there is one, or the one that has may be the one whose answer was damaged.
    """
    assembly = yield freeze_request(2)
    stored = {}
    # One ECU's "no" says nothing about another's frame.
    for ecu, two in _frozen(assembly).items():
        if len(two) >= 2 and (two[0] or two[1]):
            stored[ecu] = dtc.decode(two[0], two[1])
    if not stored:
        _check_damage(stored, assembly)
        _best(assembly)
    have = yield from _frozen_pids(list(stored))
    values: "dict[int, dict[int, list[pids.Value]]]" = {ecu: {} for ecu in stored}
    for pid in range(3, 256):
        ecus = [ecu for ecu in stored if pid in have[ecu]]
        if ecus and pid % 32:
            frozen = _frozen((yield freeze_request(pid)))
            for ecu in ecus:
                values[ecu][pid] = pids.decode(pid, frozen.get(ecu, b""))
    return {ecu: (stored[ecu], values[ecu]) for ecu in stored}


def _frozen_pids(ecus: "list[int]") -> "Question[dict[int, PidSet]]":
    """{ecu: the PIDs of its freeze frame}"""
    have = {ecu: requests.PidSet() for ecu in ecus}
    base = 0
    while base <= _LAST_BITMAP and [ecu for ecu in ecus if not base or base in have[ecu]]:
        frozen = _frozen((yield freeze_request(base)))
        for ecu in ecus:
            have[ecu].add_bitmap(base, frozen.get(ecu, b""))
        base += 32
    return have


def _frozen(assembly: "Assembly") -> "dict[int, bytes]":
    """{ecu: data} of a PID in the freeze frames."""
    return {answer.ecu: answers.payload(assembly.request, answer) or b"" for answer in assembly.positive()}


# -- vehicle information -----------------------------------------------------------------------------------------------


def vins() -> "Question[dict[int, str]]":
    """{ecu: vehicle identification number}: an ECU that comes from another car gives that one's."""
    return _info(answers.VIN, answers.vin)


def calibration_ids() -> "Question[dict[int, list[str]]]":
    """{ecu: ids}"""
    return _info(answers.CALIBRATION_IDS, answers.calibration_ids)


def calibration_numbers() -> "Question[dict[int, list[str]]]":
    """{ecu: CVN, the checksum of each calibration, as hexadecimal}; an ECU may take seconds to compute it."""
    return _info(answers.CALIBRATION_NUMBERS, answers.calibration_numbers)


def ecu_names() -> "Question[dict[int, str]]":
    """{ecu: name}"""
    return _info(answers.ECU_NAME, answers.text)


def _info(kind: int, read: "Callable[[bytes], T]") -> "Question[dict[int, T]]":
    """{ecu: read(joined data)} of an info type, of those that have it; asked again where damaged or a frame is missing.

    NoAnswer DAMAGED: no ECU has given it whole.
    """
    found: "dict[int, T]" = {}
    request = bytes((requests.INFO, kind))
    for _ in range(_TRIES):
        assembly = yield request
        for answer in assembly.positive():
            data = answers.payload(request, answer)
            if data is None:
                assembly.broken = True
            elif read(data):
                found[answer.ecu] = read(data)
        if not assembly.broken:
            return found
    _check_damage(found, assembly)
    return found
