"""The model's clock, its events, and the points at which the firmware's scheduled callbacks run.

Model time is `now`, a plain count of microseconds from power-on. It passes only inside the firmware's calls of machine,
time, select, gc and the streams: each call begins with enter(), which lets its cost pass, and ends with leave().

Callbacks of Pin, Timer and UART interrupts are run by the real scheduler of the VM, at jump opcodes, as on the board.
The model's own code has jumps too, hence the rules: `busy` is set before the first jump of a call; the trampoline does
nothing while it is set; leave() schedules the trampoline with no jump opcode behind it, and is a call's last statement.
"""

import os

import usys

from . import bytecode
from .board import Board
from .costs import COSTS, SCHED_DEPTH
from .rng import Rng
from .shims import REAL, bind
from .usb import UsbLink
from .wire import Wire

schedule = REAL["micropython"].schedule

TICKS_MASK = (1 << 30) - 1
_NEVER = 1 << 61
_current = None


def current():
    """The newest World."""
    return _current


class Stuck(Exception):
    """On the virtual clock: the firmware waits for something that no event will ever bring."""


class World:
    """One board, one wire, one clock.

    clock         "virtual" (as fast as it goes, deterministic) or "paced" (model time follows real time)
    ticks_us      what the firmware reads at power-on: 10 s before the wrap unless given; ticks_ms likewise
    board         {"rx": 16, "tx": 17, "led": 2, "tx_invert": True, "rx_invert": False, ..} as in board.json
    chip          "160", "240" or "c3": Python and the hardware's calls cost what they do on that chip (costs.CHIPS;
                  needs the copy of the firmware that tests/charging makes), "": Python costs nothing. None: what
                  $OPENKLINE_CHIP says
    reset_cause   machine.reset_cause(): 1 power-on, 2 hard reset, 5 soft reset
    pin_in_cuts_rx  Pin(rx, Pin.IN) after the UART exists cuts RX off, as it can on silicon [I]
    """

    def __init__(
        self,
        seed=1,
        clock="virtual",
        ticks_us=None,
        ticks_ms=None,
        board=None,
        reset_cause=1,
        pin_in_cuts_rx=True,
        chip=None,
    ):
        global _current
        self.seed = seed
        self.rng = Rng(seed)
        self.now = 0
        self.ticks_us0 = TICKS_MASK + 1 - 10_000_000 if ticks_us is None else ticks_us
        self.ticks_ms0 = TICKS_MASK + 1 - 13_000 if ticks_ms is None else ticks_ms
        self.cost = dict(COSTS)
        self.charger = None  # bytecode.py: what charges for the firmware's Python
        self.before_call = None  # fn(name), before each hardware call; may call burn(us)
        self.reset_cause = reset_cause
        self.adc_uv = 2_210_500  # on every pin with an ADC: 12.6 V through a divider of 5.7
        self._queue = [[_NEVER, None, None]]  # latest first; an event is a list [t_us, fn, arg]
        # callbacks that became due, (callback, argument), and the machinery that runs them
        self.due = []
        self.attention = False  # due is not empty, or `raising` waits
        self.raising = None
        self.armed = False
        self.busy = False
        self.in_callback = False
        self.dropped = 0  # callbacks lost because the queue was full
        self.callbacks = 0
        self.errors = []  # exceptions that callbacks raised
        self.irq_off = False
        self._held = []
        self._trampoline = self._run_one
        self.wire = Wire(self)
        self.board = Board(self, board or {}, pin_in_cuts_rx)
        self.usb = UsbLink(self)
        bytecode.stop()
        chip = os.getenv("OPENKLINE_CHIP") if chip is None else chip
        if chip:
            self.charger = bytecode.Charger(self, chip)
        _current = self
        bind(self)
        if clock == "paced":
            from .paced import Pacer

            self.pacer = Pacer(self)
        elif clock != "virtual":
            raise ValueError("clock: virtual or paced, not " + str(clock))

    # events

    def put(self, event, t):
        """Queues a reusable event [t, fn, arg] for time t (not earlier than now); it must not be queued already."""
        event[0] = t
        q = self._queue
        i = len(q)
        while q[i - 1][0] <= t:
            i -= 1
        q.insert(i, event)
        if self.charger is not None and i == len(q) - 1 and not self.busy:
            self.charger.look_ahead()

    def drop(self, event):
        """Takes a queued event back."""
        q = self._queue
        i = len(q) - 1
        while i:
            if q[i] is event:
                q.pop(i)
                return
            i -= 1

    def at(self, t, fn, arg=None):
        """Calls fn(arg) at model time t; returns the event for drop()."""
        event = [t, fn, arg]
        self.put(event, t if t > self.now else self.now)
        return event

    def run_until(self, t):
        """Lets model time pass; callbacks that become due are kept for the VM's next jump."""
        q = self._queue
        while q[-1][0] <= t:
            e = q.pop()
            self.now = e[0]
            e[1](e[2])
        self.now = t

    def run_for(self, us):
        self.run_until(self.now + us)

    burn = run_for

    def step(self, t):
        """Runs the next event if it comes by t, else moves now to t. False when t is reached."""
        q = self._queue
        if q[-1][0] > t:
            self.now = t
            return False
        e = q.pop()
        self.now = e[0]
        e[1](e[2])
        return True

    def idle_for_ever(self):
        """No event is waiting: only the firmware itself can make something happen."""
        return len(self._queue) == 1

    def next_event(self):
        """When."""
        return self._queue[-1][0]

    def stuck(self, text):
        """The firmware waits, and idle_for_ever(): raises Stuck."""
        raise Stuck(text)

    # the firmware's calls

    def enter(self, name):
        self.busy = True
        if self.before_call is not None:
            self.before_call(name)
        t = self.now + self.cost[name]
        if self.charger is not None:
            t += self.charger.owed_us()
        if self._queue[-1][0] > t:
            self.now = t
        else:
            self.run_until(t)

    def leave(self):
        if self.charger is not None:
            self.charger.look_ahead()
        if self.armed or not self.attention:
            self.busy = False
            return
        if self.raising is not None and not self.in_callback:
            self._raise()
        self.armed = True
        self.busy = False
        schedule(self._trampoline, None)

    def _raise(self):
        e = self.raising
        self.raising = None
        self.attention = bool(self.due)
        self.busy = False
        raise e

    def interrupt(self, exception):
        """Raises this in the firmware's code at the next opportunity (Ctrl-C, reset from a callback)."""
        self.raising = exception
        self.attention = True

    def sleep_until(self, t, tick_limit=None):
        """A C call that waits and serves callbacks meanwhile. Returns at t, or after callbacks ran if tick_limit."""
        while self.now < t:
            if self.in_callback:
                self.run_until(t)
                return
            while not self.attention and self.step(t):
                pass
            if self.attention:
                self._serve()
                if tick_limit is not None:
                    return

    def serve(self):
        """Runs what is due now, in a C call that waits."""
        if self.attention and not self.in_callback:
            self._serve()

    def _serve(self):
        if self.raising is not None:
            self._raise()
        self.busy = False
        if not self.armed:
            self.armed = True
            schedule(self._trampoline, None)
        while self.armed:  # the jumps of this loop run them
            pass
        self.busy = True

    # interrupts

    def post(self, fn, arg):
        """An interrupt schedules a callback; one that finds the queue full is lost. True if it was queued."""
        if self.irq_off:
            self._held.append((fn, arg))
            return True
        if len(self.due) >= SCHED_DEPTH:
            self.dropped += 1
            return False
        self.due.append((fn, arg))
        self.attention = True
        return True

    def mask_interrupts(self, off):
        """machine.disable_irq / enable_irq. Returns the former state."""
        was = self.irq_off
        self.irq_off = off
        if not off:
            held, self._held = self._held, []
            for fn, arg in held:
                self.post(fn, arg)
        return was

    def _run_one(self, _):
        """The trampoline: one callback, and itself again if more wait."""
        if self.busy or not self.due:
            self.armed = False
            return
        fn, arg = self.due.pop(0)
        self.attention = bool(self.due) or self.raising is not None
        self.in_callback = True
        self.callbacks += 1
        self.run_until(self.now + self.cost["callback"])
        try:
            fn(arg)
        except SystemExit as e:
            self.interrupt(e)
        except Exception as e:
            self.errors.append(e)
            usys.print_exception(e)
        if self.charger is not None:
            self.busy = True
            self.run_until(self.now + self.charger.owed_us())
        self.in_callback = False
        self.busy = False
        if self.due:
            schedule(self._trampoline, None)
        else:
            self.armed = False
