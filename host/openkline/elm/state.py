"""What a reset forgets: settings of AT commands, and the protocol in force. What it leaves is in memory.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from kline.protocol.obd import kwp
from kline.protocol.obd.keybytes import ISO_9141, KeyBytes

ISO_9141_2, KWP_SLOW, KWP_FAST = 3, 4, 5
K_LINE = (ISO_9141_2, KWP_SLOW, KWP_FAST)
CAN = range(6, 13)
J1939 = 0xA

# As AT DP names them (ELM327DSJ, "Selecting Protocols").
NAMES = (
    "AUTO",
    "SAE J1850 PWM",
    "SAE J1850 VPW",
    "ISO 9141-2",
    "ISO 14230-4 (KWP 5BAUD)",
    "ISO 14230-4 (KWP FAST)",
    "ISO 15765-4 (CAN 11/500)",
    "ISO 15765-4 (CAN 29/500)",
    "ISO 15765-4 (CAN 11/250)",
    "ISO 15765-4 (CAN 29/250)",
    "SAE J1939 (CAN 29/250)",
    "USER1 (CAN 11/125)",
    "USER2 (CAN 11/50)",
)

BAUDS = {"10": 10_400, "12": 12_500, "15": 15_625, "48": 4_800, "96": 9_600}
DEFAULT_TIMEOUT = 0x32  # in 4 ms: PP 03
DEFAULT_WAKE = 0x92  # in 20.48 ms: PP 17, 3.0 s
TIMEOUT_UNIT_MS = 4
WAKE_UNIT_MS = 20.48
# After an answer another ECU may begin within P2max (50 ms, ISO 14230-4): AT1 and AT2 wait at least so long.
ADAPTED_MS = 50
_SLACK_MS = 20  # in a gap as the PC sees it: the board's and the USB line's turns
SEARCH_MIN_MS = 200
NORMAL_DATA = 7
LONG_DATA = 255


@dataclass(slots=True)
class Settings:
    """Each field is set by the AT command beside it; what they are after a reset, memory.py says."""

    echo: bool = True  # E
    linefeeds: bool = False  # L
    spaces: bool = True  # S
    headers: bool = False  # H
    long: bool = False  # AL, NL
    adaptive: int = 1  # AT0 AT1 AT2
    timeout: int = DEFAULT_TIMEOUT  # ST
    responses: bool = True  # R
    header: bytes = b""  # SH; b"": the protocol's own
    tester: int = kwp.TESTER  # TA
    receive: int | None = None  # RA, SR; None: AR
    init_address: int = kwp.OBD_FUNCTIONAL  # IIA
    baud: int = BAUDS["10"]  # IB
    check_keys: bool = True  # KW
    wake: int = DEFAULT_WAKE  # SW
    wake_message: bytes = b""  # WM
    memorise: bool = False  # M
    flow_data: bool = False  # FC SD has been given
    flow_header: bool = False  # FC SH
    protocol: int = 0  # SP, TP
    auto: bool = True

    def timeout_ms(self) -> int:
        return self.timeout * TIMEOUT_UNIT_MS

    def more_ms(self, seen_ms: int | None) -> int:
        """How long another answer is waited for. seen_ms: the longest gap between this car's answers; None: unknown."""
        if not self.adaptive or seen_ms is None:
            return self.timeout_ms()
        return min(max(ADAPTED_MS, seen_ms * 3 // 2 + _SLACK_MS if seen_ms else 0), self.timeout_ms())

    def max_data(self) -> int:
        return LONG_DATA if self.long else NORMAL_DATA


@dataclass(slots=True)
class Bus:
    """protocol: the one found or set up, 0 before; active: it is believed to be alive; bypassed: by AT BI.

    gaps_ms: by service and PID, the longest time between answers to one request, where others were waited for until
    silence: an ECU that has the value at hand may need longer for the parts of a text.
    """

    protocol: int = 0
    active: bool = False
    bypassed: bool = False
    keys: KeyBytes | None = field(default=None)
    gaps_ms: dict[bytes, int] = field(default_factory=dict)

    def gap_ms(self, request: bytes) -> int | None:
        return self.gaps_ms.get(request[:2])

    def learn(self, request: bytes, gap_ms: int, all_came: bool) -> None:
        """all_came: the request ended with silence, not with a number of answers."""
        known_ms = self.gap_ms(request)
        if all_came or known_ms is not None:
            self.gaps_ms[request[:2]] = max(gap_ms, known_ms or 0)


def protocol_of(keys: KeyBytes, kind: str, wanted: int) -> int:
    """Which of our protocols these key bytes speak; unknown ones (AT KW0) what was wanted."""
    if kind == "fast":
        return KWP_FAST
    if not keys.protocol:
        return wanted if wanted in (ISO_9141_2, KWP_SLOW) else ISO_9141_2
    return ISO_9141_2 if keys.protocol == ISO_9141 else KWP_SLOW


def build_frame(settings: Settings, protocol: int, keys: KeyBytes | None, data: bytes) -> bytes:
    """What goes on the wire for `data`, without the checksum.

    With AT SH on ISO 14230 the length goes into the first byte, or, where its six low bits are 0, into a fourth
    (ELM327DSJ, "Setting the Headers").
    """
    header = settings.header
    if not header and settings.tester == kwp.TESTER and keys is not None and keys.protocol:
        return kwp.build_request(keys, data)[:-1] if protocol != ISO_9141_2 else kwp.ISO_9141_REQUEST + data
    if protocol == ISO_9141_2:
        return (header or kwp.ISO_9141_REQUEST[:2] + bytes((settings.tester,))) + data
    header = header or bytes((0xC1, kwp.OBD_FUNCTIONAL, settings.tester))
    n = len(data)
    if header[0] & 0x3F == 0 or n > 0x3F:
        return bytes((header[0] & 0xC0, *header[1:], n)) + data
    return bytes((header[0] & 0xC0 | n, *header[1:])) + data
