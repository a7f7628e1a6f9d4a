"""Reads what a car is: a JSON file with // comments, or a dict of the same form.

Bytes are hex text, "E9 8F" (in a dict also bytes, or an int for one byte); times are ms and may have fractions.

    {
      "name": "petrol, 2003",
      "protocol": "iso9141",         // iso9141, kwp_slow, kwp_fast, kwp (slow and fast)
      "address": "33",               // slow init; the ECU answers its complement
      "functional": "33",            // KWP: target of requests that concern everyone; "tester": "F1"
      "baud": 10400,                 // also of the sync byte
      "key_bytes": "08 08",          // in the order in which they are sent
      "timing_ms": {"W1": 100, "W2": 10, "W3": 5, "W4": 30, "P1": 0, "P2": [26, 40]},   // its own; a pair: drawn
      "limits_ms": {"P4": [0, 20], "W0": [2, null]},      // what it allows the tester; names: sim/ecu_timing.py
      "reinit": true,                // takes an initialisation while a session is open
      "boot_ms": 0,                  // deaf for so long after ignition and reset
      "answer_header": "addressed",  // KWP: addressed, extra_length (80 F1 10 len ..), short (0n ..: no addresses)
      "unsupported": "silent",       // or an NRC; left out: silent for iso9141, 12 (11 for services) for KWP
      "no_dtc": "zeros",             // or "silent": what it says when there are no codes
      "multi_pid": 1,                // PIDs that it takes in one request of mode 01
      "access_timing": "00 01 00 FF 00",   // best values it offers: P2min P2max P3min P3max P4min; left out: refused

      "pids": {"0C": "0D 20",                    // a constant; 00, 20, 40 .. are made from what is here, 01 from codes
               "0D": ["39", "3A"],               // one after the other, again and again
               "05": {"bytes": 1, "from": 60, "to": 130, "step": 1}},    // counts, and begins again
      "monitors": "07 65 04",        // bytes B, C, D of PID 01
      "dtcs": ["P0133"], "pending": [], "permanent": [],
      "freeze": {"dtc": "P0133", "pids": {"0C": "0D 20"}},
      "vin": "WVWZZZ1JZ3W386752", "calibration": ["0261206074"], "cvn": ["12 34 56 78"],
      "ecu_name": "ECM-EngineControl",

      "rules": [                     // the first that fits a request and isn't used up
        {"request": "01 0C",         // how its data begin; "init" for the slow init, "" for every request
         "skip": 0, "times": 2,      // leaves so many alone, then so often (left out: always)
         "nrc": "21"}],
      "ecus": [{"address": "10", "name": "engine"}, ..],   // each may say everything above anew, init_address for
                                     // address; what they don't say is as above, but pids .. rules are the first's
      "events": [{"at_s": 20, "ignition": false}, {"at_s": 30, "reset": 0}, {"at_s": 40, "fault": {a rule}, "ecu": 0}]
    }

What a rule may do with an answer, in any combination:

    nrc 12 | silent true | answer "41 0C 00 00" or a list (data) | raw "84 F1 .." (whole bytes)
    pending 2, pending_ms 200 | delay_ms 500 | p2_ms 20 | p1_ms 21 | no_gap true (its frames without a gap)
    glitch_ms 5 (a stray 00 so long after the request) | glitch_us 100 (that is a pulse so long instead of a byte)
    repeat 2 (each frame so often) | bad_checksum true | truncate 3 (bytes of each frame) | reset true (no answer)
With an init: silent true | stop_after 0..4 (bytes) | sync "54" | key_bytes ".." | complement "CD" |
    no_complement true (the address is not confirmed)
"""

import json

from .ecu_timing import LIMITS, OWN, P2_STEP_US

KINDS = {"iso9141": (True, False), "kwp_slow": (True, False), "kwp_fast": (False, True), "kwp": (True, True)}
INHERITED = ("protocol", "functional", "tester", "baud", "key_bytes", "reinit", "boot_ms", "answer_header",
             "unsupported", "no_dtc", "multi_pid", "access_timing")  # fmt: skip
OWN_KEYS = ("pids", "monitors", "dtcs", "pending", "permanent", "freeze", "vin", "calibration", "cvn", "ecu_name",
            "rules", "name", "timing_ms", "limits_ms", "address")  # fmt: skip
CAR_KEYS = ("ecus", "events")
RULE_KEYS = ("request", "skip", "times", "nrc", "silent", "answer", "raw", "pending", "pending_ms", "delay_ms", "p2_ms",
             "p1_ms", "no_gap", "repeat", "glitch_ms", "glitch_us", "bad_checksum", "truncate", "reset", "stop_after",
             "sync", "key_bytes", "complement", "no_complement")  # fmt: skip
HEADERS = ("addressed", "extra_length", "short")


class ScriptError(ValueError):
    """The text names the key and what was expected."""


def strip_comments(text):
    """JSON without // comments (a // within a string stays)."""
    lines = []
    for line in text.split("\n"):
        quoted = False
        i = 0
        while i < len(line):
            c = line[i]
            if c == "\\" and quoted:
                i += 1
            elif c == '"':
                quoted = not quoted
            elif c == "/" and not quoted and line[i + 1 : i + 2] == "/":
                line = line[:i]
                break
            i += 1
        lines.append(line)
    return "\n".join(lines)


def load(source):
    """A path or a dict -> the same as a dict."""
    if not isinstance(source, str):
        return source
    with open(source) as f:
        text = f.read()
    try:
        return json.loads(strip_comments(text))
    except ValueError as e:
        raise ScriptError(source + ": no JSON: " + str(e))


def us(ms):
    return round(ms * 1000)


def octets(value, what):
    """Hex text, bytes, a list of ints or one int -> bytes."""
    try:
        if isinstance(value, str):
            return bytes([int(word, 16) for word in value.split()])
        return bytes((value,)) if isinstance(value, int) else bytes(value)
    except (ValueError, TypeError):
        raise ScriptError(what + ': expected hex bytes like "E9 8F", not ' + repr(value))


def octet(value, what):
    b = octets(value, what)
    if len(b) != 1:
        raise ScriptError(what + ": expected one hex byte, not " + repr(value))
    return b[0]


def dtc_bytes(text):
    """ "P0133" -> 01 33; the first letter and digit are the upper four bits."""
    try:
        high = "PCBU".index(text[0]) << 6 | int(text[1]) << 4 | int(text[2], 16)
        return bytes((high, int(text[3:5], 16)))
    except (ValueError, IndexError):
        raise ScriptError("trouble code: expected one like P0133, not " + repr(text))


class Rule:
    """A rule with its count. fits(data) counts a use."""

    def __init__(self, fields):
        for key in fields:
            if key not in RULE_KEYS:
                raise ScriptError("rule: " + key + " is none of " + ", ".join(RULE_KEYS))
            if key in ("nrc", "sync", "complement"):
                octet(fields[key], "rule: " + key)
            elif key in ("raw", "key_bytes"):
                octets(fields[key], "rule: " + key)
        request = fields.get("request", "")
        self.init = request == "init"
        self.prefix = b"" if self.init else octets(request, "request")
        self.skip = fields.get("skip", 0)
        self.left = fields.get("times", -1)
        self.do = fields

    def fits(self, data):
        """data: a request's; None: an initialisation."""
        if self.init != (data is None) or self.left == 0 or (data is not None and not data.startswith(self.prefix)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.left > 0:
            self.left -= 1
        return True


def pick(rules, data):
    """The fields of the first rule that fits, else {}."""
    for rule in rules:
        if rule.fits(data):
            return rule.do
    return {}


class Setup:
    """What one ECU is, ready to use: times in us, bytes as bytes."""

    def __init__(self, fields, number):
        kind = fields.get("protocol", "iso9141")
        if kind not in KINDS:
            raise ScriptError("protocol: " + str(kind) + " is none of " + ", ".join(sorted(KINDS)))
        self.protocol = kind
        self.kwp = kind != "iso9141"
        self.slow, self.fast = KINDS[kind]
        self.name = fields.get("name", "")
        self.address = octet(fields.get("address", 0x10), "address")
        self.init_address = octet(fields.get("init_address", 0x33), "init_address")
        self.functional = octet(fields.get("functional", 0x33), "functional")
        self.tester = octet(fields.get("tester", 0xF1), "tester")
        self.baud = fields.get("baud", 10_400)
        self.key_bytes = octets(fields.get("key_bytes", "E9 8F" if self.kwp else "08 08"), "key_bytes")
        if len(self.key_bytes) != 2:
            raise ScriptError("key_bytes: expected two, not " + repr(fields["key_bytes"]))
        self.reinit = fields.get("reinit", True)
        self.boot_us = us(fields.get("boot_ms", 0))
        self.answer_header = fields.get("answer_header", "addressed")
        if self.answer_header not in HEADERS:
            raise ScriptError("answer_header: " + str(self.answer_header) + " is none of " + ", ".join(HEADERS))
        self.offers_timing = None
        if "access_timing" in fields:
            self.offers_timing = octets(fields["access_timing"], "access_timing")
        self.rules = [Rule(r) for r in fields.get("rules", ())]
        self.own = _own(fields.get("timing_ms", {}), number)
        self.limits = _limits(fields.get("limits_ms", {}), self.kwp)
        self.fields = fields


def _own(given, number):
    own = dict(OWN)
    own["P2"] += number * P2_STEP_US
    for name, ms in given.items():
        if name not in OWN:
            raise ScriptError("timing_ms: " + name + " is none of " + ", ".join(sorted(OWN)))
        own[name] = (us(ms[0]), us(ms[1])) if isinstance(ms, (list, tuple)) else us(ms)
    return own


def _limits(given, kwp):
    limits = dict(LIMITS)
    if kwp:
        limits["W0"] = limits["W5"]
    for name, pair in given.items():
        if name not in LIMITS:
            raise ScriptError("limits_ms: " + name + " is none of " + ", ".join(sorted(LIMITS)))
        limits[name] = tuple([None if ms is None else us(ms) for ms in pair])
    return limits


def setups(script):
    """The script's ECUs as Setups."""
    known = INHERITED + OWN_KEYS + CAR_KEYS
    for key in script:
        if key not in known:
            raise ScriptError(key + ": no such key in a car's script")
    found = []
    for number, ecu in enumerate(script.get("ecus", ({},))):
        fields = {key: script[key] for key in script if key in INHERITED}
        for key in ("timing_ms", "limits_ms"):
            fields[key] = dict(script.get(key, {}))
        if "address" in script:
            fields["init_address"] = script["address"]
        if number == 0:
            for key in OWN_KEYS[:-3]:
                if key in script:
                    fields[key] = script[key]
        for key, value in ecu.items():
            if key not in known and key != "init_address":
                raise ScriptError("ecus: " + key + ": no such key")
            if key in ("timing_ms", "limits_ms"):
                fields[key].update(value)
            else:
                fields[key] = value
        found.append(Setup(fields, number))
    return found
