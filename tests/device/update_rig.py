"""A flashed board with two slots, started by the unmodified main.py, and a PC that updates it."""

import binascii
import hashlib
import json
import os
import sys

import sim
import slot_app
from pc_side import HostLink, records
from sim.flash import Flash, PowerCut
from sim.porttimer import Timer

from kline.protocol.checksum import crc16
from kline.protocol.link.link import CLOSED, OPEN
from kline.protocol.update import bundle, codes

PASSWORD = 0x8899AABB
BOARD = {"board": "SIM", "rx": 16, "tx": 17, "led": 2, "spare": 4, "password": PASSWORD}
RESET = 75
_MAIN = os.getenv("OPENKLINE_ROOT") + "/firmware/main.py"
with open(_MAIN) as file:
    _main = compile(file.read(), "main.py", "exec")


class Late(BaseException):
    """The board's time is over. (The application goes on after an Exception.)"""


class Done(BaseException):
    """The script of the PC has seen what it waited for."""


class Failed(BaseException):
    """The script of the PC has found something wrong."""


def pack(files, version=(0, 2, 0), boards="", wbits=9, digests=None, count=None, mpy=bundle.MPY):
    """A bundle, made the slow obvious way, in stored blocks (this MicroPython has no compressor)."""
    stream = bytearray()
    for path, data in files.items():
        digest = (digests or {}).get(path) or hashlib.sha256(data).digest()
        stream += bytes((len(path),)) + path.encode() + _u32(len(data)) + digest + data
    packed = bytearray()
    for i in range(0, len(stream), 32768):
        part = stream[i : i + 32768]
        n = len(part)
        packed += bytes((i + n == len(stream), n & 255, n >> 8, n & 255 ^ 255, n >> 8 ^ 255)) + part
    count = len(files) if count is None else count
    head = b"OKB1" + bytes((1,)) + bytes(version) + bytes((mpy, wbits, len(boards))) + boards.encode()
    return head + bytes((count & 255, count >> 8)) + _u32(len(stream)) + packed


def hello(pc):
    """Script: there is a session; what the board does in its first moments it may still do."""
    yield from pc.opened()
    yield from pc.wait(0.2)
    pc.world.interrupt(Done())


def _u32(n):
    return bytes((n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 & 255))


class Pc:
    """The PC on one World: its Link, and a script, a generator that is resumed every 2 ms."""

    def __init__(self, world, script=None):
        self.world = world
        self.host = sim.UsbHost(world)
        self.link = HostLink()
        self.link.on_record = self._on_record
        self.link.on_text = lambda buf, n: self.text.extend(memoryview(buf)[:n])
        self.text = bytearray()
        self.statuses = []  # (code, state, count, wait_s)
        self.frames = []
        self.results = []  # (id, code)
        self.version = None
        self.capabilities = 0
        self._out = bytearray(160)
        self._script = script(self) if script is not None else None
        if script is not None:
            self.host.attach(self.link)
            self._next()

    def _next(self, _=None):
        if self._script is None:
            return
        try:
            next(self._script)
        except StopIteration:
            self._script = None
        except AssertionError as error:
            sys.print_exception(error)
            self._script = None
            self.world.interrupt(Failed())
        self.world.at(self.world.now + 2000, self._next)

    def _on_record(self, kind, channel, buf, start, end):
        if kind == codes.UPDATE_STATUS:
            self.statuses.append(codes.unpack_status(buf, start))
        elif kind == records.FRAME:
            self.frames.append(bytes(memoryview(buf)[start + 5 : end]))
        elif kind == records.RESULT:
            self.results.append((records.get_u16(buf, start), buf[start + 2]))
        elif kind == records.WELCOME:
            self.version = tuple(buf[start + 23 : start + 26])
            self.capabilities = records.get_u32(buf, start + 19)

    # -- parts of scripts: `yield from` ------------------------------------------------------------------------------

    def opened(self, session=0x01020305):
        """Say HELLO until there is a session."""
        if self.link.state == CLOSED:
            self.link.open(session + self.world.seed)
        while self.link.state != OPEN:
            yield

    def wait(self, seconds):
        end = self.world.now + int(seconds * 1e6)
        while self.world.now < end:
            yield

    def status(self):
        """The next status."""
        while not self.statuses:
            yield
        return self.statuses.pop(0)

    def send(self, kind, n):
        while not self.link.queue(kind, 0, self._out, n):
            yield

    def login(self, password=PASSWORD):
        yield from self.send(codes.UPDATE_OPEN, codes.pack_open(self._out, password))
        return (yield from self.status())

    def begin(self, data, crc=None, length=None, version=(0, 2)):
        crc = crc16(data, 0, len(data)) if crc is None else crc
        n = codes.pack_begin(self._out, len(data) if length is None else length, crc, *version)
        yield from self.send(codes.UPDATE_BEGIN, n)
        return (yield from self.status())

    def data(self, data, size=codes.MAX_DATA):
        for i in range(0, len(data), size):
            yield from self.send(codes.UPDATE_DATA, codes.pack_data(self._out, i, data[i : i + size]))

    def upload(self, data, **begin):
        """-> the last status: SWITCHING, or a refusal."""
        yield from self.opened()
        status = yield from self.login()
        if status[0] == codes.OK:
            status = yield from self.begin(data, **begin)
        if status[0] == codes.OK:
            yield from self.data(data)
            status = yield from self.upload_ends()
        return status

    def upload_ends(self):
        """-> the last status: SWITCHING, or a refusal."""
        while True:
            status = yield from self.status()
            if status[0] != codes.OK or status[1] == codes.STATE_SWITCHING:
                return status


class Board:
    """A flash with a version in slot a (and, for something to be removed, an older one in b)."""

    def __init__(self, blocks=64, running="0.1.0", before="0.0.9", fields=BOARD):
        self._begin(Flash(blocks))
        self.flash.power_on()
        with open("board.json", "w") as file:
            json.dump(fields, file)
        self.fill("a", running)
        if before:
            self.fill("b", before)
        with open("boot.json", "w") as file:
            json.dump({"slot": "a"}, file)

    def _begin(self, flash):
        self.flash = flash
        self.starts = 0
        self.pc = None

    def copy(self):
        """Another board with the same contents of its flash."""
        other = object.__new__(Board)
        other._begin(Flash(image=self.flash.image))
        return other

    def fill(self, slot, version, **options):
        """Put a version in a slot, as flashing does."""
        found = {}
        for path, data in slot_app.files(version, **options).items():
            parts = (slot + "/" + path).split("/")
            for i in range(1, len(parts)):
                try:
                    os.mkdir("/".join(parts[:i]))
                except OSError:
                    pass
            with open(slot + "/" + path, "wb") as file:
                file.write(data)
            found[path] = binascii.hexlify(hashlib.sha256(data).digest()).decode()
        with open(slot + "/slot.json", "w") as file:
            json.dump({"version": version, "board": "SIM", "files": found}, file)

    def start(self, script=None, limit_s=60, prepare=None):
        """From power-on to reset, power cut or the limit. -> RESET, PowerCut, Done, Late or None (main.py returned)

        script     the PC's part; None: there is no PC
        prepare    fn(world), called before the start
        """
        self.flash.power_on()
        self.starts += 1
        Timer._all.clear()  # they would keep every former World
        world = sim.World(seed=self.starts)
        self.pc = Pc(world, script)
        if prepare is not None:
            prepare(world)
        world.at(int(limit_s * 1e6), lambda _: world.interrupt(Late()))
        path = list(sys.path)
        try:
            exec(_main, {"__name__": "__main__"})
        except SystemExit as end:
            return end.value
        except (PowerCut, Late, Done) as end:
            return type(end)
        finally:
            sys.path[:] = path
            self.flash.world = None
        return None

    def digest(self, *roots):
        """One number for all that is in these files and folders."""
        sha = hashlib.sha256()
        for root in sorted(roots):
            self._add(sha, root)
        return binascii.hexlify(sha.digest())

    def _add(self, sha, path):
        sha.update(path.encode() + b"\0")
        try:
            if os.stat(path)[0] & 0x4000:
                for name in sorted(os.listdir(path)):
                    self._add(sha, path + "/" + name)
            else:
                with open(path, "rb") as file:
                    sha.update(file.read())
        except OSError:
            sha.update(b"none")
