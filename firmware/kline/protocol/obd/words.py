"""Words for quantities and refusals, and for PIDs whose bits and numbers stand for something: monitors, fuels ..

Not on the board: the PC has the words. Source: SAE J1979 / ISO 15031-5, mode 01, PIDs 01, 03, 12, 13, 1C, 1D, 1E, 41,
51, as published on Wikipedia ("OBD-II PIDs"); the words are ours.
"""

from kline.protocol.obd import dtc, nrc
from kline.protocol.obd.answers import MonitorStatus, monitor_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

_FUEL_SYSTEM = {
    0: "off",
    1: "open loop: engine too cold",
    2: "closed loop: oxygen sensors control the mixture",
    4: "open loop: load, or deceleration",
    8: "open loop: a fault",
    16: "closed loop, but a fault in the feedback",
}
_AIR = {1: "before the catalyst", 2: "after the catalyst", 4: "off, or from outside", 8: "pump on for a test"}
_STANDARDS = (
    "", "OBD-II (CARB)", "OBD (EPA)", "OBD and OBD-II", "OBD-I", "no OBD", "EOBD", "EOBD and OBD-II", "EOBD and OBD",
    "EOBD, OBD and OBD-II", "JOBD", "JOBD and OBD-II", "JOBD and EOBD", "JOBD, EOBD and OBD-II", "", "", "",
    "engine manufacturer diagnostics (EMD)", "EMD, enhanced", "heavy duty OBD, partial", "heavy duty OBD",
    "world-wide harmonized OBD", "",
    "heavy duty Euro OBD I, without NOx control", "heavy duty Euro OBD I, with NOx control",
    "heavy duty Euro OBD II, without NOx control", "heavy duty Euro OBD II, with NOx control", "", "Brazil OBD phase 1",
    "Brazil OBD phase 2", "Korean OBD", "India OBD I", "India OBD II", "heavy duty Euro OBD VI",
)  # fmt: skip
_FUELS = (
    "", "petrol", "methanol", "ethanol", "diesel", "LPG", "CNG", "propane", "electric", "bifuel: petrol now",
    "bifuel: methanol now", "bifuel: ethanol now", "bifuel: LPG now", "bifuel: CNG now", "bifuel: propane now",
    "bifuel: electric now", "bifuel: electric and combustion now", "hybrid petrol", "hybrid ethanol", "hybrid diesel",
    "hybrid electric", "hybrid: electric and combustion now", "hybrid regenerative", "bifuel: diesel now",
)  # fmt: skip

# name of a quantity in pids.py | text; # stands for a number
_QUANTITIES = """
PIDS_01_20|supported PIDs 01-20
STATUS|monitor status since codes were cleared
FREEZE_DTC|code that stored the freeze frame
FUEL_SYSTEM_1|fuel system 1 status
FUEL_SYSTEM_2|fuel system 2 status
LOAD|calculated engine load
COOLANT|coolant temperature
STFT_1|short term fuel trim, bank 1
LTFT_1|long term fuel trim, bank 1
STFT_2|short term fuel trim, bank 2
LTFT_2|long term fuel trim, bank 2
FUEL_PRESSURE|fuel pressure (gauge)
MAP|intake manifold pressure (absolute)
RPM|engine speed
SPEED|vehicle speed
TIMING|ignition timing before top dead centre, cylinder 1
INTAKE_TEMP|intake air temperature
MAF|air flow
THROTTLE|throttle position
AIR_STATUS|secondary air
O2_PRESENT|oxygen sensors, 2 banks of 4
O2_#_VOLTAGE|oxygen sensor #
O2_#_TRIM|short term fuel trim of oxygen sensor #
STANDARD|OBD standard
O2_PRESENT_4|oxygen sensors, 4 banks of 2
AUX_INPUT|auxiliary input
RUN_TIME|time since engine start
PIDS_21_40|supported PIDs 21-40
MIL_DISTANCE|distance with the warning lamp on
RAIL_PRESSURE_VACUUM|fuel rail pressure above manifold
RAIL_PRESSURE|fuel rail pressure (gauge)
O2_#_WIDE_LAMBDA|oxygen sensor #, lambda (voltage type)
O2_#_WIDE_VOLTAGE|oxygen sensor #, voltage
EGR|commanded exhaust gas recirculation
EGR_ERROR|exhaust gas recirculation error
EVAP_PURGE|commanded evaporative purge
FUEL_LEVEL|fuel level
WARMUPS|warm-ups since codes were cleared
CLEAR_DISTANCE|distance since codes were cleared
EVAP_PRESSURE|evaporative system pressure
BAROMETER|barometric pressure
O2_#_PUMP_LAMBDA|oxygen sensor #, lambda (current type)
O2_#_PUMP_CURRENT|oxygen sensor #, current
CATALYST_11|catalyst temperature, bank 1 sensor 1
CATALYST_21|catalyst temperature, bank 2 sensor 1
CATALYST_12|catalyst temperature, bank 1 sensor 2
CATALYST_22|catalyst temperature, bank 2 sensor 2
PIDS_41_60|supported PIDs 41-60
CYCLE_STATUS|monitor status this drive cycle
VOLTAGE|control module voltage
ABSOLUTE_LOAD|absolute load
COMMANDED_LAMBDA|commanded lambda
RELATIVE_THROTTLE|relative throttle position
AMBIENT|ambient air temperature
THROTTLE_B|throttle position B
THROTTLE_C|throttle position C
PEDAL_D|accelerator pedal position D
PEDAL_E|accelerator pedal position E
PEDAL_F|accelerator pedal position F
THROTTLE_ACTUATOR|commanded throttle actuator
MIL_TIME|engine time with the warning lamp on
CLEAR_TIME|time since codes were cleared
MAX_LAMBDA|largest lambda that sensors can report
MAX_O2_VOLTAGE|largest oxygen sensor voltage
MAX_O2_CURRENT|largest oxygen sensor current
MAX_MAP|largest intake manifold pressure
MAX_MAF|largest air flow
FUEL_TYPE|fuel
ETHANOL|ethanol in the fuel
EVAP_PRESSURE_ABS|evaporative system pressure (absolute)
EVAP_PRESSURE_WIDE|evaporative system pressure (wide range)
STFT_O2_1|short term secondary oxygen sensor trim, bank 1
STFT_O2_3|short term secondary oxygen sensor trim, bank 3
LTFT_O2_1|long term secondary oxygen sensor trim, bank 1
LTFT_O2_3|long term secondary oxygen sensor trim, bank 3
STFT_O2_2|short term secondary oxygen sensor trim, bank 2
STFT_O2_4|short term secondary oxygen sensor trim, bank 4
LTFT_O2_2|long term secondary oxygen sensor trim, bank 2
LTFT_O2_4|long term secondary oxygen sensor trim, bank 4
RAIL_PRESSURE_ABS|fuel rail pressure (absolute)
RELATIVE_PEDAL|relative accelerator pedal position
HYBRID_BATTERY|hybrid battery, remaining life
OIL_TEMP|engine oil temperature
INJECTION_TIMING|fuel injection timing
FUEL_RATE|fuel rate
PIDS_61_80|supported PIDs 61-80
DEMAND_TORQUE|torque that the driver demands
TORQUE|actual torque
REFERENCE_TORQUE|reference torque
"""
_quantities: "dict[str, str]" = {}


def quantity(name: str) -> str:
    """`engine speed`, of a name in pids.py; the name itself where there are no words."""
    if not _quantities:
        for line in _QUANTITIES.strip().split("\n"):
            key, _, text = line.partition("|")
            for number in "12345678" if "#" in key else "1":
                _quantities[key.replace("#", number)] = text.replace("#", number)
    return _quantities.get(name, name)


# Why an ECU refuses, beside what nrc.py has: ISO 14230-3.
_REFUSALS = {
    0x23: "routine not finished",
    0x35: "wrong security key",
    0x36: "too many wrong security keys",
    0x37: "security access: wait before the next try",
    0x40: "download not accepted",
    0x41: "wrong kind of download",
    0x42: "can't download to that address",
    0x43: "can't download so many bytes",
    0x50: "upload not accepted",
    0x51: "wrong kind of upload",
    0x52: "can't upload from that address",
    0x53: "can't upload so many bytes",
    0x71: "transfer suspended",
    0x72: "transfer aborted",
    0x74: "block transfer: illegal address",
    0x75: "block transfer: illegal byte count",
    0x76: "block transfer: illegal type",
    0x77: "block transfer: checksum wrong",
    0x79: "block transfer: byte count wrong",
}


def refusal(code: int) -> str:
    """`12: PID or parameter not supported, ..`; codes that the standard does not name: by range."""
    if code in nrc.TEXTS:
        return nrc.name(code)
    text = _REFUSALS.get(code, "reserved code" if code < 0x80 else "code of the manufacturer")
    return "%02X: %s" % (code, text)


def _of(names: "tuple[str, ...]", value: int) -> str:
    text = names[value] if value < len(names) else ""
    return text or "reserved (%d)" % value


def describe(pid: int, data: "Buffer", start: int = 0) -> list[str]:
    """What the bytes after service and PID mean, in words; [] for other PIDs, or too few bytes."""
    n = len(data) - start
    if pid in (0x01, 0x41):
        status = monitor_status(data, start)
        return _monitor_words(status, pid) if status else []
    if pid == 0x02 and n >= 2:
        return [dtc.decode(data[start], data[start + 1])] if data[start] or data[start + 1] else ["no freeze frame"]
    if pid == 0x03 and n >= 2:
        return [_FUEL_SYSTEM.get(data[start + i], "reserved (%d)" % data[start + i]) for i in range(2)]
    if n < 1:
        return []
    a = data[start]
    if pid == 0x12:
        return ["secondary air " + _AIR.get(a, "reserved (%d)" % a)]
    if pid in (0x13, 0x1D):
        per_bank = 4 if pid == 0x13 else 2
        return ["bank %d sensor %d" % (i // per_bank + 1, i % per_bank + 1) for i in range(8) if a >> i & 1]
    if pid == 0x1C:
        return [_of(_STANDARDS, a)]
    if pid == 0x1E:
        return ["power take-off active" if a & 1 else "power take-off inactive"]
    if pid == 0x51:
        return [_of(_FUELS, a) if a else "not available"]
    return []


def _monitor_words(status: MonitorStatus, pid: int) -> list[str]:
    words = []
    if pid == 0x01:
        words.append("warning lamp on" if status.mil else "warning lamp off")
        words.append("%d stored codes" % status.codes)
    for name, complete in status.monitors:
        words.append(name + (": complete" if complete else ": not complete"))
    return words
