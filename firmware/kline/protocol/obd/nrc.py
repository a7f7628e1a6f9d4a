"""Negative response codes of KWP2000: what an ECU says when it does not do what it was asked.

    7F | service that was asked | code        (ISO 14230-3; SAE J1979 uses 10, 11, 12, 21, 22, 78 of them)

The words are ours; the numbers and their meanings are those of ISO 14230-3. On the PC words.refusal() has more of them.
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

TEXTS = {
    0x10: "rejected without a reason",
    0x11: "service not supported",
    0x12: "PID or parameter not supported, or wrong format",
    0x21: "busy, ask again",
    0x22: "not possible now: conditions not met, or wrong order of requests",
    0x31: "request out of range",
    0x33: "locked: security access needed",
    0x78: "understood, the answer takes longer",
    0x80: "service not possible in this diagnostic session",
}


def name(code: int) -> str:
    """`12: PID or parameter not supported, ..`"""
    return "%02X: %s" % (code, TEXTS.get(code, "see ISO 14230-3"))
