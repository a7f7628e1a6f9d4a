"""An update for the PC: takes the bundle of a new version, unpacks it into the slot that doesn't run, has it tried.

    UPDATE_OPEN -> password -> UPDATE_BEGIN -> the slot is emptied -> UPDATE_DATA .. -> CRC -> unpacked, each file
    compared with its digest -> slot.json -> boot.json -> restart

The records are those of protocol/update/codes.py. record() only notes what came; step(), once each turn of the
application, does one piece of work, so bus and link go on. Erasing a block of flash stops the CPU for some 50 ms; it
happens before the acknowledgement that lets the PC send more, so what arrives meanwhile fits the UART's FIFO.
"""

import binascii
import json
import os
import sys
from time import ticks_diff, ticks_ms

import deflate
import machine

from kline.device import slots
from kline.protocol.checksum import crc16
from kline.protocol.link.records import HELLO, get_u16, get_u32
from kline.protocol.update import bundle, codes

_BUFFER = 768
# One read of the link can complete one record of MAX_DATA and begin or hold smaller ones.
_MARGIN = 2 * codes.MAX_DATA
_SAFE = 4096  # the file is synchronised each so many bytes; the PC sees it as progress
_PIECE = 1024
_SILENCE_MS = 30_000  # without data from the PC: its client has gone
_FAREWELL_MS = 2_000
_WAITING = 1  # records for the PC; with more the flash waits, for so many turns at most
_MAX_PASSED = 300
_OPEN_S = 60
_MAX_WAIT_S = 3600
_WRONG = "wrong.json"
_FILE = "/update.okb"
_ENOSPC = 28


class _Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Updater:
    """board: name and password; boot: main.py's Boot, None without; uptime_s(): seconds since the start."""

    def __init__(self, board, boot, link, uptime_s):
        self.state = codes.STATE_IDLE
        self._board = board
        self._boot = boot
        self._link = link
        self._uptime_s = uptime_s
        self._out = bytearray(16)
        self._orders = []  # (kind, payload) for the next step
        self._due = []  # (code, state, count, wait_s) for the PC
        self._work = None
        self._passed = 0
        self._buffer = bytearray()
        self._fill = 0
        self._received = 0
        self._length = 0
        self._failed = 0
        self._opened_s = 0
        self._wrong = _read_wrong()
        self._next_try_s = _wait_s(self._wrong)

    # -- the application's side --------------------------------------------------------------------------------------

    def full(self):
        """The PC shall wait with its records."""
        return self._fill > _BUFFER - _MARGIN or len(self._orders) > 1

    def leaves(self):
        """The board restarts as soon as the PC has all that is queued for it."""
        return self.state == codes.STATE_SWITCHING

    def record(self, kind, buf, start, end):
        """A record of the PC, or HELLO of a new session. Touches no file."""
        if kind == codes.UPDATE_DATA:
            self._take(buf, start, end)
        else:
            self._orders.append((kind, bytes(memoryview(buf)[start:end])))

    def step(self):
        """One piece of work."""
        while self._orders:
            self._obey(*self._orders.pop(0))
        if self._failed:
            self._refuse(self._failed)
        if self._work is not None:
            if self.leaves() or self._bus_is_served():
                self._go_on(self._work)
        elif self.state == codes.STATE_OPEN and self._uptime_s() - self._opened_s > _OPEN_S:
            self.state = codes.STATE_IDLE
        while self._due and self._send(*self._due[0]):
            self._due.pop(0)

    def _bus_is_served(self):
        """What the bus brought during the last piece of work has gone to the PC, or doesn't get there."""
        outbox = self._link.outbox
        self._passed += 1
        if outbox.ring.count - outbox.outstanding > _WAITING and self._passed < _MAX_PASSED:
            return False
        self._passed = 0
        return True

    def _go_on(self, work):
        try:
            next(work)
        except _Refused as refused:
            self._refuse(refused.code)
        except bundle.UnsupportedError as error:
            self._refuse(codes.ERROR_UNSUPPORTED, error)
        except bundle.BundleError as error:
            self._refuse(codes.ERROR_BUNDLE, error)
        except MemoryError as error:
            self._refuse(codes.ERROR_NO_ROOM, error)
        except OSError as error:
            self._refuse(codes.ERROR_NO_ROOM if error.errno == _ENOSPC else codes.ERROR_FILE_SYSTEM, error)
        except Exception as error:
            sys.print_exception(error)
            self._refuse(codes.ERROR_FILE_SYSTEM)

    def _refuse(self, code, error=None):
        if error is not None:
            print("update:", error)
        self._stop()
        self._report(code)

    def _stop(self):
        """Back to the beginning. What is in the slot stays there; without slot.json it counts as nothing."""
        work = self._work
        self._work = None
        self._buffer = bytearray()
        self._fill = self._failed = 0
        self.state = codes.STATE_IDLE
        if work is not None:
            try:
                work.close()
            except OSError:
                pass  # closing its file: there is no more to lose

    def _report(self, code=codes.OK, count=0, wait_s=0):
        self._due.append((code, self.state, count, wait_s))

    def _send(self, code, state, count, wait_s):
        n = codes.pack_status(self._out, code, state, count, wait_s)
        return self._link.queue(codes.UPDATE_STATUS, 0, self._out, n)

    # -- orders ------------------------------------------------------------------------------------------------------

    def _obey(self, kind, data):
        if self.state == codes.STATE_SWITCHING:
            return  # too late for anything
        if kind == HELLO:
            self._due.clear()
            self._stop()
        elif kind == codes.UPDATE_ABORT:
            self._stop()
            self._report()
        elif kind == codes.UPDATE_OPEN and len(data) >= 4:
            self._open(get_u32(data, 0))
        elif kind == codes.UPDATE_BEGIN and len(data) >= 8:
            self._begin(data)

    def _open(self, password):
        if self._work is not None:
            self._report(codes.ERROR_BUSY)
            return
        self.state = codes.STATE_IDLE
        now_s = self._uptime_s()
        if self._board.password is None or self._boot is None or not self._boot.slot:
            self._report(codes.ERROR_UNSUPPORTED)
        elif now_s < self._next_try_s:
            self._report(codes.ERROR_PASSWORD, 0, self._next_try_s - now_s)
        elif password != self._board.password:
            self._wrong += 1
            self._next_try_s = now_s + _wait_s(self._wrong)
            _write_wrong(self._wrong)
            self._report(codes.ERROR_PASSWORD, 0, _wait_s(self._wrong))
        else:
            if self._wrong:
                self._wrong = 0
                _write_wrong(0)
            self.state = codes.STATE_OPEN
            self._opened_s = now_s
            self._report()

    def _begin(self, data):
        length = get_u32(data, 0)
        if self._work is not None:
            self._report(codes.ERROR_BUSY)
        elif self.state != codes.STATE_OPEN:
            self._refuse(codes.ERROR_NOT_INITIALISED)
        elif not bundle.MIN_HEADER <= length <= codes.MAX_BUNDLE:
            self._refuse(codes.ERROR_WRONG_LENGTH)
        else:
            self._length = length
            self._work = self._steps(get_u16(data, 4), (data[6], data[7]))

    # -- the bundle --------------------------------------------------------------------------------------------------

    def _take(self, buf, start, end):
        """UPDATE_DATA, as it comes from the link."""
        n = end - start - 4
        if self._failed:
            return
        if self.state == codes.STATE_UNPACKING:
            self._failed = codes.ERROR_WRONG_LENGTH
        elif self.state != codes.STATE_WRITING:
            pass  # what was under way when the update was refused
        elif not 0 < n <= min(codes.MAX_DATA, _BUFFER - self._fill) or get_u32(buf, start) != self._received:
            self._failed = codes.ERROR_CHUNK
        elif self._received + n > self._length:
            self._failed = codes.ERROR_WRONG_LENGTH
        else:
            self._buffer[self._fill : self._fill + n] = memoryview(buf)[start + 4 : end]
            self._fill += n
            self._received += n

    def _steps(self, crc, version):
        """The whole update, from the empty slot to the restart."""
        slot = slots.other(self._boot.slot)
        yield from slots.clear_steps(slot)
        # Whether there is room shows as it is written: asking for it reads the whole file system, 0.5 to 2 s.
        if (yield from self._receive_steps(slot + _FILE)) != crc:
            raise _Refused(codes.ERROR_CRC)
        self.state = codes.STATE_UNPACKING
        self._report(codes.OK, self._length)
        yield
        yield from self._unpack_steps(slot, version)
        yield
        self._boot.try_next(slot)
        yield
        self.state = codes.STATE_SWITCHING
        self._report(codes.OK, self._length)
        yield
        begun_ms = ticks_ms()
        while self._link.outbox.ring.used and ticks_diff(ticks_ms(), begun_ms) < _FAREWELL_MS:
            yield
        machine.reset()

    def _receive_steps(self, path):
        """Write what the PC sends; the generator's value is its CRC."""
        crc = 0xFFFF
        self._buffer = bytearray(_BUFFER)
        self._received = 0
        written = safe = 0
        with open(path, "wb") as file:
            yield
            self.state = codes.STATE_WRITING
            self._report()
            heard_ms = ticks_ms()
            while written < self._length:
                yield
                n = self._fill
                if n:
                    file.write(memoryview(self._buffer)[:n])
                    crc = crc16(self._buffer, 0, n, crc)
                    self._fill = 0
                    written += n
                    heard_ms = ticks_ms()
                elif ticks_diff(ticks_ms(), heard_ms) >= _SILENCE_MS:
                    raise _Refused(codes.ERROR_WRONG_LENGTH)
                if written - safe >= _SAFE and written < self._length:
                    yield
                    file.flush()
                    safe = written
                    self._report(codes.OK, safe)
        self._report(codes.OK, written)
        return crc

    def _unpack_steps(self, slot, version):
        path = slot + _FILE
        files = {}
        made: "list[str]" = []
        with open(path, "rb") as file:
            header = bundle.parse_header(file.read(bundle.MAX_HEADER))
            if not header.fits(self._board.name):
                raise _Refused(codes.ERROR_WRONG_BOARD)
            if header.version[:2] != version:
                raise bundle.BundleError("version %s, announced was %s" % (header.version, version))
            yield
            file.seek(header.size)
            unpacker = bundle.Unpacker(deflate.DeflateIO(file, deflate.RAW, header.wbits), header)
            piece = bytearray(_PIECE)
            while unpacker.next_file():
                yield from slots.folder_steps(slot + "/" + unpacker.path, made)
                yield from _file_steps(slot + "/" + unpacker.path, unpacker, piece)
                files[unpacker.path] = binascii.hexlify(unpacker.digest).decode()
        os.remove(path)
        yield
        yield from slots.finish_steps(slot, "%d.%d.%d" % header.version, self._board.name, files)


def _file_steps(path, unpacker, piece):
    """Write one file, and compare what the file system gives back with its digest."""
    with open(path, "wb") as file:
        yield
        n = unpacker.read(piece)
        while n:
            file.write(memoryview(piece)[:n])
            yield
            n = unpacker.read(piece)
    yield
    if (yield from slots.digest_steps(path)) != unpacker.digest:
        raise bundle.BundleError("%s is not what its digest says" % unpacker.path)


# Wrong passwords in a row outlive a restart: or pulling the plug would be the faster way to guess.


def _wait_s(wrong):
    """Seconds until the next try counts: 1, 2, 4 .. 3600."""
    return min(_MAX_WAIT_S, 1 << min(wrong - 1, 12)) if wrong else 0


def _read_wrong():
    try:
        with open(_WRONG) as file:
            return max(0, int(json.load(file)))
    except Exception:  # no file, or whatever damage made of it
        return 0


def _write_wrong(count):
    try:
        with open(_WRONG, "w") as file:
            json.dump(count, file)
    except OSError as error:
        print("update:", _WRONG, error)
