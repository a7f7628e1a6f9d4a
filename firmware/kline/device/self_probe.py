"""What the board can tell `openkline doctor` of itself: what it is, and whether its files are as they were flashed.

Loaded by wire_probe.py; records: protocol/link/probe.py.
"""

import gc
import json
import os
import sys

import machine

from kline.protocol.link import probe
from kline.version import VERSION

_CHUNK = 512


class SelfProbe:
    """Answers OP_BOARD and OP_FILE, each as (code, data)."""

    def __init__(self):
        self._text = b""
        self._files = None

    def board(self, app, part):
        """A part of the JSON text; part 0 makes it again."""
        if part == 0:
            self._text = json.dumps(_describe(app)).encode()
        begin = part * probe.BOARD_PART
        more = begin + probe.BOARD_PART < len(self._text)
        return probe.PROBE_DONE if more else probe.PROBE_NO_MORE, self._text[begin : begin + probe.BOARD_PART]

    def file(self, number):
        """The number-th file of slot.json, hashed now; number 0 reads slot.json again."""
        if number == 0:
            slot = _slot()
            if slot is None:
                return probe.PROBE_NO_MORE, bytes((probe.FILE_NO_SLOT,)) + bytes(32)
            self._files = sorted(slot["files"].items())
        if self._files is None or number >= len(self._files):
            self._files = None
            return probe.PROBE_NO_MORE, None
        path, wanted = self._files[number]
        digest = _digest(_root() + path)
        if digest is None:
            return probe.PROBE_DONE, bytes((probe.FILE_MISSING,)) + bytes(32) + path.encode()
        right = "".join(["%02x" % byte for byte in digest]) == wanted
        return probe.PROBE_DONE, bytes((probe.FILE_RIGHT if right else probe.FILE_WRONG,)) + digest + path.encode()


def _describe(app):
    config = app.transport.config
    gc.collect()
    found = {
        "machine": getattr(sys.implementation, "_machine", ""),
        "micropython": sys.version,
        "version": VERSION,
        "root": _root(),
        "slots": len(app.boot.slots) if app.boot is not None else 0,
        "named": _fields("boot.json").get("slot"),
        "heap_free": gc.mem_free(),
        "reset_cause": machine.reset_cause(),
        "mode": app.mode,
        "baud": config.baud,
        "framing": config.framing,
        "errors": app.errors,
    }
    for name in ("name", "uart", "rx", "tx", "tx_invert", "rx_invert"):
        found[name] = getattr(app.board, name)
    try:
        stat = os.statvfs(".")
        found["fs_free"] = stat[0] * stat[3]
        found["fs_size"] = stat[1] * stat[2]
    except (AttributeError, OSError):
        pass
    return found


def _root():
    """Folder that the modules are imported from, with a slash; "" when it isn't known (frozen)."""
    import kline

    path = getattr(kline, "__file__", "")
    return path[: path.rfind("kline/")]


def _slot():
    """The slot.json beside our modules; None: they aren't in a slot."""
    root = _root()
    if root not in ("/a/", "/b/", "a/", "b/"):
        return None
    slot = _fields(root + "slot.json")
    return slot if isinstance(slot.get("files"), dict) else None


def _fields(path):
    try:
        with open(path) as file:
            fields = json.load(file)
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _digest(path):
    import hashlib

    sha = hashlib.sha256()
    chunk = bytearray(_CHUNK)
    view = memoryview(chunk)
    try:
        with open(path, "rb") as file:
            n = file.readinto(chunk)
            while n:
                sha.update(view[:n])
                n = file.readinto(chunk)
    except OSError:
        return None
    return sha.digest()
