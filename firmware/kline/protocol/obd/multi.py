"""Several PIDs of mode 01 in one request, where the ECU takes them: on a K-line some do, and the standard wants one.

    request   01 0C 0D 05      answer   41 0C 0D 20 0D 39 05 49 (each PID before its data), in one frame or several

SAE J1979 allows up to six PIDs in a request on CAN only; KWP2000 has room for them, an ISO 9141-2 answer (seven bytes)
has not. So on KWP it is tried, and given up where it fails twice in a row; the PIDs are asked one by one then.
"""

from kline.protocol.obd import pids, requests
from kline.protocol.obd.keybytes import KWP, KeyBytes

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
            if len(group) == requests.MAX_MULTI:
                found.append(group)
                group = []
        if group:
            found.append(group)
        return found

    def read(self, group: "list[int]", answers: "list[requests.Answer]") -> "dict[int, bytes]":
        """{PID: its data} of the answers to a group of several; those that are missing are to be asked one by one.

        Of ECUs that both have a PID the first one's counts. An ECU that answers one PID only, or what can't be taken
        apart, has not understood.
        """
        request = requests.multi_request(group)
        values: "dict[int, bytes]" = {}
        for answer in answers:
            # None: not even the lengths fit, so none of it can be trusted
            found = requests.split_multi(requests.payload(request, answer) or b"", group) or {}
            found.update(values)
            values = found
        if len(values) > 1:
            self._failures = 0
            return values
        self._failures += 1
        return {}
