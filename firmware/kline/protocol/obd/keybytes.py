"""Key bytes: what an ECU says of itself when it is initialised, and what follows for headers and timing.

    08 08, 94 94    ISO 9141-2; 94 94: its P2min is 0
    xx 8F           ISO 14230 (KWP2000); xx = odd parity, then the key word's 7 low bits: key word = 1920 + those
                    bit 0  length in the format byte      bit 2  one-byte header allowed
                    bit 1  extra length byte allowed      bit 3  header with addresses allowed
                    bits 5, 4: 10 normal timing, 01 extended timing; bit 6 is 1
                    D0 8F (key word 2000): the ECU says nothing about any of these

Some programs write the two bytes in the other order, and so do some answers to StartCommunication: `C1 8F EF`. As 8F is
no possible first byte of a KWP key word (bit 6 is 0), the order is clear.

Sources: ISO 9141-2 (key words 0808, 9494; ISO 14230-2:2016, 8.4.2), ISO 14230-2:2016, 8.4.1 (format), 8.4.5 (decimal
value), 8.4.3 and ISO 14230-4 (2025, 2027, 2029, 2031 for legislated OBD).
"""

UNKNOWN = 0
ISO_9141 = 1
KWP = 2

TIMING_UNSAID = 0
TIMING_NORMAL = 1
TIMING_EXTENDED = 2

PROTOCOL_NAMES = ("unknown", "ISO 9141-2", "ISO 14230 (KWP2000)")

_KWP_SECOND = 0x8F


class KeyBytes:
    """What two key bytes mean.

    first, second         in the order in which they came
    protocol              ISO_9141, KWP or UNKNOWN
    swapped               KWP: they came as 8F xx
    key_word              KWP: 2000..2031, else 0
    length_in_format      KWP: the format byte may carry the length
    extra_length          KWP: the length may be a byte of its own
    one_byte_header       KWP: headers without addresses are allowed
    addressed_header      KWP: headers with target and source are allowed
    timing                TIMING_NORMAL, TIMING_EXTENDED or TIMING_UNSAID
    p2_min_us             shortest time before an answer
    """

    __slots__ = (
        "addressed_header", "extra_length", "first", "key_word", "length_in_format", "one_byte_header", "p2_min_us",
        "protocol", "second", "swapped", "timing",
    )  # fmt: skip

    def __init__(self, first: int, second: int) -> None:
        self.first = first
        self.second = second
        self.protocol = _protocol(first, second)
        self.swapped = self.protocol == KWP and first == _KWP_SECOND
        bits = 0
        if self.protocol == KWP:
            bits = (second if self.swapped else first) & 0x7F
        self.key_word = 1920 + bits if bits else 0
        said = bits & 0x0F  # nothing said: everything may be tried
        silent = self.protocol == KWP and not said
        self.length_in_format = bool(said & 1) or silent
        self.extra_length = bool(said & 2) or silent
        self.one_byte_header = bool(said & 4) or silent
        self.addressed_header = bool(said & 8) or silent
        self.timing = (TIMING_UNSAID, TIMING_EXTENDED, TIMING_NORMAL, TIMING_UNSAID)[bits >> 4 & 3]
        if silent:
            self.timing = TIMING_UNSAID
        self.p2_min_us = 0 if first == second == 0x94 else 25_000

    def text(self) -> str:
        """For a person: `E9 8F: ISO 14230 (KWP2000), key word 2025`."""
        name = PROTOCOL_NAMES[self.protocol]
        if self.key_word:
            name += ", key word %d" % self.key_word
        return "%02X %02X: %s" % (self.first, self.second, name)


def _protocol(first: int, second: int) -> int:
    if first == second and first in (0x08, 0x94):
        return ISO_9141
    for key, other in ((first, second), (second, first)):
        if other == _KWP_SECOND and key & 0x70 in (0x50, 0x60):
            return KWP
    return UNKNOWN


# -- the sync byte -----------------------------------------------------------------------------------------------------

STANDARD_BAUDS = (10400, 9600, 4800, 1200)


def baud_of_sync(span_us: int, bits: int = 8) -> int:
    """Baud rate from the time between two edges of the sync byte 55 that lie `bits` bit times apart; 0 = nonsense.

    55 toggles at each bit: 8 bits lie between its start edge and its last falling edge. A rate within 3 % of one that
    is in use is taken to be that one (a soft interrupt or a poll measures tens of microseconds wrong).
    """
    if span_us <= 0:
        return 0
    baud = (bits * 1_000_000 + span_us // 2) // span_us
    for standard in STANDARD_BAUDS:
        if abs(baud - standard) * 100 <= 3 * standard:
            return standard
    return baud if 200 <= baud <= 115200 else 0
