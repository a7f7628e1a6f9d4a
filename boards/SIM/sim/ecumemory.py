"""What an ECU knows and answers: PIDs, codes, VIN .., and the readable file that describes several ECUs.

    # one item a line; everything after # is a remark
    ecu 10                      begins an ECU: its address
    protocol kwp                or iso9141
    init slow fast              what it takes; `address 33` is what it listens to at 5 baud
    key E9 8F                   key bytes
    baud 10400
    w1 100  w2 10  w3 10  w4 30  p1 0  p2 30      its times, ms
    pid 0C 0D 20                mode 01: PID and data
    codes P0133 P0301           stored; likewise `pending` and `permanent`
    vin WBAET37453NJ12345
    calibration ABC-123
    freeze P0133                what stored the freeze frame; `frozen 0C 0D 20`: a PID in it
    refuse 01 2F 12             this request gets this code
    wait 09 02 2                this request is answered by 78, twice, first
    busy 01 0C 1                this request is answered by 21, once
    silent 01 05                this request gets no answer
    raw 1A 90 = 5A 90 31        any request and its answer(s, separated by /)
    glitch 200                  a stray low of so many us before its answers
    damage 3                    so many frames with a wrong checksum
    session 5000                after so many ms without request it sleeps
"""

NRC_PID, NRC_SERVICE, PENDING, BUSY = 0x12, 0x11, 0x78, 0x21
TESTER = 0xF1
# Bytes of a J1979 request, by service: for ISO 9141, whose frames carry no length.
_REQUEST_BYTES = {1: 2, 2: 3, 3: 1, 4: 1, 5: 3, 6: 2, 7: 1, 8: 7, 9: 2, 10: 1}


class Memory:
    """pids, codes {3: [..], 7: .., 10: ..}, freeze {pid: data}, infos {info type: data}; see the module's docstring."""

    def __init__(self, ecu):
        self.ecu = ecu
        self.pids = {}
        self.codes = {3: [], 7: [], 10: []}
        self.freeze = {}
        self.infos = {}
        self.raw = {}
        self.refusals = {}
        self.waits = {}
        self.busy = {}
        self.silent = []
        self.multi = False
        self.timing = None

    # -- frames ------------------------------------------------------------------------------------------------------

    def request_size(self, message):
        """Bytes of the whole message that begins here; 0: not known yet."""
        n = len(message)
        if message[0] == 0x68 and not self.ecu.kwp:
            return 3 + _REQUEST_BYTES.get(message[3], 2) + 1 if n > 3 else 0
        if message[0] == 0x48:
            return 0
        head = 1 if message[0] < 0x40 else 3
        length = message[0] & 0x3F
        if not length:
            if n <= head:
                return 0
            length = message[head]
            head += 1
        return head + length + 1

    def from_ecu(self, frame):
        return frame[0] == 0x48 or (frame[0] >= 0x80 and frame[1] == TESTER)

    def data_of(self, frame):
        """The data of a request; b"" of one that is not for this ECU."""
        ecu = self.ecu
        if not ecu.kwp:
            return frame[3:-1] if frame[:3] == b"\x68\x6a\xf1" else b""
        head = 1 if frame[0] < 0x40 else 3
        if head == 3:
            target = frame[1]
            if frame[0] >> 6 == 3 and target not in (0x33, ecu.init_address):
                return b""
            if frame[0] >> 6 == 2 and target not in (ecu.address, ecu.init_address):
                return b""
        if not frame[0] & 0x3F:
            head += 1
        return frame[head:-1]

    def frame(self, data):
        ecu = self.ecu
        if not ecu.kwp:
            f = b"\x48\x6b" + bytes((ecu.address,)) + data
        elif ecu.key[0] & 0x0C == 0x04 and ecu.key[1] == 0x8F:
            f = bytes((len(data),)) + data
        elif len(data) > 63:
            f = bytes((0x80, TESTER, ecu.address, len(data))) + data
        else:
            f = bytes((0x80 | len(data), TESTER, ecu.address)) + data
        return f + bytes((sum(f) & 0xFF,))

    # -- answers -----------------------------------------------------------------------------------------------------

    def answer(self, request_frame):
        """Whole frames, in order."""
        request = bytes(self.data_of(request_frame))
        if not request or request in self.silent:
            return []
        if self.busy.get(request, 0):
            self.busy[request] -= 1
            return [self.refusal(request, BUSY)]
        frames = [self.refusal(request, PENDING)] * self.waits.get(request, 0)
        if request in self.refusals:
            return frames + [self.refusal(request, self.refusals[request])]
        if request in self.raw:
            return frames + [self.frame(data) for data in self.raw[request]]
        found = self._look(request)
        if found is None:
            # ISO 9141 ECUs keep silent about what they don't know.
            return frames + [self.refusal(request, NRC_PID)] if self.ecu.kwp else frames
        return frames + [self.frame(data) for data in found]

    def refusal(self, request, code):
        return self.frame(bytes((0x7F, request[0], code)))

    def _look(self, request):
        service = request[0]
        if service == 1:
            return self._live(request)
        if service == 2 and len(request) > 2:
            data = self.freeze.get(request[1]) if request[2] == 0 else None
            return None if data is None else [b"\x42" + request[1:3] + data]
        if service in self.codes:
            return self._list(service)
        if service == 4:
            self.codes[3], self.codes[7], self.freeze = [], [], {}
            return [b"\x44"]
        if service == 9 and len(request) > 1:
            return self._info(request[1])
        if service == 0x3E:
            return [b"\x7e"]
        if service == 0x81:
            return [b"\xc1" + bytes(self.ecu.key)]
        if service == 0x82:
            return [b"\xc2"]
        if service == 0x83 and self.timing is not None:
            return [b"\xc3" + request[1:2] + (b"" if request[1] == 3 else self.timing)]
        return None

    def _live(self, request):
        out = b"\x41"
        for pid in request[1:] if self.multi else request[1:2]:
            data = self._bitmap(pid) if pid % 32 == 0 else self.pids.get(pid)
            if data is None and pid == 1:
                data = bytes((0x80 | len(self.codes[3]) if self.codes[3] else 0, 7, 0, 0))
            if data is None:
                return None
            if callable(data):
                data = data()
            out += bytes((pid,)) + data
        return [out]

    def _bitmap(self, base):
        known = [p for p in list(self.pids) + [1] if base < p <= base + 32]
        if any(p > base + 32 for p in self.pids):
            known.append(base + 32)
        if not known and base:
            return None
        bits = 0
        for p in known:
            bits |= 1 << (32 - (p - base))
        return bytes([bits >> s & 255 for s in (24, 16, 8, 0)])

    def _list(self, service):
        codes = self.codes[service]
        if not codes and not self.ecu.kwp:
            return []
        frames = []
        for i in range(0, max(1, len(codes)), 3):
            data = b"".join([code_bytes(c) for c in codes[i : i + 3]])
            frames.append(bytes((service | 0x40,)) + data + bytes(6 - len(data)))
        return frames

    def _info(self, kind):
        if kind == 0:
            bits = 0
            for k in self.infos:
                bits |= 1 << (32 - k) | (1 << (33 - k) if k % 2 == 0 else 0)
            return [b"\x49\x00\x01" + bytes([bits >> s & 255 for s in (24, 16, 8, 0)])]
        if kind % 2 and kind + 1 in self.infos:
            return [bytes((0x49, kind, len(self.infos[kind + 1]) // 4))]
        data = self.infos.get(kind)
        if data is None:
            return None
        return [bytes((0x49, kind, i // 4 + 1)) + data[i : i + 4] for i in range(0, len(data), 4)]


def code_bytes(code):
    return bytes(("PCBU".find(code[0]) << 6 | int(code[1]) << 4 | int(code[2], 16), int(code[3:], 16)))


# -- the file --------------------------------------------------------------------------------------------------------


def load(wire, text):
    """The Ecus that the text describes. ValueError naming the line that isn't understood."""
    from .ecu import Ecu

    ecus = []
    for number, line in enumerate(text.split("\n")):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            if words[0] == "ecu":
                ecus.append(Ecu(wire, int(words[1], 16)))
            else:
                _item(ecus[-1], words)
        except (ValueError, IndexError, KeyError):
            raise ValueError("ECU file, line %d: %r is not understood" % (number + 1, line))
    return ecus


def _hex(words):
    return bytes([int(w, 16) for w in words])


def _item(ecu, words):
    name, rest = words[0], words[1:]
    memory = ecu.memory
    if name in ("w1", "w2", "w3", "w4", "p1", "p2"):
        for i in range(0, len(words), 2):
            if words[i] not in ("w1", "w2", "w3", "w4", "p1", "p2"):
                raise KeyError(words[i])
            setattr(ecu, words[i], int(float(words[i + 1]) * 1000))
    elif name == "protocol":
        ecu.kwp = {"kwp": True, "iso9141": False}[rest[0]]
        if not ecu.kwp:
            ecu.key, ecu.fast = (0x08, 0x08), False
    elif name == "init":
        ecu.slow, ecu.fast = "slow" in rest, "fast" in rest
    elif name == "address":
        ecu.init_address = int(rest[0], 16)
    elif name == "key":
        ecu.key = (int(rest[0], 16), int(rest[1], 16))
    elif name == "baud":
        ecu.set_baud(int(rest[0]))
    elif name == "session":
        ecu.p3_max = int(rest[0]) * 1000
    elif name == "glitch":
        ecu.glitch_us = int(rest[0])
    elif name == "damage":
        ecu.damage = [1] * int(rest[0])
    else:
        _knowledge(memory, name, rest)


def _knowledge(memory, name, rest):
    if name == "pid":
        memory.pids[int(rest[0], 16)] = _hex(rest[1:])
    elif name in ("codes", "pending", "permanent"):
        memory.codes[{"codes": 3, "pending": 7, "permanent": 10}[name]] = rest
    elif name == "vin":
        memory.infos[2] = bytes(3) + rest[0].encode()
    elif name == "calibration":
        memory.infos[4] = (rest[0].encode() + bytes(16))[:16]
    elif name == "freeze":
        memory.freeze[2] = code_bytes(rest[0])
    elif name == "frozen":
        memory.freeze[int(rest[0], 16)] = _hex(rest[1:])
    elif name == "refuse":
        memory.refusals[_hex(rest[:-1])] = int(rest[-1], 16)
    elif name in ("wait", "busy"):
        (memory.waits if name == "wait" else memory.busy)[_hex(rest[:-1])] = int(rest[-1])
    elif name == "silent":
        memory.silent.append(_hex(rest))
    elif name == "multi":
        memory.multi = True
    elif name == "raw":
        i = rest.index("=")
        answers = " ".join(rest[i + 1 :]).split("/")
        memory.raw[_hex(rest[:i])] = [_hex(a.split()) for a in answers]
    else:
        raise KeyError(name)
