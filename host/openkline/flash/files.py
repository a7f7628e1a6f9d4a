"""The board's file system, through mpremote: what is there (by SHA-256), and making it what it should be.

Nothing of a slot counts before its slot.json, which is written last and removed first; boot.json comes by a rename, at
the very end. So a board whose flashing is cut off anywhere has either the whole old slot or none, and the next run
copies what is missing. Paths are relative: the board's current folder after a start is the root of its file system.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from openkline.documents import parse_json
from openkline.flash import tools
from openkline.flash.trouble import AGAIN, FlashError, explain
from openkline.scratch import Scratch

OnShare = Callable[[float, str], None]

_LOOK_S = 90.0
_FILE_S = 20.0  # 115200 baud and a flash sector's erasing, with room
_BLOCK = 4096
_MARK = "OPENKLINE "

# Runs on the board. One line of JSON: nothing else may be mistaken for it.
_LOOK = (
    """
import os,sys,json,hashlib,binascii,machine
F={};D=[];T={}
def h(p):
 s=hashlib.sha256();b=bytearray(512);t=0
 with open(p,'rb') as f:
  while True:
   n=f.readinto(b)
   if not n:break
   t+=n;s.update(memoryview(b)[:n])
 F[p]=(t,binascii.hexlify(s.digest()).decode())
def w(d):
 D.append(d)
 for e in os.ilistdir(d):
  p=d+'/'+e[0]
  if e[1]&0x4000:w(p)
  else:h(p)
N=[e[0] for e in os.ilistdir('.')]
for n in 'ab':
 if n in N:w(n)
for n in ('main.py','board.json','boot.json'):
 if n in N:
  h(n)
  if n!='main.py':
   try:T[n]=open(n).read()
   except ValueError:pass
v=os.statvfs('.')
i=binascii.hexlify(machine.unique_id()).decode()
r={'files':F,'folders':D,'texts':T,'free':v[0]*v[3],'id':i,'version':list(sys.implementation[1])[:3]}
print('"""
    + _MARK
    + """'+json.dumps(r))
"""
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the board has: sha256 and size in bytes by path; texts of board.json and boot.json."""

    sha256: Mapping[str, str]
    sizes: Mapping[str, int]
    folders: tuple[str, ...]
    texts: Mapping[str, str]
    free: int
    unique_id: str
    micropython: tuple[int, int, int]

    def json(self, name: str) -> dict[str, object]:
        """board.json or boot.json as an object; empty when there is none, or it is damaged."""
        try:
            found = parse_json(self.texts.get(name, "{}"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class BoardFiles:
    def __init__(self, port: str) -> None:
        self.port = port

    def look(self, doing: str = "reading the board's files") -> Seen:
        text = self._run(doing, ["exec", _LOOK], _LOOK_S)
        lines = [line for line in text.splitlines() if _MARK in line]
        try:
            found = parse_json(lines[-1].split(_MARK, 1)[1])
            files = found["files"].items()
            major, minor, patch = found["version"]
            return Seen(
                {path: sha256 for path, (_, sha256) in files},
                {path: size for path, (size, _) in files},
                tuple(found["folders"]),
                found["texts"],
                found["free"],
                found["id"],
                (major, minor, patch),
            )
        except (IndexError, ValueError, KeyError, TypeError) as error:
            raise FlashError(f"{self.port}: the board's answer was cut off (while {doing}): {AGAIN}") from error

    def put(self, seen: Seen, wanted: Mapping[str, bytes], stale: list[str], on_share: OnShare) -> list[str]:
        """Make these files so, in this order, and remove `stale` before; -> the paths that were written."""
        changed = {path: data for path, data in wanted.items() if seen.sha256.get(path) != sha256(data)}
        self._check_room(seen, changed)
        words: list[list[str]] = [["fs", "rm", f":{path}"] for path in stale if path in seen.sha256]
        words += [["fs", "mkdir", f":{folder}"] for folder in _folders(changed) if folder not in seen.folders]
        with Scratch() as folder:
            for number, (path, data) in enumerate(changed.items()):
                source = Path(folder) / str(number)
                source.write_bytes(data)
                words.append(["fs", "cp", "-f", str(source), f":{path}"])
            if words:
                self._steps("copying files to the board", words, on_share)
        return list(changed)

    def replace(self, path: str, data: bytes) -> None:
        """A file that is always whole: written beside it, then renamed."""
        with Scratch() as folder:
            source = Path(folder) / "new"
            source.write_bytes(data)
            rename = f"import os;os.rename({path + '.new'!r},{path!r})"
            words = [["fs", "cp", "-f", str(source), f":{path}.new"], ["exec", rename]]
            self._steps(f"writing {path}", words, lambda share, text: None)

    def remove(self, paths: list[str]) -> None:
        self._steps("removing files from the board", [["fs", "rm", f":{path}"] for path in paths], lambda *_: None)

    def reset(self) -> None:
        self._run("restarting the board", ["reset"], _LOOK_S)

    def _check_room(self, seen: Seen, changed: Mapping[str, bytes]) -> None:
        """Before a slot is half full. littlefs gives whole blocks; small files it puts into their folder's block."""
        need = sum(_blocks(len(data)) - _blocks(seen.sizes.get(path, 0)) for path, data in changed.items())
        if need > seen.free:
            raise FlashError(
                f"{self.port}: the board's file system has {seen.free // 1024} KiB free, the modules need "
                f"{need // 1024} KiB. Remove files from it, or make a new one: openkline flash --erase"
            )

    def _steps(self, doing: str, steps: list[list[str]], on_share: OnShare) -> None:
        done = 0

        def on_line(line: str) -> None:
            nonlocal done
            if line.startswith(("cp ", "rm ", "mkdir ")):
                done += 1
                on_share(done / len(steps), line.split(" :")[-1])

        words: list[str] = []
        for step in steps:
            words += [*step, "+"]
        self._run(doing, words[:-1], _LOOK_S + _FILE_S * len(steps), on_line)

    def _run(self, doing: str, words: list[str], timeout_s: float, on_line: Callable[[str], None] | None = None) -> str:
        done = tools.run("mpremote", ["connect", self.port, "resume", *words], timeout_s, on_line)
        if not done.ok:
            raise explain(self.port, doing, done.text, done.status)
        return done.text


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _folders(paths: Mapping[str, bytes]) -> list[str]:
    """All folders above these paths, the outer before the inner."""
    found = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 1)}
    return sorted(found)
