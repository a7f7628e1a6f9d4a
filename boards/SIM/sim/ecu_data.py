"""What an ECU knows: live data, trouble codes, freeze frame, VIN. Requests of SAE J1979 in, data bytes out.

Layouts (SAE J1979 / ISO 15031-5 as K-line cars use it, at most seven data bytes a frame):

    01 pid                 41 pid data..
    02 pid frame           42 pid frame data..
    03, 07, 0A             43 (code code code), two bytes each, 00 where there is none; one frame for each three
    04                     44
    09 00                  49 00 01 and four bytes of bitmap;   09 01, 03, 05, 09   49 type (frames of the next type)
    09 02, 04, 06, 0A      49 type number and four bytes, a frame each; numbers from 1
"""

from .ecu_script import ScriptError, dtc_bytes, octet, octets

SERVICE_UNKNOWN = 0x11
SUBFUNCTION_UNKNOWN = 0x12


class Live:
    """One PID: a constant, a list that goes round, or a counter."""

    def __init__(self, value, what):
        self._counter = value if isinstance(value, dict) else None
        self._i = 0
        if self._counter:
            for key in ("bytes", "from", "to", "step"):
                if key not in value:
                    raise ScriptError(what + ": a counter has bytes, from, to, step")
            self._now = value["from"]
        elif isinstance(value, (list, tuple)) and not isinstance(value[0], int):
            self._values = [octets(v, what) for v in value]
        else:
            self._values = [octets(value, what)]

    def next(self):
        if not self._counter:
            value = self._values[self._i]
            self._i = (self._i + 1) % len(self._values)
            return value
        c = self._counter
        now = self._now
        self._now = now + c["step"] if now + c["step"] <= c["to"] else c["from"]
        return now.to_bytes(c["bytes"], "big")


def live_table(fields, what):
    return {octet(int(k, 16) if isinstance(k, str) else k, what): Live(v, what) for k, v in fields.items()}


def bitmap(numbers, base):
    """Which of base+1 .. base+32 are there, the first in the highest bit; the last also stands for what follows."""
    bits = 0
    for n in numbers:
        if base < n <= base + 32:
            bits |= 1 << (base + 32 - n)
        elif n > base + 32:
            bits |= 1
    return bits.to_bytes(4, "big")


class Data:
    """answer(request) -> [data, ..] | an NRC | None (says nothing)."""

    def __init__(self, setup):
        f = setup.fields
        self.setup = setup
        self.pids = live_table(f.get("pids", {}), "pids")
        self.monitors = octets(f.get("monitors", "00 00 00"), "monitors")
        self.dtcs = [dtc_bytes(d) for d in f.get("dtcs", ())]
        self.pending = [dtc_bytes(d) for d in f.get("pending", ())]
        self.permanent = None if "permanent" not in f else [dtc_bytes(d) for d in f["permanent"]]
        self.no_dtc = f.get("no_dtc", "zeros")
        self.multi_pid = f.get("multi_pid", 1)
        freeze = f.get("freeze")
        self.freeze = None if freeze is None else live_table(freeze.get("pids", {}), "freeze")
        self.freeze_dtc = b"\x00\x00" if freeze is None else dtc_bytes(freeze["dtc"])
        self.info = _info(f)

    def answer(self, request):
        service = request[0]
        found = None
        if service == 0x01:
            found = self._live(request[1:])
        elif service == 0x02:
            found = self._frozen(request[1:])
        elif service == 0x03 and len(request) == 1:
            return self._codes(0x43, self.dtcs)
        elif service == 0x07 and len(request) == 1:
            return self._codes(0x47, self.pending)
        elif service == 0x0A and len(request) == 1 and self.permanent is not None:
            return self._codes(0x4A, self.permanent)
        elif service == 0x04 and len(request) == 1:
            self.clear()
            return [b"\x44"]
        elif service == 0x09 and len(request) == 2:
            found = self._vehicle(request[1])
        else:
            return self.unsupported(SERVICE_UNKNOWN)
        return self.unsupported(SUBFUNCTION_UNKNOWN) if found is None else found

    def unsupported(self, nrc):
        rule = self.setup.fields.get("unsupported")
        if rule is None:
            return nrc if self.setup.kwp else None
        return None if rule == "silent" else octet(rule, "unsupported")

    def clear(self):
        self.dtcs = []
        self.pending = []
        self.freeze = None
        self.freeze_dtc = b"\x00\x00"

    def _live(self, pids):
        if not 1 <= len(pids) <= self.multi_pid:
            return None
        data = b""
        for pid in pids:
            value = self._value(pid)
            if value is not None:
                data += bytes((pid,)) + value
        return [b"\x41" + data] if data else None

    def _value(self, pid):
        if pid in self.pids:
            return self.pids[pid].next()
        if pid % 32 == 0:
            if pid == 0 or any(p > pid for p in self.pids):
                return bitmap(list(self.pids) + [1], pid)
        elif pid == 1:
            return bytes((len(self.dtcs) | (0x80 if self.dtcs else 0),)) + self.monitors
        return None

    def _frozen(self, request):
        if len(request) != 2 or request[1] != 0:
            return None
        pid = request[0]
        value = None
        if pid == 2:
            value = self.freeze_dtc
        elif pid == 0:
            value = bitmap(list(self.freeze or ()) + [2], 0)
        elif self.freeze is not None:
            if pid in self.freeze:
                value = self.freeze[pid].next()
            elif pid % 32 == 0 and any(p > pid for p in self.freeze):
                value = bitmap(self.freeze, pid)
        return None if value is None else [b"\x42" + request + value]

    def _codes(self, answer, codes):
        if not codes and self.no_dtc == "silent":
            return None
        head = bytes((answer,))
        frames = []
        for i in range(0, max(1, len(codes)), 3):
            data = b"".join(codes[i : i + 3])
            frames.append(head + data + b"\x00" * (6 - len(data)))
        return frames

    def _vehicle(self, info):
        if info == 0:
            if not self.info:
                return None
            return [b"\x49\x00\x01" + bitmap(self.info, 0)]
        quads = self.info.get(info)
        if quads is None:
            return None
        if info & 1:
            return [bytes((0x49, info, len(quads)))]
        return [bytes((0x49, info, i + 1)) + q for i, q in enumerate(quads)]


def _info(f):
    """Types of service 09 -> their frames' four bytes each; the odd type before each says how many."""
    info = {}
    if "vin" in f:
        vin = f["vin"].encode()
        if len(vin) != 17:
            raise ScriptError("vin: expected 17 letters, not " + repr(f["vin"]))
        info[2] = b"\x00\x00\x00" + vin
    if "calibration" in f:
        info[4] = b"".join([_padded(c.encode(), 16) for c in f["calibration"]])
    if "cvn" in f:
        info[6] = b"".join([_padded(octets(c, "cvn"), 4) for c in f["cvn"]])
    if "ecu_name" in f:
        info[0x0A] = _padded(f["ecu_name"].encode(), 20)
    found = {}
    for kind, data in info.items():
        found[kind - 1] = found[kind] = [data[i : i + 4] for i in range(0, len(data), 4)]
    return found


def _padded(data, n):
    if len(data) > n:
        raise ScriptError("at most %d bytes: %r" % (n, data))
    return data + b"\x00" * (n - len(data))
