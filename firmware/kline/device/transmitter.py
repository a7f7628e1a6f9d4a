"""From a waiting message to its one result: order, patience, retries, manners, and the watch over a stuck line."""

import random
from time import ticks_add, ticks_diff, ticks_ms, ticks_us

from kline.device import sender as attempt
from kline.device.quiet_car import GO, WAIT, QuietCar
from kline.device.transmit_queue import TransmitQueue
from kline.protocol.link import records

# A line that stays dominant so long is no character: something holds it.
_STUCK_US = 1_000_000
_BACKOFF_MIN_US = 2_000
_BACKOFF_SPAN_US = 8_000
_LONGEST_WAIT_MS = 1_073_741  # that a RESULT can say


class Transmitter:
    """Takes messages from its TransmitQueue and sends them with a Sender, one at a time.

    on_result  f(id, code, detail, tries, waited_us, time_us): called exactly once a message; codes: records.py
    on_sent    f(buffer, length, time_us): our own frame, whole, when it was on the bus
    on_event   f(code, value): see records.py
    stuck_low  RX has been dominant for over a second: nothing is sent
    ready      what ask() said last of the message that comes next
    held       set by the owner: there is no room for a result now, so nothing is sent
    """

    def __init__(self, config, seed):
        self.config = config
        self.queue = TransmitQueue(config)
        self.quiet_car = QuietCar()
        self.on_result = None
        self.on_sent = None
        self.on_event = None
        self.stuck_low = False
        self.ready = False
        self.held = False
        self.frames = 0
        self.collisions = 0
        self.refused = 0
        self.failed = 0
        self._loaded = False
        self._tries = 0
        self._mark = -1
        self._low_since_us = -1
        self._low_rx_bytes = 0
        random.seed(seed)

    def begin(self, sender, idle, rx_pin):
        """Start with this hardware: Sender, IdleDetector and RX pin."""
        self._sender = sender
        self._idle = idle
        self._rx_pin = rx_pin
        self._dominant = 1 if self.config.rx_invert else 0
        self._pause_us = 0
        self._not_before_us = ticks_us()

    def put(self, body, start, end, id, max_tries, flags, deadline_ms):
        """Queue body[start:end] plus checksum; False, and counted, when it does not fit."""
        config = self.config
        queued = self.queue.put(
            body, start, end, id, max_tries or config.max_tries, flags, deadline_ms or config.deadline_ms, ticks_ms()
        )
        if not queued:
            self.refused += 1
        return queued

    def idle(self):
        """True when no message waits or is under way."""
        return not self._loaded and not self.queue.waiting()

    def ask(self, rx_bytes):
        """All questions that need no silent bus; True: the next message may go, once pausing() is over.

        rx_bytes: what has been received so far; whether the line is stuck shows by it. The answer is kept in `ready`.
        """
        self._watch_line(ticks_us(), rx_bytes)
        self.ready = False
        if not self._loaded and not self._load():
            self.quiet_car.look()
        elif not self.held:
            self.ready = not self._ended_early()
        return self.ready

    def pausing(self):
        """It is too early after the newest attempt."""
        # Further away than the pause can be: it was over so long ago that ticks have wrapped.
        return self._pause_us and 0 < ticks_diff(self._not_before_us, ticks_us()) <= self._pause_us

    def _load(self):
        flushed = self.queue.flushed
        self._loaded = self.queue.load()
        self._tries = 0
        if self.queue.flushed != flushed:
            self._tell(records.EVENT_TX_FLUSHED, 0)
        return self._loaded

    def _ended_early(self):
        """The message can't go now, or never: True. In the second case it gets its result."""
        queue = self.queue
        if self.stuck_low:
            self._finish(records.RESULT_BUS_STUCK_LOW, 0)
            return True
        # A message that was on the wire already is paid for.
        manners = GO if self._tries else self.quiet_car.judge(queue.flags & 1)
        if manners not in (GO, WAIT):
            self._finish(records.RESULT_ASLEEP, manners)
            return True
        if not 0 <= ticks_diff(ticks_ms(), queue.queued_ms) <= queue.deadline_ms:
            self._finish(records.RESULT_RATE_LIMITED if manners == WAIT else records.RESULT_BUS_BUSY, 0)
            return True
        return manners == WAIT

    def send(self, idle_us, last=0):
        """Try the message that is ready, after idle_us of silence (last: see Sender.attempt); then ask() again."""
        self.ready = False
        queue = self.queue
        self._idle.transmission_begins()
        outcome = self._sender.attempt(queue.frame, queue.length, idle_us, last)
        self._idle.transmission_ended()
        if outcome == attempt.BUSY:
            return
        self._tries += 1
        self._pause(self.config.packet_gap_ms * 1000)
        if self._tries == 1 and self.quiet_car.sent():
            self._tell(records.EVENT_WOKE_THE_CAR, self.quiet_car.wakings)
        if outcome == attempt.SENT:
            self.frames += 1
            if self.on_sent:
                self.on_sent(queue.frame, queue.length, self._sender.ended_us)
            self._finish(records.RESULT_SENT, 0)
        elif outcome == attempt.NO_ECHO:
            self._finish(records.RESULT_NO_ECHO, records.NO_ECHO_SILENCE)
        else:
            self._collided()

    def _collided(self):
        """Try again after a random pause, or give up: the same wrong echo each time is no collision but a bad stage."""
        self.collisions += 1
        sender = self._sender
        mark = sender.echoed << 9 | sender.wrong_value & 0x1FF
        if self._tries == 1:
            self._mark = mark
        elif mark != self._mark:
            self._mark = -1
        if self._tries < self.queue.max_tries:
            pause_us = _BACKOFF_MIN_US + (random.getrandbits(16) * _BACKOFF_SPAN_US >> 16)
            self._pause(max(pause_us, self._pause_us))
        elif self._tries > 1 and self._mark == mark:
            self._finish(records.RESULT_NO_ECHO, records.NO_ECHO_WRONG)
        else:
            self._finish(records.RESULT_COLLISION_LIMIT, 0)

    def _pause(self, pause_us):
        """Nothing is sent until this long after the end of the newest attempt."""
        self._pause_us = pause_us
        self._not_before_us = ticks_add(self._sender.ended_us, pause_us)

    def _finish(self, code, detail):
        self._loaded = self.ready = False
        if code != records.RESULT_SENT:
            self.failed += 1
        queue = self.queue
        waited_ms = ticks_diff(ticks_ms(), queue.queued_ms)
        if not 0 <= waited_ms <= _LONGEST_WAIT_MS:
            waited_ms = _LONGEST_WAIT_MS
        if self.on_result:
            self.on_result(queue.id, code, detail, self._tries, waited_ms * 1000, ticks_us())

    def _watch_line(self, now_us, rx_bytes):
        """A line that is held dominant for over a second stops all transmission, and raises an event."""
        if self._rx_pin() != self._dominant or rx_bytes != self._low_rx_bytes:
            self._low_rx_bytes = rx_bytes
            self._low_since_us = -1
            if self.stuck_low:
                self.stuck_low = False
                self._tell(records.EVENT_BUS_RELEASED, 0)
        elif self._low_since_us < 0:
            self._low_since_us = now_us
        elif not self.stuck_low and not 0 <= ticks_diff(now_us, self._low_since_us) <= _STUCK_US:
            self.stuck_low = True
            self._tell(records.EVENT_BUS_STUCK_LOW, 0)

    def _tell(self, code, value):
        if self.on_event:
            self.on_event(code, value)
