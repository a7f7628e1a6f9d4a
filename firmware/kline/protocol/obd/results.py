"""On-board test results: what monitors have measured, beside its limits (modes 05 and 06, as K-line cars have them).

oxygen_tests() and monitor_tests() are questions as in questions.py; only the PC asks them.

    05 00 sensor   45 00 sensor, four bytes of bitmap        06 00   46 00 FF, four bytes of bitmap
    05 tid sensor  45 tid sensor value [least most]          06 tid  46 tid component value value limit limit

Mode 05: a byte each; tests 01..04 are constants without limits. sensor: a bit of PID 13 (or 1D). Mode 06: two bytes
each, big endian, in units of the manufacturer; bit 7 of `component`: the limit is the least that is good, else the
most; one frame for each component. Mode 08 (control of a component) is left to raw frames: it moves parts of the car.

Sources: SAE J1979 (message layouts; names of tests 01..0A; 05 and 06 in 4 ms: no public copy of that table was found);
0.005 V for 01..04, 07, 08 and 0.04 s for 09: "Mode 5" pages of Porsche's manuals for 1999 and 2003; bit 7 of mode 06:
"Decoding Mode 06 Data" of Toyota's for 2003, "Mode $06 Data" of Land Rover's for 2005.
"""

from kline.protocol.obd import answers, requests, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer
    from kline.protocol.obd.questions import Question
    from kline.protocol.obd.requests import Assembly

# test: (words, multiplier, divisor, unit)
O2_TESTS = {
    0x01: ("rich to lean threshold voltage", 1, 200, "V"),
    0x02: ("lean to rich threshold voltage", 1, 200, "V"),
    0x03: ("low voltage for switch time", 1, 200, "V"),
    0x04: ("high voltage for switch time", 1, 200, "V"),
    0x05: ("rich to lean switch time", 1, 250, "s"),
    0x06: ("lean to rich switch time", 1, 250, "s"),
    0x07: ("lowest voltage in the test", 1, 200, "V"),
    0x08: ("highest voltage in the test", 1, 200, "V"),
    0x09: ("time between transitions", 1, 25, "s"),
    0x0A: ("sensor period", 1, 25, "s"),
}
_BIT_7 = 0x80


class O2Result:
    """One test of one oxygen sensor: value, least and most (None: a constant) in unit; raw numbers where unit is ""."""

    __slots__ = ("least", "most", "sensor", "test", "text", "unit", "value")

    def __init__(self, test: int, sensor: int, numbers: "Buffer") -> None:
        self.test = test
        self.sensor = sensor
        self.text, mul, div, self.unit = O2_TESTS.get(test, ("test of the manufacturer", 1, 1, ""))
        values = [number * mul / div if div != 1 else number * mul for number in numbers]
        self.value = values[0]
        limits = len(values) > 2
        self.least: "float | None" = values[1] if limits else None
        self.most: "float | None" = values[2] if limits else None

    def passed(self) -> "bool | None":
        """None: there are no limits."""
        if self.least is None or self.most is None:
            return None
        return self.least <= self.value <= self.most


class TestResult:
    """One monitor's test of mode 06: raw numbers, as only the manufacturer knows their units."""

    __slots__ = ("component", "is_least", "limit", "test", "value")

    def __init__(self, test: int, component: int, value: int, limit: int) -> None:
        self.test = test
        self.component = component & ~_BIT_7
        self.is_least = bool(component & _BIT_7)
        self.value = value
        self.limit = limit

    def passed(self) -> bool:
        return self.value >= self.limit if self.is_least else self.value <= self.limit


def sensor_name(sensor: int, pid: int = 0x13) -> str:
    """`bank 1 sensor 2` of a bit of PID 13, or 1D, which counts banks otherwise."""
    names = words.describe(pid, bytes((sensor,)))
    return names[0] if len(names) == 1 else "sensor %02X" % sensor


def o2_result(frame: "Buffer") -> "O2Result | None":
    """Of one frame's data after the service: test, sensor, value, limits. None: too few bytes."""
    return O2Result(frame[0], frame[1], frame[2:5]) if len(frame) >= 3 else None


def test_result(frame: "Buffer") -> "TestResult | None":
    """Of one frame's data after the service: test, component, value, limit. None: too few bytes."""
    if len(frame) < 6:
        return None
    return TestResult(frame[0], frame[1], frame[2] << 8 | frame[3], frame[4] << 8 | frame[5])


def supported(frame: "Buffer") -> "list[int]":
    """Tests 01..20 in the answer to test 00: its last four bytes are the bitmap."""
    if len(frame) < 5:
        return []
    bits = bytes(frame[len(frame) - 4 :])
    return [i + 1 for i in range(32) if bits[i >> 3] >> (7 - (i & 7)) & 1]


def oxygen_tests() -> "Question[dict[int, list[tuple[str, O2Result]]]]":
    """Mode 05: {ecu: [(sensor's name, result)]}; {} where no ECU has it, or says which sensors there are."""
    found: "dict[int, list[tuple[str, O2Result]]]" = {}
    for pid in (0x13, 0x1D):
        assembly = yield bytes((requests.LIVE, pid))
        sensors = 0
        for answer in assembly.positive():
            sensors |= (answers.payload(assembly.request, answer) or b"\0")[0]
        for sensor in [1 << i for i in range(8) if sensors >> i & 1]:
            for ecu, frame in _frames((yield bytes((requests.OXYGEN, 0, sensor)))):
                for test in supported(frame):
                    for other, one in _frames((yield bytes((requests.OXYGEN, test, sensor)))):
                        result = o2_result(one) if other == ecu else None
                        if result is not None:
                            found.setdefault(ecu, []).append((sensor_name(sensor, pid), result))
        if sensors:
            break
    return found


def monitor_tests() -> "Question[dict[int, list[TestResult]]]":
    """Mode 06: {ecu: results}; {} where no ECU has it."""
    found: "dict[int, list[TestResult]]" = {}
    for ecu, frame in _frames((yield bytes((requests.TESTS, 0)))):
        for test in supported(frame):
            for other, one in _frames((yield bytes((requests.TESTS, test)))):
                result = test_result(one) if other == ecu else None
                if result is not None:
                    found.setdefault(ecu, []).append(result)
    return found


def _frames(assembly: "Assembly") -> "list[tuple[int, bytes]]":
    """(ecu, data after the service) of each frame."""
    return [(answer.ecu, frame) for answer in assembly.positive() for frame in answer.frames]
