"""How an ECU hears requests, judges their timing and form, and answers; the session's beginning and end."""

from .ecu_data import SERVICE_UNKNOWN, SUBFUNCTION_UNKNOWN
from .ecu_frames import complete, data_of, encode, good, words
from .ecu_script import octet, octets, pick, us
from .ecu_timing import DEFAULTS, timing_of, within
from .ecu_transmitter import Item

PENDING_MS = 100
BYTE_LATE_US = 2_000
LEAST_FRAME = 3


class Session:
    """open: initialised. The tester's bytes come in by byte(); P3max closes it."""

    def __init__(self, ecu):
        self.ecu = ecu
        self.world = ecu.world
        self.setup = ecu.setup
        self.open = False
        self.limits = dict(ecu.setup.limits)
        self.codes = DEFAULTS  # AccessTimingParameters in force
        self._timed_out = False
        self._rx = bytearray()
        self._ignore = ""  # why the current frame isn't answered
        self._late = False
        self._p4 = []
        self._gap = 0
        self._timer = None
        self._p3_timer = [0, self._look_at_p3, None]
        self._p3_waits = False

    def begin(self, how):
        self.open = True
        self._timed_out = False
        self.set_timing(DEFAULTS)
        self.ecu.notes.event("session", how)
        self._arm_p3()

    def close(self, why):
        if self.open:
            self.open = False
            self.ecu.notes.event("session_end", why)
            self.ecu.sender.abort()
        self._timed_out = why == "P3"
        self.forget()

    def forget(self):
        """The bytes of a request heard so far."""
        self._rx = bytearray()
        self._ignore = ""
        self._late = False
        self._stop_timer()

    def set_timing(self, codes):
        """AccessTimingParameters' five bytes; the defaults mean what the script says."""
        self.codes = codes
        self.limits = dict(self.setup.limits)
        self.p2_us = None
        if codes != DEFAULTS:
            t = timing_of(codes)
            self.limits["P3"] = t["P3"]
            self.limits["P4"] = (t["P4"], max(20_000, t["P4"]))
            self.p2_us = t["P2"][0] + 1000

    # session timeout

    def _arm_p3(self):
        if not self._p3_waits and self.limits["P3"][1] is not None:
            self._p3_waits = True
            self.world.put(self._p3_timer, self._p3_due())

    def _p3_due(self):
        return max(self.ecu.bus_end_us + self.limits["P3"][1] + 1, self.world.now)

    def _look_at_p3(self, _):
        self._p3_waits = False
        if not self.open or self.limits["P3"][1] is None:
            return
        busy = self.ecu.ear.active or self._rx or self.ecu.sender.items or self.ecu.sender.speaking
        if self.world.now < self._p3_due() or busy:
            self._p3_waits = True
            self.world.put(self._p3_timer, max(self._p3_due(), self.world.now + BYTE_LATE_US))
        else:
            self.close("P3")

    # bytes

    def byte(self, value, flags, gap):
        """One of the tester's; gap: from the byte before on the wire, anyone's, to its start bit."""
        if self._late:
            if gap < self.limits["P3"][0]:
                self._late = False
                self._drop("P4", gap)
            else:
                self._give_up()
        if self._rx or self._ignore:
            if not self._ignore:
                self._p4.append(gap)
                if not within(self.limits["P4"], gap):
                    self._drop("P4", gap)
        else:
            self._first(gap)
        self._rx.append(value)
        if flags and not self._ignore:
            self._drop("framing", value)
        self._start_timer(self.limits["P4"][1] + 1)
        if not self._ignore and complete(self._rx, self.setup.kwp):
            self._finish()

    def _first(self, gap):
        self._p4 = []
        self._gap = gap
        if self.ecu.init.starting:
            return
        longest = self.limits["P3"][1]
        if self.open and longest is not None and gap > longest:
            self.close("P3")
        if not self.open:
            if self._timed_out:
                self._timed_out = False
                self._drop("P3", gap)
            else:
                self._ignore = "no_session"
        elif self.ecu.sender.items:
            self._drop("pending", gap)
        elif not within((self.limits["P3"][0], None), gap):
            self._drop("P3", gap)

    def _drop(self, name, measured):
        self.ecu.notes.refuse(name, measured)
        self._ignore = name
        self.ecu.init.start_failed()

    def _start_timer(self, after_us):
        self._stop_timer()
        self._timer = self.world.at(self.world.now + after_us, self._silence)

    def _stop_timer(self):
        if self._timer is not None:
            self.world.drop(self._timer)
            self._timer = None

    def _silence(self, _):
        """P4max is over, and a byte may have begun in time."""
        self._timer = None
        if self.ecu.ear.active:
            self._timer = self.world.at(self.world.now + BYTE_LATE_US, self._silence)
        elif self._late or self._ignore:
            self._give_up()
        elif not self.setup.kwp and len(self._rx) >= 5 and good(self._rx):
            self._finish()
        else:
            self._late = True  # until P3min, to tell a late byte from a missing one
            self._timer = self.world.at(self.ecu.bus_end_us + self.limits["P3"][0] + BYTE_LATE_US, self._silence)

    def _give_up(self):
        if self._ignore == "no_session":
            if len(self._rx) < LEAST_FRAME:
                self.ecu.notes.event("stray", words(self._rx))  # noise, or another ECU's initialisation
            else:
                self.ecu.notes.refuse("no_session", words(self._rx))
        elif not self._ignore:
            whole = not self.setup.kwp and len(self._rx) >= 5
            self.ecu.notes.refuse("checksum" if whole else "length", words(self._rx))
            self.ecu.init.start_failed()
        self.forget()

    # frames

    def _finish(self):
        """A whole frame: its form, then its meaning."""
        frame = bytes(self._rx)
        p4 = self._p4
        starting = self.ecu.init.starting
        self.forget()
        notes = self.ecu.notes
        if not good(frame):
            self._bad("checksum", words(frame))
            return
        data = data_of(frame, self.setup)
        if data is None:
            self._bad("header", words(frame))
        elif not data:  # for another ECU
            notes.event("not_mine", words(frame))
            self._bad("", "")
        elif starting and data != b"\x81":
            self._bad("start_communication", words(frame))
        else:
            notes.accept("start_communication" if starting else "P3", words(frame) if starting else self._gap)
            for gap in {min(p4), max(p4)} if p4 else ():
                notes.accept("P4", gap)
            notes.request(self.world.now, frame)
            self._answer(data)

    def _bad(self, name, measured):
        if name:
            self.ecu.notes.refuse(name, measured)
        self.ecu.init.start_failed()

    # answers

    def _answer(self, data):
        rule = pick(self.setup.rules, data)
        ecu = self.ecu
        if rule.get("reset"):
            ecu.reset()
            return
        then = None
        found, then = self._service(data)
        if isinstance(found, int):
            found = [bytes((0x7F, data[0], found))]
        found = found or []
        if rule.get("silent"):
            found = []
        elif "nrc" in rule:
            found, then = [bytes((0x7F, data[0], octet(rule["nrc"], "nrc")))], None
        elif "answer" in rule:
            answer = rule["answer"]
            found = [octets(a, "answer") for a in (answer if isinstance(answer, list) else [answer])]
        frames = [self._spoiled(encode(d, self.setup), rule) for d in found]
        if "raw" in rule:
            frames = [octets(rule["raw"], "raw")]
        ecu.sender.queue(self._items(frames, data, rule), then)

    def _spoiled(self, frame, rule):
        if rule.get("bad_checksum"):
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
        return frame[: rule["truncate"]] if "truncate" in rule else frame

    def _items(self, frames, data, rule):
        ecu = self.ecu
        p1 = us(rule["p1_ms"]) if "p1_ms" in rule else ecu.own("P1")
        p2 = self._p2(rule)
        items = []
        if "glitch_ms" in rule:
            items.append(Item(b"\x00", us(rule["glitch_ms"]), 0, 0, rule.get("glitch_us", 0)))
        for _ in range(rule.get("pending", 0)):
            wait = us(rule.get("pending_ms", PENDING_MS)) if items else p2
            items.append(Item(encode(bytes((0x7F, data[0], 0x78)), self.setup), wait, p1, min(wait, p2)))
        wait = us(rule.get("pending_ms", PENDING_MS)) if rule.get("pending") else p2
        wait += us(rule.get("delay_ms", 0))
        for frame in frames:
            for _ in range(rule.get("repeat", 1)):
                items.append(Item(frame, wait, p1, min(wait, p2)))
                wait = 0 if rule.get("no_gap") else self._p2(rule)
        return items

    def _p2(self, rule):
        if "p2_ms" in rule:
            return us(rule["p2_ms"])
        return self.p2_us if self.p2_us is not None else self.ecu.own("P2")

    def _service(self, data):
        """-> (answers as Data.answer gives them, what to do after them)"""
        service = data[0]
        s = self.setup
        if s.kwp:
            if service == 0x81:
                if self.ecu.init.starting:
                    self.ecu.init.stop()
                    self.begin("fast init")
                return [b"\xc1" + s.key_bytes], None
            if service == 0x82:
                return [b"\xc2"], self._stopped
            if service == 0x3E:
                return (None if data[1:] == b"\x02" else [b"\x7e"]), None
            if service == 0x83 and s.offers_timing is not None:
                return self._timing(data)
            if service in (0x83, 0x3E):
                return SERVICE_UNKNOWN, None
        return self.ecu.data.answer(data), None

    def _stopped(self):
        self.close("StopCommunication")

    def _timing(self, data):
        kind = data[1] if len(data) > 1 else 0xFF
        head = b"\xc3" + data[1:2]
        if kind == 0 and len(data) == 2:
            return [head + self.setup.offers_timing], None
        if kind == 1 and len(data) == 2:
            return [head], lambda: self.set_timing(DEFAULTS)
        if kind == 2 and len(data) == 2:
            return [head + self.codes], None
        if kind == 3 and len(data) == 7:
            wanted, best = data[2:], self.setup.offers_timing
            if wanted[0] >= best[0] and wanted[2] >= best[2] and wanted[3] <= best[3] and wanted[4] >= best[4]:
                return [head], lambda: self.set_timing(wanted)
        return SUBFUNCTION_UNKNOWN, None
