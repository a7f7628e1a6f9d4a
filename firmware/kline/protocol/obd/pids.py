"""Mode 01 (and 02): parameter ids, how long their answers are, and what their bytes mean.

    >>> pids.RPM                                    # 12, by module attribute; pids.number("RPM") likewise
    >>> pids.decode(pids.RPM, b"\\x0d\\x20")          # [RPM 840.0 rpm]

value = raw * mul / div + add; raw = `size` bytes, big endian, from byte `first` of the data on (size < 0: two's
complement). Source of all formulas: SAE J1979 / ISO 15031-5, mode 01, as published on Wikipedia ("OBD-II PIDs"); names
and words are ours. Fuel trims (06 to 09) have a second byte in cars with banks 3 and 4: it is left out. The table is
one string, so that on the board only PIDs that are in use become objects.
PIDs whose bits or numbers stand for something (unit "bits" or "code"): words.py has the words.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

# PIDs | name | bytes of the answer's data | first | size | mul | div | add | unit
# (# stands for the number within a range, from 1)
_TABLE = """
00|PIDS_01_20|4|0|4|1|1|0|bits
01|STATUS|4|0|4|1|1|0|bits
02|FREEZE_DTC|2|0|2|1|1|0|code
03|FUEL_SYSTEM_1|2|0|1|1|1|0|code
03|FUEL_SYSTEM_2|2|1|1|1|1|0|code
04|LOAD|1|0|1|100|255|0|%
05|COOLANT|1|0|1|1|1|-40|C
06|STFT_1|1|0|1|100|128|-100|%
07|LTFT_1|1|0|1|100|128|-100|%
08|STFT_2|1|0|1|100|128|-100|%
09|LTFT_2|1|0|1|100|128|-100|%
0A|FUEL_PRESSURE|1|0|1|3|1|0|kPa
0B|MAP|1|0|1|1|1|0|kPa
0C|RPM|2|0|2|1|4|0|rpm
0D|SPEED|1|0|1|1|1|0|km/h
0E|TIMING|1|0|1|1|2|-64|deg
0F|INTAKE_TEMP|1|0|1|1|1|-40|C
10|MAF|2|0|2|1|100|0|g/s
11|THROTTLE|1|0|1|100|255|0|%
12|AIR_STATUS|1|0|1|1|1|0|code
13|O2_PRESENT|1|0|1|1|1|0|bits
14-1B|O2_#_VOLTAGE|2|0|1|1|200|0|V
14-1B|O2_#_TRIM|2|1|1|100|128|-100|%
1C|STANDARD|1|0|1|1|1|0|code
1D|O2_PRESENT_4|1|0|1|1|1|0|bits
1E|AUX_INPUT|1|0|1|1|1|0|bits
1F|RUN_TIME|2|0|2|1|1|0|s
20|PIDS_21_40|4|0|4|1|1|0|bits
21|MIL_DISTANCE|2|0|2|1|1|0|km
22|RAIL_PRESSURE_VACUUM|2|0|2|79|1000|0|kPa
23|RAIL_PRESSURE|2|0|2|10|1|0|kPa
24-2B|O2_#_WIDE_LAMBDA|4|0|2|2|65536|0|
24-2B|O2_#_WIDE_VOLTAGE|4|2|2|8|65536|0|V
2C|EGR|1|0|1|100|255|0|%
2D|EGR_ERROR|1|0|1|100|128|-100|%
2E|EVAP_PURGE|1|0|1|100|255|0|%
2F|FUEL_LEVEL|1|0|1|100|255|0|%
30|WARMUPS|1|0|1|1|1|0|
31|CLEAR_DISTANCE|2|0|2|1|1|0|km
32|EVAP_PRESSURE|2|0|-2|1|4|0|Pa
33|BAROMETER|1|0|1|1|1|0|kPa
34-3B|O2_#_PUMP_LAMBDA|4|0|2|2|65536|0|
34-3B|O2_#_PUMP_CURRENT|4|2|2|1|256|-128|mA
3C|CATALYST_11|2|0|2|1|10|-40|C
3D|CATALYST_21|2|0|2|1|10|-40|C
3E|CATALYST_12|2|0|2|1|10|-40|C
3F|CATALYST_22|2|0|2|1|10|-40|C
40|PIDS_41_60|4|0|4|1|1|0|bits
41|CYCLE_STATUS|4|0|4|1|1|0|bits
42|VOLTAGE|2|0|2|1|1000|0|V
43|ABSOLUTE_LOAD|2|0|2|100|255|0|%
44|COMMANDED_LAMBDA|2|0|2|2|65536|0|
45|RELATIVE_THROTTLE|1|0|1|100|255|0|%
46|AMBIENT|1|0|1|1|1|-40|C
47|THROTTLE_B|1|0|1|100|255|0|%
48|THROTTLE_C|1|0|1|100|255|0|%
49|PEDAL_D|1|0|1|100|255|0|%
4A|PEDAL_E|1|0|1|100|255|0|%
4B|PEDAL_F|1|0|1|100|255|0|%
4C|THROTTLE_ACTUATOR|1|0|1|100|255|0|%
4D|MIL_TIME|2|0|2|1|1|0|min
4E|CLEAR_TIME|2|0|2|1|1|0|min
4F|MAX_LAMBDA|4|0|1|1|1|0|
4F|MAX_O2_VOLTAGE|4|1|1|1|1|0|V
4F|MAX_O2_CURRENT|4|2|1|1|1|0|mA
4F|MAX_MAP|4|3|1|10|1|0|kPa
50|MAX_MAF|4|0|1|10|1|0|g/s
51|FUEL_TYPE|1|0|1|1|1|0|code
52|ETHANOL|1|0|1|100|255|0|%
53|EVAP_PRESSURE_ABS|2|0|2|1|200|0|kPa
54|EVAP_PRESSURE_WIDE|2|0|-2|1|1|0|Pa
55|STFT_O2_1|2|0|1|100|128|-100|%
55|STFT_O2_3|2|1|1|100|128|-100|%
56|LTFT_O2_1|2|0|1|100|128|-100|%
56|LTFT_O2_3|2|1|1|100|128|-100|%
57|STFT_O2_2|2|0|1|100|128|-100|%
57|STFT_O2_4|2|1|1|100|128|-100|%
58|LTFT_O2_2|2|0|1|100|128|-100|%
58|LTFT_O2_4|2|1|1|100|128|-100|%
59|RAIL_PRESSURE_ABS|2|0|2|10|1|0|kPa
5A|RELATIVE_PEDAL|1|0|1|100|255|0|%
5B|HYBRID_BATTERY|1|0|1|100|255|0|%
5C|OIL_TEMP|1|0|1|1|1|-40|C
5D|INJECTION_TIMING|2|0|2|1|128|-210|deg
5E|FUEL_RATE|2|0|2|1|20|0|L/h
60|PIDS_61_80|4|0|4|1|1|0|bits
61|DEMAND_TORQUE|1|0|1|1|1|-125|%
62|TORQUE|1|0|1|1|1|-125|%
63|REFERENCE_TORQUE|2|0|2|1|1|0|Nm
"""


class Field:
    """One quantity of a PID's answer; see the module's docstring. words.quantity(name): what it is, for people."""

    __slots__ = ("add", "div", "first", "length", "mul", "name", "pid", "size", "unit")

    def __init__(self, pid: int, number: int, columns: list[str]) -> None:
        self.pid = pid
        self.name = columns[1].replace("#", str(number))
        self.length, self.first, self.size, self.mul, self.div, self.add = [int(c) for c in columns[2:8]]
        self.unit = columns[8]

    def raw(self, data: "Buffer", start: int = 0) -> int:
        """The field's bytes as an integer; data[start:] holds at least `length` bytes."""
        raw = 0
        size = abs(self.size)
        for i in range(start + self.first, start + self.first + size):
            raw = raw << 8 | data[i]
        if self.size < 0 and raw >> (8 * size - 1):
            raw -= 1 << 8 * size
        return raw

    def value(self, data: "Buffer", start: int = 0) -> "int | float":
        """raw * mul / div + add, in `unit`; an int where div is 1."""
        value = self.raw(data, start) * self.mul
        return (value / self.div if self.div != 1 else value) + self.add


class Value:
    """One decoded quantity: name, value in unit (None: the ECU says that it has none)."""

    __slots__ = ("name", "unit", "value")

    def __init__(self, field: Field, value: "int | float | None") -> None:
        self.name = field.name
        self.value = value
        self.unit = field.unit

    def __repr__(self) -> str:
        return "%s %s %s" % (self.name, self.value, self.unit)


_cache: dict[int, tuple[Field, ...]] = {}


def _columns(line: str) -> tuple[int, int, list[str]]:
    """(first PID, last PID, columns) of a table line."""
    columns = line.split("|")
    first, _, last = columns[0].partition("-")
    return int(first, 16), int(last or first, 16), columns


def fields(pid: int) -> tuple[Field, ...]:
    """The quantities in the PID's answer; () for a PID that the table does not know."""
    found = _cache.get(pid)
    if found is None:
        list_ = []
        for line in _TABLE.strip().split("\n"):
            first, last, columns = _columns(line)
            if first <= pid <= last:
                list_.append(Field(pid, pid - first + 1, columns))
        found = _cache[pid] = tuple(list_)
    return found


def known() -> list[int]:
    """All PIDs of the table, ascending."""
    found: list[int] = []
    for line in _TABLE.strip().split("\n"):
        first, last, _ = _columns(line)
        found.extend([pid for pid in range(first, last + 1) if pid not in found])
    return sorted(found)


def length(pid: int) -> int:
    """Bytes of data in the answer to `01 pid`, without service and PID; 0 = unknown."""
    found = fields(pid)
    return found[0].length if found else 0


def number(name: str) -> int:
    """The PID that has a quantity of this name (either case); -1 = none has."""
    name = name.upper()
    for line in _TABLE.strip().split("\n"):
        first, last, columns = _columns(line)
        for pid in range(first, last + 1):
            if columns[1].replace("#", str(pid - first + 1)) == name:
                return pid
    return -1


def decode(pid: int, data: "Buffer", start: int = 0) -> list[Value]:
    """What data[start:], the bytes after service and PID, says; [] for an unknown PID or too few bytes."""
    values: list[Value] = []
    for field in fields(pid):
        if len(data) - start < field.length:
            break
        value = None if _unused(pid, field, data, start) else field.value(data, start)
        values.append(Value(field, value))
    return values


def _unused(pid: int, field: Field, data: "Buffer", start: int) -> bool:
    """J1979: an oxygen sensor that plays no part in the fuel trim reports FF there."""
    return 0x14 <= pid <= 0x1B and field.first == 1 and data[start + 1] == 0xFF


def __getattr__(name: str) -> int:
    if name[0] != "_":
        pid = number(name)
        if pid >= 0:
            return pid
    raise AttributeError(name)
