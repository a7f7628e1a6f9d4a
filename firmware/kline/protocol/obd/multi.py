"""Several PIDs of mode 01 in one request, where the ECU takes them: on a K-line some do, and the standard wants one.

    request   01 0C 0D 05      answer   41 0C 0D 20 0D 39 05 49 (each PID before its data), in one frame or several

SAE J1979 allows up to six PIDs in a request on CAN only; KWP2000 has room for them, an ISO 9141-2 answer (seven bytes)
has not. So on KWP it is tried, and given up where it fails twice in a row; the PIDs are asked one by one then.
"""

from kline.protocol.obd import pids
from kline.protocol.obd.answers import payload
from kline.protocol.obd.keybytes import KWP, KeyBytes
from kline.protocol.obd.requests import LIVE, Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

MAX_PIDS = 6

_FAILURES = 2


class MultiPids:
    """What goes into one request, and what came of it.

    takes   False: one PID in each request
    """

    def __init__(self, key: KeyBytes) -> None:
        self._failures = 0 if key.protocol == KWP else _FAILURES

    @property
    def takes(self) -> bool:
        return self._failures < _FAILURES

    def groups(self, wanted: "list[int]") -> "list[list[int]]":
        """The PIDs of each request, in order. A PID whose length is not known, or a bitmap, is asked alone."""
        found: "list[list[int]]" = []
        group: "list[int]" = []
        for pid in wanted:
            if not self.takes or not pids.length(pid) or not pid % 0x20:
                found.append([pid])
                continue
            group.append(pid)
            if len(group) == MAX_PIDS:
                found.append(group)
                group = []
        if group:
            found.append(group)
        return found

    def read(self, group: "list[int]", answers: "list[Answer]") -> "dict[int, bytes]":
        """{PID: its data} of the answers to a group of several; those that are missing are to be asked one by one.

        Of ECUs that both have a PID the first one's counts. An ECU that answers one PID only, or what can't be taken
        apart, has not understood.
        """
        request = request_of(group)
        values: "dict[int, bytes]" = {}
        for answer in answers:
            # None: not even the lengths fit, so none of it can be trusted
            found = split(payload(request, answer) or b"", group) or {}
            found.update(values)
            values = found
        if len(values) > 1:
            self._failures = 0
            return values
        self._failures += 1
        return {}


def request_of(wanted: list[int]) -> bytes:
    """Several PIDs of mode 01 in one request, for ECUs that take it. ValueError: not 1..6 PIDs."""
    if not 1 <= len(wanted) <= MAX_PIDS:
        raise ValueError("%d PIDs, must be 1..%d" % (len(wanted), MAX_PIDS))
    return bytes([LIVE] + wanted)


def split(data: "Buffer", wanted: list[int]) -> "dict[int, bytes] | None":
    """{PID: its data} of the bytes after 41; None where they can't be taken apart, or hold what was not `wanted`.

    Fuel trims (06 to 09) have a second byte in cars with banks 3 and 4: with the right length all that was asked for is
    there, or the bytes fit; where they fit with both, they can't be trusted.
    """
    one, two = _split(data, wanted, 1), _split(data, wanted, 2)
    if one is None or (two is not None and len(two) == len(wanted)):
        return two
    return one if two is None or one == two or len(one) == len(wanted) else None


def _split(data: "Buffer", wanted: list[int], trim: int) -> "dict[int, bytes] | None":
    found: dict[int, bytes] = {}
    i = 0
    while i < len(data):
        pid = data[i]
        n = trim if 0x06 <= pid <= 0x09 else pids.length(pid)
        piece = bytes(data[i + 1 : i + 1 + n])
        if not n or len(piece) < n or pid not in wanted or found.get(pid, piece) != piece:
            return None
        found[pid] = piece
        i += 1 + n
    return found
