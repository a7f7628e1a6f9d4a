"""What an answer carries: its frames' data, joined, and what they are: trouble codes, monitors, texts of mode 09.

On the board only the questions need it: it is loaded with the first of them. Sources: SAE J1979 / ISO 15031-5 (message
counts and info types of mode 09; bits of PID 01, as published on Wikipedia, "OBD-II PIDs": the words are ours).
"""

from kline.protocol.obd import dtc
from kline.protocol.obd.requests import INFO, LIVE, REPEATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer
    from kline.protocol.obd.requests import Answer

VIN, CALIBRATION_IDS, CALIBRATION_NUMBERS, ECU_NAME = 2, 4, 6, 0x0A  # info types of mode 09
VIN_FRAMES = 5


def join_numbered(frames: list[bytes], expected: int = 0) -> "bytes | None":
    """Data of numbered frames (`info type, number, data..`, numbers from 1 or 0), in order of their numbers.

    None: one is missing, or two with the same number differ. expected: how many there have to be; 0 = as many as came.
    Where an info type's frames are not of four bytes each, they are as they come: one with all in it, with or without
    its number.
    """
    if expected and [frame for frame in frames if len(frame) != 6]:
        return b"".join([frame[2 if frame[1] < 0x20 else 1 :] for frame in frames if len(frame) > 1])
    parts: dict[int, bytes] = {}
    for frame in frames:
        if len(frame) < 2 or parts.get(frame[1], frame[2:]) != frame[2:]:
            return None
        parts[frame[1]] = frame[2:]
    if not parts or (expected and len(parts) != expected):
        return None
    joined = b""
    first = 0 if 0 in parts else 1
    for number in range(first, len(parts) + first):
        if number not in parts:
            return None
        joined += parts[number]
    return joined


def payload(request: "Buffer", answer: "Answer") -> "bytes | None":
    """The data of a positive answer without service and repeated bytes; frames joined. None: refused, or incomplete."""
    if not answer.ok():
        return None
    service = request[0]
    if service == INFO and len(request) > 1 and not request[1] & 1:
        return join_numbered(answer.frames, VIN_FRAMES if request[1] == VIN else 0)
    n = min(REPEATED.get(service, 0), len(request) - 1)
    if service == LIVE and len(request) > 2:
        n = 0  # several PIDs: see multi.split()
    joined = b""
    for frame in answer.frames:
        joined += frame[n:]
    return joined


def odd(answer: "Answer") -> bool:
    """Codes are two bytes each: such an answer to 03, 07, 0A is not certain. It may begin with a count, as on CAN."""
    return bool([frame for frame in answer.frames if len(frame) & 1])


def codes(answer: "Answer") -> "list[str]":
    """Trouble codes of an answer to 03, 07 or 0A: each once, in order."""
    found: "list[str]" = []
    for frame in answer.frames:
        counted = len(frame) & 1 and frame[0] * 2 == len(frame) - 1
        for code in dtc.decode_all(frame[1:] if counted else frame):
            if code not in found:
                found.append(code)
    return found


# -- vehicle information (mode 09): the joined data of an info type ----------------------------------------------------


def text(data: bytes) -> str:
    """ASCII of a VIN, name or id: padding (00) and what is no printable ASCII is left out."""
    return "".join([chr(byte) for byte in data if 0x20 <= byte <= 0x7E]).strip()


def vin(data: bytes) -> str:
    """The vehicle identification number in mode 09's joined data (20 bytes, padded); "" if it isn't 17 signs."""
    found = text(data)
    return found if len(found) == 17 else ""


def calibration_ids(data: bytes) -> list[str]:
    """Joined data of info type 04: 16 bytes each."""
    return [text(data[i : i + 16]) for i in range(0, len(data), 16) if text(data[i : i + 16])]


def calibration_numbers(data: bytes) -> list[str]:
    """Joined data of info type 06: four bytes each, as hexadecimal."""
    return [data[i : i + 4].hex().upper() for i in range(0, len(data) - 3, 4)]


# -- monitors (PIDs 01 and 41) ---------------------------------------------------------------------------------------

CONTINUOUS = ("misfire", "fuel system", "components")
SPARK = (
    "catalyst", "heated catalyst", "evaporative system", "secondary air", "air conditioning refrigerant",
    "oxygen sensor", "oxygen sensor heater", "EGR or VVT system",
)  # fmt: skip
COMPRESSION = (
    "NMHC catalyst", "NOx/SCR", "", "boost pressure",
    "", "exhaust gas sensor", "particulate filter", "EGR or VVT system",
)  # fmt: skip


class MonitorStatus:
    """PIDs 01 and 41, four bytes.

    mil          the warning lamp is commanded on (PID 01 only)
    codes        number of stored codes (PID 01 only)
    compression  diesel: the monitors are those of compression ignition
    monitors     [(name, is complete)] of those that the car has
    """

    __slots__ = ("codes", "compression", "mil", "monitors")

    def __init__(self, data: "Buffer", start: int = 0) -> None:
        a, b, c, d = data[start], data[start + 1], data[start + 2], data[start + 3]
        self.mil = bool(a & 0x80)
        self.codes = a & 0x7F
        self.compression = bool(b & 0x08)
        self.monitors: list[tuple[str, bool]] = []
        for i in range(3):
            if b >> i & 1:
                self.monitors.append((CONTINUOUS[i], not b >> (4 + i) & 1))
        names = COMPRESSION if self.compression else SPARK
        for i in range(8):
            if names[i] and c >> i & 1:
                self.monitors.append((names[i], not d >> i & 1))

    def ready(self) -> bool:
        """All monitors that the car has are complete."""
        for _, complete in self.monitors:
            if not complete:
                return False
        return True


def monitor_status(data: "Buffer", start: int = 0) -> "MonitorStatus | None":
    """None where there are fewer than four bytes."""
    return MonitorStatus(data, start) if len(data) - start >= 4 else None
