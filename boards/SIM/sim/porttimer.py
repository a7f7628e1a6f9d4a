"""machine.Timer (hardware timers 0..3) and WDT of the ESP32 port."""

_w = None


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1
    _all = {}

    def __new__(cls, id, *args, **kw):
        if id == -1:
            raise ValueError("virtual board: Timer(-1) exists only after 1.28 (1.24 gives a hardware timer)")
        if not isinstance(id, int) or not 0 <= id <= 3:
            raise ValueError("invalid Timer number")
        key = (_w, id)
        t = cls._all.get(key)
        if t is None:
            t = cls._all[key] = object.__new__(cls)
            t._id = id
            t._event = [0, t._fire, None]
            t._on = False
        return t

    def __init__(self, id, *args, **kw):
        if args or kw:
            self.init(*args, **kw)

    def init(self, *, mode=1, callback=None, period=0xFFFFFFFF, tick_hz=1000, freq=None, hard=False):
        w = _w
        w.enter("timer_init")
        if hard:
            raise ValueError("hard Timers are not implemented")
        self._stop()
        self._period_us = int(1_000_000 / freq) if freq is not None else period * 1_000_000 // tick_hz
        if self._period_us < 1:
            raise ValueError("virtual board: a timer of period 0 never stops firing")
        self._repeat = mode
        self._callback = callback
        self._on = True
        late = 0 if mode else w.cost["timer_late"] + w.rng.below(w.cost["timer_jitter"] + 1)
        w.put(self._event, w.now + self._period_us + late)
        w.leave()

    def _stop(self):
        if self._on:
            _w.drop(self._event)
            self._on = False

    def _fire(self, _):
        w = _w
        if self._repeat:
            w.put(self._event, self._event[0] + self._period_us)
        else:
            self._on = False
        if self._callback is not None:
            w.post(self._callback, self)

    def deinit(self):
        w = _w
        w.enter("timer_deinit")
        self._stop()
        w.leave()


class WDT:
    """Ends the process like a reset when it isn't fed in time."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError("WDT: id must be 0")
        self._timeout_us = timeout * 1000
        self._event = [0, self._bite, None]
        _w.put(self._event, _w.now + self._timeout_us)

    def feed(self):
        _w.enter("misc")
        _w.drop(self._event)
        _w.put(self._event, _w.now + self._timeout_us)
        _w.leave()

    def _bite(self, _):
        _w.interrupt(SystemExit(75))
