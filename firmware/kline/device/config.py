"""Settings of one bus: what differs between BMW's I/K-Bus and OBD-II on a K-line."""

from kline.protocol.ibus.frames import MAX_FRAME, MIN_FRAME

XOR = 0
MOD256 = 1

# (field, lowest, highest); sizes in bytes, the others in the unit of the name.
_RANGES = (
    ("baud", 1200, 115200),
    ("idle_timeout_us", 0, 100_000),
    ("idle_check_us", 1_000, 100_000),
    ("packet_gap_ms", 0, 1_000),
    ("checksum", XOR, MOD256),
    ("max_frame", MIN_FRAME, MAX_FRAME),
    ("rx_ring", 256, 8192),
    ("tx_ring", 128, 8192),
    ("max_tries", 1, 255),
    ("deadline_ms", 100, 60_000),
)
_FRAMINGS = {"8N1": (8, None, 1), "8E1": (8, 0, 1), "8O1": (8, 1, 1)}
# Bytes that a message takes in the transmit ring besides its own (see transmit_queue.py).
TX_OVERHEAD = 12


class KLineConfig:
    """One bus's settings, every field checked; the defaults are those of the I/K-Bus.

    baud                bit rate
    framing             "8E1" (I-Bus), "8N1" (OBD-II) or "8O1"
    idle_timeout_us     silence that must precede a transmission; 0 = no idle detection (the tester owns the line)
    idle_check_us       how often the timer judges silence; the port can't go below 1000
    packet_gap_ms       pause between two messages of our own
    tx_invert           the stage inverts TX: True for an optocoupler, False for a transistor
    rx_invert           RX idles low
    checksum            XOR (I-Bus) or MOD256 (K-line)
    max_frame           longest frame accepted, whole, in bytes; the rings must hold two of them
    rx_ring tx_ring     bytes of the two rings; None = as large as max_frame needs
    max_tries           attempts after collisions, unless a message says otherwise
    deadline_ms         a message that found no silence for so long ends as bus_busy, unless it says otherwise

    Raises ValueError naming field, value and allowed range.
    """

    def __init__(
        self,
        baud=9600,
        framing="8E1",
        idle_timeout_us=1500,
        idle_check_us=1000,
        packet_gap_ms=10,
        tx_invert=True,
        rx_invert=False,
        checksum=XOR,
        max_frame=64,
        rx_ring=None,
        tx_ring=None,
        max_tries=5,
        deadline_ms=10_000,
    ):
        if framing not in _FRAMINGS:
            raise ValueError("framing: %r is not one of %s" % (framing, ", ".join(sorted(_FRAMINGS))))
        self.baud = baud
        self.framing = framing
        self.bits, self.parity, self.stop = _FRAMINGS[framing]
        self.idle_timeout_us = idle_timeout_us
        self.idle_check_us = idle_check_us
        self.packet_gap_ms = packet_gap_ms
        self.tx_invert = _check_bool("tx_invert", tx_invert)
        self.rx_invert = _check_bool("rx_invert", rx_invert)
        self.checksum = checksum
        self.max_frame = max_frame
        self.max_tries = max_tries
        self.deadline_ms = deadline_ms
        _check_int("max_frame", max_frame, MIN_FRAME, MAX_FRAME)
        self.rx_ring = max(256, 2 * max_frame) if rx_ring is None else rx_ring
        self.tx_ring = max(128, 2 * (max_frame + TX_OVERHEAD)) if tx_ring is None else tx_ring
        for name, low, high in _RANGES:
            _check_int(name, getattr(self, name), low, high)
        _check_int("rx_ring", self.rx_ring, 2 * max_frame, 8192)
        _check_int("tx_ring", self.tx_ring, max_frame + TX_OVERHEAD, 8192)

    @classmethod
    def ibus(cls, **changes):
        """The I/K-Bus behind an optocoupler (PC817): 9600 8E1, XOR, 1.5 ms of silence before sending, TX inverted."""
        return cls(**changes)

    @classmethod
    def obd2(cls, **changes):
        """OBD-II behind a transistor: 10400 8N1, sum modulo 256, no idle detection, TX not inverted."""
        settings = {
            "baud": 10400,
            "framing": "8N1",
            "idle_timeout_us": 0,
            "packet_gap_ms": 0,
            "tx_invert": False,
            "checksum": MOD256,
        }
        settings.update(changes)
        return cls(**settings)

    @property
    def byte_us(self):
        """Length of one character on the wire in microseconds, rounded up."""
        bits = 1 + self.bits + (self.parity is not None) + self.stop
        return -(-bits * 1_000_000 // self.baud)


def _check_int(name, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError("%s: %r is not an integer from %d to %d" % (name, value, low, high))


def _check_bool(name, value):
    if not isinstance(value, bool):
        raise ValueError("%s: %r is not True or False" % (name, value))
    return value
