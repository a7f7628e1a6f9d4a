"""time of the ESP32 port on the model's clock. ticks are modulo 2**30; the epoch is 2000-01-01, at power-on."""

import utime
from sim.ticks import MASK as _MASK
from sim.ticks import ticks_add, ticks_diff

_EPOCH = 946684800
_w = None


def _bind(world):
    global _w
    _w = world


def ticks_us():
    w = _w
    w.enter("ticks")
    t = (w.now + w.ticks_us0) & _MASK
    w.leave()
    return t


def ticks_ms():
    w = _w
    w.enter("ticks")
    t = (w.now // 1000 + w.ticks_ms0) & _MASK
    w.leave()
    return t


ticks_cpu = ticks_us


def _sleep(us):
    w = _w
    w.enter("sleep")
    w.serve()
    if us > 0:
        w.sleep_until(w.now + us)
    w.leave()


def sleep(s):
    _sleep(int(s * 1_000_000))


def sleep_ms(ms):
    _sleep(ms * 1000)


def sleep_us(us):
    """The port's busy wait; it serves callbacks until 150 us before its end."""
    w = _w
    w.enter("sleep")
    end = w.now + us - 5
    if us > 155:
        w.serve()
        w.sleep_until(end - 150)
    if end > w.now:
        w.run_until(end)
    w.leave()


def time():
    return _w.now // 1_000_000


def time_ns():
    return _w.now * 1000


def gmtime(t=None):
    return utime.gmtime((time() if t is None else t) + _EPOCH)[:8]


localtime = gmtime


def mktime(t):
    return utime.mktime(t + (0,) if len(t) == 8 else t) - _EPOCH
