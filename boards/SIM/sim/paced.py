"""The model's link and clock tied to this process: bytes on stdin and stdout, model time at the pace of real time.

A recurring event compares the clocks. Ahead: sleep, until then or until input comes. Behind: go on without sleeping; by
more than 10 s (a stopped process, a person at the REPL): the rest is forgiven, model time has stood still.
"""

import uselect
import usys
import utime

_STEP_US = 2000
_SLEEP_FROM_US = 1000
_FORGIVE_US = 10_000_000
_BACKLOG = 256  # bytes waiting for a full pipe or terminal: then nobody reads, and stdout stalls as on the board


class Pacer:
    """pace: False = the virtual clock with a real stdin and stdout."""

    def __init__(self, world, pace=True):
        self.world = world
        self.pace = pace
        self.end_us = None  # model time at which the process ends
        self.ends_at_eof = True
        self.first_input_us = None
        self._in = usys.stdin.buffer
        self._out = usys.stdout.buffer
        self._poll_in = uselect.poll()
        self._poll_in.register(usys.stdin, uselect.POLLIN)
        self._poll_out = uselect.poll()
        self._poll_out.register(usys.stdout, uselect.POLLOUT)
        self._open = True
        self._waiting = []
        self._zero = utime.ticks_us()
        self._event = [0, self._tick, None]
        world.usb.on_output = self._output
        world.put(self._event, _STEP_US)

    def _tick(self, _):
        w = self.world
        if self._waiting:
            self._flush()
        wait_ms = 0
        if self.pace:
            ahead = w.now - utime.ticks_diff(utime.ticks_us(), self._zero)
            if ahead > _SLEEP_FROM_US:
                wait_ms = ahead // 1000
            elif ahead < -_FORGIVE_US:
                self._zero = utime.ticks_add(self._zero, -ahead)
        if self._open:
            if self._poll_in.poll(wait_ms):
                self._read()
        elif wait_ms:
            utime.sleep_ms(wait_ms)
        if self.end_us is not None and w.now >= self.end_us:
            w.interrupt(SystemExit(0))
        w.put(self._event, w.now + _STEP_US)

    def _read(self):
        data = bytearray()
        while len(data) < 256 and self._poll_in.poll(0):
            try:
                b = self._in.read(1)
            except OSError:
                b = None
            if not b:
                self._open = False
                if self.ends_at_eof:
                    self.world.interrupt(SystemExit(0))
                break
            data.extend(b)
        if data:
            if self.first_input_us is None:
                self.first_input_us = self.world.now
            self.world.usb.arrive(data)

    def _output(self, data):
        self._waiting.append(data)
        self._flush()

    def _flush(self):
        waiting = self._waiting
        while waiting and self._poll_out.poll(0):
            self._out.write(waiting.pop(0))
        self.world.usb.read_by_host = sum([len(x) for x in waiting]) < _BACKLOG

    def finish(self):
        """Writes what is left, before the process ends."""
        self.world.usb.drain()
        while self._waiting and self._poll_out.poll(1000):
            self._out.write(self._waiting.pop(0))
