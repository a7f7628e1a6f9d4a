"""Manners: a sleeping car is not woken without thought, and our share of the bus is limited.

Modules of the car sleep after a minute of silence and any transmission wakes them, which drains the battery when it
goes on. So a message for a silent bus counts as a waking; wakings are allowed (a few an hour) or denied. Until traffic
was seen or `sleep_after_s` has passed nothing is known, and the car is treated as awake.
"""

from time import ticks_diff, ticks_ms

from kline.protocol.ticks import TICKS_MASK

GO = 0
WAIT = 1
WAKE_DENIED = 2
WAKE_LIMIT = 3

_HOUR_MS = 3_600_000


class QuietCar:
    """Decides whether a message may be sent now.

    sleep_after_s     silence after which the car counts as asleep; 0 = never
    wake_allowed      may a message wake it?
    wakings_per_hour  at most so many, averaged; so many at once too
    per_minute        our own messages a minute at most, averaged; a burst may be a fifth of that; 0 = no limit
    wakings           messages that woke the car
    refused           messages that were not allowed to
    waits             messages that had to wait for our share of the bus
    asleep            True when the bus has been silent for sleep_after_s
    """

    def __init__(self, sleep_after_s=60, wake_allowed=True, wakings_per_hour=6, per_minute=1800):
        self.sleep_after_s = sleep_after_s
        self.wake_allowed = wake_allowed
        self.wakings_per_hour = wakings_per_hour
        self.per_minute = per_minute
        self.asleep = False
        self.wakings = 0
        self.refused = 0
        self.waits = 0
        self._waiting = False
        now_ms = ticks_ms()
        self._last_ms = now_ms
        self._wake_debt_ms = 0
        self._rate_debt_ms = 0
        self._paid_ms = now_ms

    def heard(self):
        """There is life on the bus, ours or others'."""
        self._last_ms = ticks_ms()
        self.asleep = False

    def look(self):
        """Note the passing of time; to be called at least once in six days."""
        now_ms = ticks_ms()
        passed_ms = (now_ms - self._paid_ms) & TICKS_MASK
        if passed_ms:
            self._paid_ms = now_ms
            self._wake_debt_ms = max(0, self._wake_debt_ms - passed_ms)
            self._rate_debt_ms = max(0, self._rate_debt_ms - passed_ms)
        if self.sleep_after_s and not self.asleep:
            self.asleep = not 0 <= ticks_diff(now_ms, self._last_ms) <= self.sleep_after_s * 1000

    def judge(self, wake_flag):
        """GO, WAIT (our share is used up for now), WAKE_DENIED or WAKE_LIMIT for the next message."""
        self.look()
        if self.asleep and not wake_flag:
            verdict = GO
            if not self.wake_allowed:
                verdict = WAKE_DENIED
            elif self.wakings_per_hour * self._wake_debt_ms > (self.wakings_per_hour - 1) * _HOUR_MS:
                verdict = WAKE_LIMIT
            if verdict != GO:
                self.refused += 1
                return verdict
        # In debt for more than a fifth of a minute's messages: wait.
        if self.per_minute and self._rate_debt_ms > 12_000:
            if not self._waiting:
                self._waiting = True
                self.waits += 1
            return WAIT
        self._waiting = False
        return GO

    def sent(self):
        """A message went out: it is charged, and it may have woken the car."""
        if self.per_minute:
            self._rate_debt_ms += 60_000 // self.per_minute
        woke = self.asleep
        if woke:
            self.wakings += 1
            if self.wakings_per_hour:
                self._wake_debt_ms += _HOUR_MS // self.wakings_per_hour
        self.heard()
        return woke
