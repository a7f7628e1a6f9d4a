"""Times of the K-line, in us, as an ECU sees them: limits of the tester's waveform, and the ECU's own times.

A time between bytes runs from the end of a stop bit to the next start bit. Sources: ISO 9141-2:1994 and ISO
14230-4:2000 (W0 exists only in the former; in the latter the wire is idle for W5 before every address), ISO
14230-2:1999 for AccessTimingParameters. Tolerance of a 5-baud edge: 1 % of a bit.
"""

SLOW_BIT_US = 200_000

# the tester's: name -> (least, most); None: no limit
LIMITS = {
    "W0": (2_000, None),
    "W4": (25_000, 50_000),
    "W5": (300_000, None),
    "bit": (-2_000, 2_000),
    "idle": (300_000, None),
    "TiniL": (24_000, 26_000),
    "TWuP": (49_000, 51_000),
    "P3": (55_000, 5_000_000),
    "P4": (5_000, 20_000),
}

# the ECU's own; a pair is a range from which each time is drawn
OWN = {"W1": 100_000, "W2": 10_000, "W3": 5_000, "W4": 30_000, "P1": 0, "P2": 26_000}

# an ECU answers functional requests this much later than the one before it in the script
P2_STEP_US = 5_000


def within(limits, us):
    least, most = limits
    return (least is None or us >= least) and (most is None or us <= most)


# AccessTimingParameters: P2min, P2max, P3min, P3max, P4min, a byte each


def p2_max_us(code):
    """01..F0: 25 ms each; F1..FF: low nibble x 256 x 25 ms."""
    return code * 25_000 if code <= 0xF0 else (code & 15) * 256 * 25_000


def p3_max_us(code):
    """250 ms each; FF: for ever."""
    return None if code == 0xFF else code * 250_000


DEFAULTS = b"\x32\x02\x6e\x14\x0a"  # 25, 50, 55, 5000, 5 ms


def timing_of(codes):
    """The five bytes -> {"P2": (least, most), "P3": .., "P4": least} in us."""
    return {
        "P2": (codes[0] * 500, p2_max_us(codes[1])),
        "P3": (codes[2] * 500, p3_max_us(codes[3])),
        "P4": codes[4] * 500,
    }


class Notes:
    """What happened: lists of tuples (t_us, ..), each with at least its newest `keep` entries (None: all); counts."""

    def __init__(self, world, keep=None):
        self.world = world
        self.keep = keep
        self.refusals = []
        self.accepted = []
        self.requests = []
        self.answers = []
        self.events = []
        self.counts = {}

    def _add(self, notes, name, entry):
        self.counts[name] = self.counts.get(name, 0) + 1
        notes.append(entry)
        if self.keep is not None and len(notes) > 2 * self.keep:
            del notes[: len(notes) - self.keep]

    def refuse(self, name, measured):
        self._add(self.refusals, "refused " + name, (self.world.now, name, measured))

    def accept(self, name, measured):
        self._add(self.accepted, "accepted " + name, (self.world.now, name, measured))

    def request(self, t, frame):
        self._add(self.requests, "requests", (t, frame))

    def answer(self, frame):
        self._add(self.answers, "answers", (self.world.now, frame))

    def event(self, name, why=""):
        self._add(self.events, name, (self.world.now, name, why))
