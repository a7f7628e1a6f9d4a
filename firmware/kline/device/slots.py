"""The folder of a slot, /a or /b: a tree of modules, and slot.json, without which the slot counts as empty.

    slot.json   {"version": "0.1.0", "board": "ESP32_GENERIC", "files": {"kline/__init__.mpy": "<sha256 hex>", ..}}

What takes long is a generator, a step for each call that reads or writes the flash: the bus is served between them.
main.py says which slot runs. Paths are relative to the root of the file system, which must rename atomically (littlefs,
the port's own choice, does).
"""

import hashlib
import json
import os

_DIR = 0x4000
_EEXIST = 17
_PIECE = 1024


def other(slot):
    """The slot that doesn't run."""
    return "b" if slot == "a" else "a"


def clear_steps(slot):
    """Empty the slot; slot.json goes first, so that it never describes what isn't there any more."""
    _try(os.remove, slot + "/slot.json")
    yield
    yield from _empty_steps(slot)
    _try(os.remove, slot)  # something else than a folder
    yield
    _try(os.mkdir, slot)
    yield


def _empty_steps(folder):
    """Not by os.listdir() and os.stat(): in a folder of 20 files they read the flash for 0.4 and 0.15 s at once."""
    entries = []
    try:
        for entry in os.ilistdir(folder):
            entries.append(entry)
            yield
    except OSError:
        return  # there is none
    for entry in entries:
        path = folder + "/" + entry[0]
        if entry[1] == _DIR:
            yield from _empty_steps(path)
            os.rmdir(path)
        else:
            os.remove(path)
        yield


def _try(call, path):
    try:
        call(path)
    except OSError:
        pass  # not there, or there already; what matters fails again when a file is written


def folder_steps(path, made):
    """The folders in which this file will be. made: those that are known to be there"""
    parts = path.split("/")
    for i in range(1, len(parts)):
        folder = "/".join(parts[:i])
        if folder not in made:
            try:
                os.mkdir(folder)
            except OSError as error:
                if error.errno != _EEXIST:
                    raise
            made.append(folder)
            yield


def digest_steps(path):
    """The SHA-256 of a file as the file system gives it back; the generator's value."""
    sha = hashlib.sha256()
    piece = bytearray(_PIECE)
    with open(path, "rb") as file:
        yield
        n = file.readinto(piece)
        while n:
            sha.update(memoryview(piece)[:n])
            yield
            n = file.readinto(piece)
    return sha.digest()


def finish_steps(slot, version, board, files):
    """All files are there: from now on the slot counts. files: {path: SHA-256 in hex}"""
    text = json.dumps({"version": version, "board": board, "files": files})
    yield
    with open(slot + "/slot.json", "w") as file:
        yield
        file.write(text)
        yield
