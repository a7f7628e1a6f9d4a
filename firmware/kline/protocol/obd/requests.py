"""OBD-II requests and what comes back: answers of several ECUs, in several frames, now, later or not at all.

    request   service | PID ..
    answer    service + 40 | the PID .. again | data        refusal   7F | service | code

Pure decisions: an Assembly takes the frames that follow one request and says what each means. Sources: SAE J1979 /
ISO 15031-5 (services, message counts of mode 09, bitmaps), ISO 14230-2/-3 (negative responses 21 and 78).
"""

from kline.protocol.obd import nrc
from kline.protocol.obd.keybytes import ISO_9141, KeyBytes
from kline.protocol.obd.timing import NO_LIMIT, Timing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer
    from kline.protocol.obd.kwp import Frame

LIVE, FREEZE, STORED, CLEAR, OXYGEN, TESTS, PENDING_CODES, INFO, PERMANENT = 1, 2, 3, 4, 5, 6, 7, 9, 0x0A

# How many bytes after the service an answer repeats, by service; 0 for others.
REPEATED = {0x01: 1, 0x02: 2, 0x05: 2, 0x06: 1, 0x08: 1, 0x09: 1, 0x1A: 1, 0x21: 1, 0x22: 2}


class Answer:
    """One ECU's answer to one request.

    ecu      its address; -1: its frames carry none
    frames   positive: the data of each frame, after the service byte, in order of arrival
    nrc      0 = positive; else why it refused (nrc.name(nrc) says it in words): never mistake it for a value of 0
    """

    __slots__ = ("ecu", "frames", "nrc")

    def __init__(self, ecu: int) -> None:
        self.ecu = ecu
        self.frames: list[bytes] = []
        self.nrc = 0

    def ok(self) -> bool:
        """It answered with data."""
        return not self.nrc and bool(self.frames)

    def __repr__(self) -> str:
        from kline.protocol.obd.nrc import name  # only people ask for words: not on the heap of the application

        words = name(self.nrc) if self.nrc else " / ".join([f.hex() for f in self.frames])
        return "ECU %02X: %s" % (self.ecu & 0xFF, words)


# What a frame meant.
TAKEN = 0  # an answer, or a refusal
WAIT = 1  # the ECU needs longer (78): listen up to P3max from here
REPEAT = 2  # the ECU is busy (21): ask again later
FOREIGN = 3  # no answer to this request


class Assembly:
    """Collects what ECUs answer to `request` (service, PID ..: the data of the frame). add() never raises.

    answers   an Answer for each ECU, in the order of their first words
    broken    a frame that was no answer to this request (of one before, too late?), or, says whoever listens, damaged:
              an ECU's answer may be missing
    """

    def __init__(self, request: "Buffer") -> None:
        self.request = bytes(request)
        self.answers: list[Answer] = []
        self.broken = False

    def restart(self) -> None:
        """The request is sent again: all ECUs will answer again."""
        self.answers = []
        self.broken = False

    def add(self, frame: "Frame") -> int:
        """TAKEN, WAIT, REPEAT or FOREIGN."""
        data = frame.data
        request = self.request
        if not data or not request:
            return self._foreign()
        if data[0] == nrc.NEGATIVE:
            return self._refused(frame.source, data)
        if data[0] != request[0] | 0x40 or not self._repeats(data):
            return self._foreign()
        answer = self._of(frame.source)
        answer.nrc = 0
        answer.frames.append(bytes(data[1:]))
        return TAKEN

    def _refused(self, ecu: int, data: bytes) -> int:
        # ISO 14230: 7F service code; SAE J1979 on ISO 9141 puts the request's bytes in between.
        if len(data) < 3 or data[1] != self.request[0]:
            return self._foreign()
        answer = self._of(ecu)
        code = data[-1]
        if answer.ok():
            return self._foreign()
        answer.nrc = code
        if code == nrc.RESPONSE_PENDING:
            return WAIT
        return REPEAT if code == nrc.BUSY_REPEAT_REQUEST else TAKEN

    def _repeats(self, data: bytes) -> bool:
        request = self.request
        n = min(REPEATED.get(request[0], 0), len(request) - 1)
        if len(data) <= n:
            return False
        if request[0] == LIVE and len(request) > 2:
            return data[1] in request[1:]
        for i in range(1, n + 1):
            if data[i] != request[i]:
                return False
        return True

    def _of(self, ecu: int) -> Answer:
        for answer in self.answers:
            if answer.ecu == ecu:
                return answer
        self.answers.append(Answer(ecu))
        return self.answers[-1]

    def _foreign(self) -> int:
        self.broken = True
        return FOREIGN

    def _any(self, code: int) -> bool:
        for answer in self.answers:
            if answer.nrc == code:
                return True
        return False

    def pending(self) -> bool:
        """An ECU has said 78 and nothing since."""
        return self._any(nrc.RESPONSE_PENDING)

    def busy(self) -> bool:
        """An ECU has said 21 and nothing since."""
        return self._any(nrc.BUSY_REPEAT_REQUEST)

    def late(self, before: "Assembly") -> bool:
        """A refusal says only which service: it may be that of the request `before`, which this ECU left unanswered."""
        if before.request[:1] != self.request[:1]:
            return False
        heard = [answer.ecu for answer in before.answers]
        for answer in self.answers:
            if answer.nrc and answer.ecu not in heard:
                return True
        return False

    def positive(self) -> list[Answer]:
        """Those with data."""
        return [answer for answer in self.answers if answer.ok()]

    def enough(self) -> bool:
        """Data has come; and all of it where everybody's counts, which is so for all but live values."""
        if not self.positive():
            return False
        request = self.request
        return not self.broken or (request[0] == LIVE and len(request) > 1 and request[1] & 0x1F > 1)

    def best(self) -> "Answer | None":
        """The first with data, else the first at all: the engine's, where a gearbox refuses before it."""
        for answer in self.answers:
            if answer.ok():
                return answer
        return self.answers[0] if self.answers else None


def listen_us(timing: Timing, pending: bool) -> int:
    """How long after a message the next one may begin: P2max; after a 78 P3max (5 s where it has no limit)."""
    if not pending:
        return timing.p2_max_us
    return 5_000_000 if timing.p3_max_us == NO_LIMIT else timing.p3_max_us


def keep_alive(key: KeyBytes) -> bytes:
    """The request that keeps a session alive: `01 00` on ISO 9141, TesterPresent on KWP."""
    return b"\x01\x00" if key.protocol == ISO_9141 else b"\x3e"


class PidSet:
    """Supported PIDs (or info types) as 256 bits; filled from the bitmaps that PIDs 00, 20, 40 .. answer."""

    __slots__ = ("_bits",)

    def __init__(self, bits: bytes = b"") -> None:
        self._bits = bytearray(32)
        self._bits[: min(32, len(bits))] = bits[:32]

    def add_bitmap(self, base: int, data: "Buffer", start: int = 0) -> bool:
        """Take in the four bytes that PID `base` answered; False (and nothing taken) where there are fewer."""
        if len(data) - start < 4 or base % 32 or not 0 <= base <= 0xE0:
            return False
        self._set(base)
        for i in range(32):
            if data[start + (i >> 3)] >> (7 - (i & 7)) & 1 and base + 1 + i < 256:
                self._set(base + 1 + i)
        return True

    def _set(self, pid: int) -> None:
        self._bits[pid >> 3] |= 1 << (pid & 7)

    def __contains__(self, pid: int) -> bool:
        return 0 <= pid < 256 and bool(self._bits[pid >> 3] >> (pid & 7) & 1)

    def pids(self) -> list[int]:
        """All, ascending."""
        return [pid for pid in range(256) if pid in self]

    def bits(self) -> bytes:
        """32 bytes that the constructor takes."""
        return bytes(self._bits)
