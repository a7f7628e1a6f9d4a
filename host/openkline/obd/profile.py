"""What is worth remembering of a car: how it was reached and what it can say. One JSON file per car.

    {"kind": "fast", "address": "33", "baud": 10400, "key_bytes": "E9 8F", "ecus": ["10"], "supported": ["0C", "0D"]}

In the folder cars of the user's settings (userfiles.py).
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from kline.protocol.obd.keybytes import KeyBytes
from kline.protocol.obd.requests import PidSet
from openkline import userfiles
from openkline.documents import parse_json
from openkline.errors import OpenklineError

log = logging.getLogger("openkline.obd")

DEFAULT_NAME = "car"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
KINDS = ("slow", "fast")


@dataclass(frozen=True, slots=True)
class Profile:
    """kind: of initialisation; address: called by it; baud: of the ECU; supported: PIDs of mode 01 of all ECUs.

    p2_ms, p3_ms: so long this car is waited for after a request and before one; 0: as in the standard.
    """

    kind: str
    address: int
    baud: int
    key_bytes: bytes
    ecus: tuple[int, ...] = ()
    supported: tuple[int, ...] = ()
    vin: str = ""
    p2_ms: int = 0
    p3_ms: int = 0

    def to_json(self) -> str:
        fields = asdict(self)
        fields["address"] = f"{self.address:02X}"
        fields["key_bytes"] = self.key_bytes.hex(" ").upper()
        fields["ecus"] = [f"{ecu:02X}" for ecu in self.ecus]
        fields["supported"] = [f"{pid:02X}" for pid in self.supported]
        return json.dumps(fields, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """ValueError (KeyError, TypeError): it is none."""
        fields = parse_json(text)
        profile = cls(
            str(fields["kind"]),
            int(fields["address"], 16),
            int(fields["baud"]),
            bytes.fromhex(fields["key_bytes"]),
            tuple(int(ecu, 16) for ecu in fields.get("ecus", ())),
            tuple(int(pid, 16) for pid in fields.get("supported", ())),
            str(fields.get("vin", "")),
            int(fields.get("p2_ms", 0)),
            int(fields.get("p3_ms", 0)),
        )
        if profile.kind not in KINDS or not 0 <= profile.address <= 255 or len(profile.key_bytes) != 2:
            raise ValueError("kind, address or key bytes can't be")
        if not 1200 <= profile.baud <= 15000 or not all(0 <= pid <= 255 for pid in profile.supported):
            raise ValueError("baud or a PID can't be")
        if not all(-1 <= ecu <= 255 for ecu in profile.ecus):
            raise ValueError("the address of an ECU can't be")
        if not (0 <= profile.p2_ms <= 10_000 and 0 <= profile.p3_ms <= 4500):
            raise ValueError("P2 or P3 can't be")
        return profile

    def same_car(self, other: Profile) -> bool:
        """What is known right after the initialisation: how it speaks, who answers, and the PIDs up to 20."""
        first, second = (
            (one.address, one.key_bytes, set(one.ecus), {pid for pid in one.supported if pid <= 0x20})
            for one in (self, other)
        )
        return first == second

    def pids(self) -> PidSet:
        bits = bytearray(32)
        for pid in self.supported:
            bits[pid >> 3] |= 1 << (pid & 7)
        return PidSet(bytes(bits))

    def protocol(self) -> str:
        """For a person: `E9 8F: ISO 14230 (KWP2000), key word 2025`."""
        return KeyBytes(self.key_bytes[0], self.key_bytes[1]).text()


def folder() -> Path:
    """Where the profiles are; it need not exist."""
    return userfiles.settings_folder() / "cars"


def path_of(name: str) -> Path:
    """OpenklineError: the name is not usable as a file's."""
    if not _NAME.fullmatch(name):
        raise OpenklineError(f"{name!r}: a profile's name consists of letters, digits, and - _ . inside")
    return folder() / f"{name}.json"


def load(name: str) -> Profile | None:
    """The profile of this name; None when there is none, or it can't be read (a warning says why)."""
    path = path_of(name)
    try:
        return Profile.from_json(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s: can't be read (%s)", path, error.strerror)
    except KeyError as error:
        log.warning("%s: ignored, it is not a car's profile (it has no %s)", path, error)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        log.warning("%s: ignored, it is not a car's profile (%s)", path, error)
    return None


def save(name: str, profile: Profile) -> bool:
    """Replaces the file in one step. A disk that won't is a warning (False): the car has been read all the same."""
    path = path_of(name)
    try:
        userfiles.replace(path, profile.to_json())
    except OSError as error:
        log.warning("%s: not saved (%s)", path, error.strerror)
        return False
    return True
