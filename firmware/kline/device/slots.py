"""The folder of a slot, /a or /b: a tree of modules, and slot.json, without which the slot counts as empty.

    slot.json   {"version": "0.1.0", "board": "ESP32_GENERIC", "files": {"kline/__init__.mpy": "<sha256 hex>", ..}}

What takes long is a generator, a step for each file or piece. main.py says which slot runs. Paths are relative to the
root of the file system, which must rename atomically (littlefs, the port's own choice, does).
"""

import hashlib
import json
import os

_DIR = 0x4000
_PIECE = 1024


def other(slot):
    """The slot that doesn't run."""
    return "b" if slot == "a" else "a"


def clear_steps(slot):
    """Empty the slot; slot.json goes first, so that it never describes what isn't there any more."""
    for path in (slot + "/slot.json", slot):
        yield from _remove_steps(path)
    os.mkdir(slot)


def _remove_steps(path):
    try:
        mode = os.stat(path)[0]
    except OSError:
        return
    if mode & _DIR:
        for name in os.listdir(path):
            yield from _remove_steps(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
    yield


def make_folders(path):
    """The folders in which this file will be."""
    parts = path.split("/")
    for i in range(1, len(parts)):
        try:
            os.mkdir("/".join(parts[:i]))
        except OSError:
            pass  # it is there; if it isn't, opening the file says so


def digest_steps(path):
    """The SHA-256 of a file as the file system gives it back; the generator's value."""
    sha = hashlib.sha256()
    piece = bytearray(_PIECE)
    with open(path, "rb") as file:
        n = file.readinto(piece)
        while n:
            sha.update(memoryview(piece)[:n])
            yield
            n = file.readinto(piece)
    return sha.digest()


def finish(slot, version, board, files):
    """All files are there: from now on the slot counts. files: {path: SHA-256 in hex}"""
    with open(slot + "/slot.json", "w") as file:
        json.dump({"version": version, "board": board, "files": files}, file)


def free_bytes():
    """Room in the file system."""
    stat = os.statvfs(".")
    return stat[1] * stat[4]
