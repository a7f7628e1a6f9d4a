"""Negative response codes of KWP2000: what an ECU says when it does not do what it was asked.

    7F | service that was asked | code        (ISO 14230-3; SAE J1979 uses 10, 11, 12, 21, 22, 78 of them)

The words are ours; the numbers and their meanings are those of ISO 14230-3.
"""

NEGATIVE = 0x7F

GENERAL_REJECT = 0x10
SERVICE_NOT_SUPPORTED = 0x11
SUB_FUNCTION_NOT_SUPPORTED = 0x12
BUSY_REPEAT_REQUEST = 0x21
CONDITIONS_NOT_CORRECT = 0x22
REQUEST_OUT_OF_RANGE = 0x31
SECURITY_ACCESS_DENIED = 0x33
RESPONSE_PENDING = 0x78

_TEXTS = {
    0x10: "rejected without a reason",
    0x11: "service not supported",
    0x12: "PID or parameter not supported, or wrong format",
    0x21: "busy, ask again",
    0x22: "not possible now: conditions not met, or wrong order of requests",
    0x23: "routine not finished",
    0x31: "request out of range",
    0x33: "locked: security access needed",
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
    0x78: "understood, the answer takes longer",
    0x79: "block transfer: byte count wrong",
    0x80: "service not possible in this diagnostic session",
}


def name(code: int) -> str:
    """`12: PID or parameter not supported, ..`; codes that the standard does not name: by range."""
    text = _TEXTS.get(code)
    if text is None:
        text = "reserved code" if code < 0x80 else "code of the manufacturer"
    return "%02X: %s" % (code, text)
