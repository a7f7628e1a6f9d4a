"""machine.Pin and time_pulse_us of the ESP32 port."""

from .pads import FLOATING, GPIO_OD, GPIO_OUT, UART_TX

_w = None


class _Irq:
    """What pin.irq() returns."""

    def __init__(self, pin):
        self._pin = pin
        self._trigger = 0
        self._handler = None

    def __call__(self):
        if self._handler is not None:
            self._handler(self._pin)

    def trigger(self, *args):
        """Returns the former trigger; trigger(0) masks."""
        w = _w
        w.enter("irq_trigger")
        was = self._trigger
        if args:
            self._set(args[0])
        w.leave()
        return was

    def _set(self, trigger):
        listeners = self._pin._pad.net.listeners
        if trigger and not self._trigger:
            listeners.append(self._edge)
        elif self._trigger and not trigger:
            self._remove(listeners)
        self._trigger = trigger

    def _remove(self, listeners):
        # a new list: this may run while the old one is being walked through
        edge = self._edge
        self._pin._pad.net.listeners = [fn for fn in listeners if fn != edge]

    def _edge(self, level):
        if self._trigger & (1 if level else 2) and self._handler is not None:
            _w.post(self._handler, self._pin)


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5
    DRIVE_0, DRIVE_1, DRIVE_2, DRIVE_3 = range(4)

    def __new__(cls, id, *args, **kw):
        if isinstance(id, Pin):
            return id
        pad = _w.board.pad(id)
        pin = getattr(pad, "pin", None)
        if pin is None:
            pin = object.__new__(cls)
            pin._pad = pad
            pin._irq = _Irq(pin)
            pad.pin = pin
        return pin

    def __init__(self, id, *args, **kw):
        if args or kw:
            self.init(*args, **kw)

    def __repr__(self):
        return "Pin(%d)" % self._pad.number

    def init(self, mode=None, pull=-1, *, value=None, drive=None, hold=None):
        w = _w
        w.enter("pin_init")
        pad = self._pad
        if value is not None:
            pad.latch = 1 if value else 0
        if mode is not None:
            if mode not in (1, 3, 7):
                raise ValueError("virtual board: unknown pin mode " + str(mode))
            if pad.input_only and mode != 1:
                raise ValueError("pin can only be input")
            if mode == 1 and pad.rx_of is not None and w.board.pin_in_cuts_rx:
                pad.rx_of.cut_rx()
        if pull != -1:
            pad.pull = pull or 0
        if mode is None:
            if pad.source != UART_TX:
                pad.update()
        else:
            pad.drive({1: FLOATING, 3: GPIO_OUT, 7: GPIO_OD}[mode])
        w.leave()

    def value(self, *args):
        w = _w
        w.enter("pin_value")
        pad = self._pad
        if args:
            pad.latch = 1 if args[0] else 0
            if pad.source != UART_TX:
                pad.update()
            v = None
        else:
            v = pad.net.level
        w.leave()
        return v

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(1 - self._pad.latch)

    def irq(self, handler=None, trigger=3, wake=None):
        w = _w
        w.enter("pin_irq")
        if wake is not None:
            raise NotImplementedError("virtual board: no sleep, no wake")
        if trigger not in (1, 2, 3) and handler is not None:
            raise NotImplementedError("virtual board: only IRQ_FALLING, IRQ_RISING")
        irq = self._irq
        irq._handler = handler
        irq._set(trigger if handler is not None else 0)
        w.leave()
        return irq


def time_pulse_us(pin, level, timeout_us=1_000_000):
    """-2: never had the level; -1: had it for the whole time. No callback runs inside."""
    w = _w
    w.enter("pulse")
    net = pin._pad.net
    end = w.now + timeout_us
    while net.level != level and w.step(end):
        pass
    if net.level != level:
        r = -2
    else:
        start = w.now
        end = start + timeout_us
        while net.level == level and w.step(end):
            pass
        r = -1 if net.level == level else w.now - start
    w.leave()
    return r
