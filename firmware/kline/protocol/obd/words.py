"""Words for the PIDs of mode 01 whose bits and numbers stand for something: monitors, fuel system, standards, fuels.

Not on the board: the PC has the words. Source: SAE J1979 / ISO 15031-5, mode 01, PIDs 01, 03, 12, 13, 1C, 1D, 1E, 41,
51, as published on Wikipedia ("OBD-II PIDs"); the words are ours.
"""

from kline.protocol.obd import dtc
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
