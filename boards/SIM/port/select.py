"""select of the ESP32 port on the model's clock.

A poll looks at its streams, then sleeps until the next FreeRTOS tick (10 ms) and looks again. An interrupt that
schedules a callback wakes it in between: a UART's byte does so only if a UART.irq handler is registered, stdin never
does.
"""

from sim.costs import TICK_US

POLLIN = 1
POLLOUT = 4
POLLERR = 8
POLLHUP = 16

_NEVER = 1 << 60
_nothing = iter(())
_w = None


def _bind(world):
    global _w
    _w = world


class poll:
    def __init__(self):
        self._streams = []

    def _find(self, stream):
        for entry in self._streams:
            if entry[0] is stream:
                return entry
        return None

    def register(self, stream, events=POLLIN | POLLOUT):
        if not hasattr(stream, "_ready"):
            raise OSError(22)
        entry = self._find(stream)
        if entry is None:
            self._streams.append([stream, events])
        else:
            entry[1] = events

    def modify(self, stream, events):
        entry = self._find(stream)
        if entry is None:
            raise OSError(2)
        entry[1] = events

    def unregister(self, stream):
        entry = self._find(stream)
        if entry is not None:
            self._streams.remove(entry)

    def _any(self):
        for entry in self._streams:
            if entry[0]._ready(entry[1]):
                return True
        return False

    def _wait(self, timeout_ms):
        """True if a stream is ready."""
        w = _w
        w.enter("poll")
        ready = self._any()
        if not ready and timeout_ms != 0:
            ready = self._sleep(w.now + timeout_ms * 1000 if timeout_ms > 0 else _NEVER)
        return ready

    def _sleep(self, end):
        w = _w
        while w.now < end:
            if end == _NEVER and w.idle_for_ever():
                w.stuck("poll: waits for ever, and nothing will happen any more")
            tick = (w.now // TICK_US + 1) * TICK_US
            w.sleep_until(tick if tick < end else end, True)
            if self._any():
                return True
        return False

    def _list(self):
        ready = []
        for entry in self._streams:
            flags = entry[0]._ready(entry[1])
            if flags:
                ready.append((entry[0], flags))
        return ready

    def poll(self, timeout=-1):
        r = self._list() if self._wait(timeout) else []
        _w.leave()
        return r

    def ipoll(self, timeout=-1, flags=0):
        if not self._wait(timeout):
            _w.leave()
            return _nothing
        ready = self._list()
        if flags & 1:
            for stream, _ in ready:
                self.modify(stream, 0)
        _w.leave()
        return iter(ready)
