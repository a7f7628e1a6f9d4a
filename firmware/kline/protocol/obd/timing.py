"""Times on the K-line: W0..W5 around the initialisation, P1..P4 between bytes and messages. All in microseconds.

    idle W0 | address, 5 baud | W1 | 55 | W2 | KB1 | W3 | KB2 | W4 | ~KB2 | W4 | ~address; W5 before another address
    request (P4 between its bytes) | P2 | answer (P1 between its bytes) | P2 | another ECU's answer | P3 | request

W: from the end of one byte to the start bit of the next. P1, P4 likewise; P2, P3: from the end of a message's last byte
to the start bit of the next message.

Sources: ISO 9141-2:1994 (initialization; timing) for W and P; ISO 14230-2:2016, 8.2 (5 baud), 8.3.3 (fast), 10 (P1..P4)
and 11 (AccessTimingParameters), which ISO 14230-4 fixes at the normal values for legislated OBD. Numbers of clauses:
from the contents that are published of BS ISO 14230-2:2016.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

NO_LIMIT = -1
TESTER = 0  # who has to keep a limit
ECU = 1

ISO_9141_2 = "ISO 9141-2; ISO 14230-2:2016, 8.2"
ISO_14230_2_FAST = "ISO 14230-2:2016, 8.3.3"
ISO_14230_2_NORMAL = "ISO 14230-2:2016, 10"

# name: (shortest us, longest us, who, source); the limits themselves are within
LIMITS = {
    "W0": (2_000, NO_LIMIT, TESTER, ISO_9141_2),
    "W1": (60_000, 300_000, ECU, ISO_9141_2),
    "W2": (5_000, 20_000, ECU, ISO_9141_2),
    "W3": (0, 20_000, ECU, ISO_9141_2),
    "W4 tester": (25_000, 50_000, TESTER, ISO_9141_2),
    "W4 ECU": (25_000, 50_000, ECU, ISO_9141_2),
    "W5": (300_000, NO_LIMIT, TESTER, ISO_9141_2),
    "5-baud bit": (198_000, 202_000, TESTER, ISO_9141_2),
    "fast idle": (300_000, NO_LIMIT, TESTER, ISO_14230_2_FAST),
    "TiniL": (24_000, 26_000, TESTER, ISO_14230_2_FAST),
    "TWuP": (49_000, 51_000, TESTER, ISO_14230_2_FAST),
    "P1": (0, 20_000, ECU, ISO_14230_2_NORMAL),
    "P2": (25_000, 50_000, ECU, ISO_14230_2_NORMAL),
    "P3": (55_000, 5_000_000, TESTER, ISO_14230_2_NORMAL),
    "P4": (5_000, 20_000, TESTER, ISO_14230_2_NORMAL),
}

W0_MIN_US = 2_000
W0_USUAL_US = 300_000
W1_MAX_US = 300_000
W2_MAX_US = 20_000
W3_MAX_US = 20_000
W4_MIN_US = 25_000
W4_MAX_US = 50_000
W5_MIN_US = 300_000
FIVE_BAUD_BIT_US = 200_000
FAST_IDLE_US = 300_000
TINIL_US = 25_000
TWUP_US = 50_000


class Timing:
    """P1..P4 and W1max, in us; p3_max_us may be NO_LIMIT. Made with the values that hold after initialisation."""

    __slots__ = (
        "p1_max_us", "p2_max_us", "p2_min_us", "p3_max_us", "p3_min_us", "p4_max_us", "p4_min_us", "w1_max_us",
    )  # fmt: skip

    def __init__(
        self,
        p2_min_us: int = 25_000,
        p2_max_us: int = 50_000,
        p3_min_us: int = 55_000,
        p3_max_us: int = 5_000_000,
        p4_min_us: int = 5_000,
    ) -> None:
        self.p1_max_us = 20_000
        self.p2_min_us = p2_min_us
        self.p2_max_us = p2_max_us
        self.p3_min_us = p3_min_us
        self.p3_max_us = p3_max_us
        self.p4_min_us = p4_min_us
        self.p4_max_us = 20_000
        self.w1_max_us = W1_MAX_US

    def copy(self) -> "Timing":
        """Another one with the same times."""
        other = Timing(self.p2_min_us, self.p2_max_us, self.p3_min_us, self.p3_max_us, self.p4_min_us)
        other.p1_max_us = self.p1_max_us
        other.w1_max_us = self.w1_max_us
        return other

    def values(self) -> tuple[int, int, int, int, int]:
        """(P2min, P2max, P3min, P3max, P4min), as AccessTimingParameters carries them."""
        return self.p2_min_us, self.p2_max_us, self.p3_min_us, self.p3_max_us, self.p4_min_us


# -- AccessTimingParameters (ISO 14230-2): 83 TPI [P2min P2max P3min P3max P4min] --------------------------------------
# P2min, P3min, P4min in 0.5 ms; P3max in 250 ms, FF = no limit; P2max 01..F0 in 25 ms, F1..FF = low nibble x 6.4 s.

ACCESS_TIMING = 0x83
READ_LIMITS = 0  # which values the ECU can do
SET_DEFAULT = 1
READ_ACTIVE = 2
SET_VALUES = 3

_HALF_MS = 500
_P2MAX_US = 25_000
_P2MAX_LONG_US = 6_400_000
_P3MAX_US = 250_000


def decode_access_timing(buf: "Buffer", start: int = 0) -> "Timing | None":
    """The Timing in the five bytes from `start` on; None where there are fewer, or P2max is 0 (reserved)."""
    if start < 0 or len(buf) - start < 5 or buf[start + 1] == 0:
        return None
    p2_max = buf[start + 1]
    p3_max = buf[start + 3]
    return Timing(
        buf[start] * _HALF_MS,
        p2_max * _P2MAX_US if p2_max <= 0xF0 else (p2_max & 0x0F) * _P2MAX_LONG_US,
        buf[start + 2] * _HALF_MS,
        NO_LIMIT if p3_max == 0xFF else p3_max * _P3MAX_US,
        buf[start + 4] * _HALF_MS,
    )


def encode_access_timing(timing: Timing) -> bytes:
    """The five bytes of these times, rounded so that the ECU gets no stricter limits: minima up, maxima up.

    ValueError, with name and range, where a time can't be said in its byte.
    """
    return bytes(
        (
            _units("P2min", timing.p2_min_us, _HALF_MS, 0, 255),
            _p2_max_byte(timing.p2_max_us),
            _units("P3min", timing.p3_min_us, _HALF_MS, 0, 255),
            255 if timing.p3_max_us == NO_LIMIT else _units("P3max", timing.p3_max_us, _P3MAX_US, 0, 254),
            _units("P4min", timing.p4_min_us, _HALF_MS, 0, 255),
        )
    )


def _units(name: str, us: int, unit_us: int, lowest: int, highest: int) -> int:
    n = -(-us // unit_us)
    if not lowest <= n <= highest:
        raise ValueError("%s is %d us, must be %d..%d us" % (name, us, lowest * unit_us, highest * unit_us))
    return n


def _p2_max_byte(us: int) -> int:
    if us <= 0xF0 * _P2MAX_US:
        return _units("P2max", us, _P2MAX_US, 1, 0xF0)
    return 0xF0 | _units("P2max", us, _P2MAX_LONG_US, 1, 15)


def fastest(limits: Timing) -> Timing:
    """What to set where the ECU offers `limits`; P3max stays 5 s where that is offered: a keep-alive comes sooner."""
    p3_max_us = limits.p3_max_us
    if p3_max_us == NO_LIMIT or p3_max_us > 5_000_000:
        p3_max_us = 5_000_000
    return Timing(limits.p2_min_us, limits.p2_max_us, limits.p3_min_us, p3_max_us, limits.p4_min_us)
