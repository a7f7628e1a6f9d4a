"""How an ECU speaks: frames with P1 between their bytes and P2 before them, its echo compared, others let finish."""

from .uart import Transmitter

RETRY_US = 500
GIVE_UP_US = 5_000_000


class Item:
    """Something to say delay_us after the last byte on the wire: a frame, or a pulse of pulse_us.

    quiet_us: so long the wire must have been quiet; p1_us: between its bytes.
    """

    def __init__(self, frame, delay_us, p1_us=0, quiet_us=0, pulse_us=0):
        self.frame, self.delay_us, self.p1_us, self.quiet_us, self.pulse_us = frame, delay_us, p1_us, quiet_us, pulse_us


class FrameSender:
    """say() speaks at once; queue() when it is time. speaking: a frame of ours is on the wire."""

    def __init__(self, ecu):
        self.ecu = ecu
        self.world = ecu.world
        self.speaking = False
        self.items = []
        self._then = None
        self._tx = Transmitter(ecu.world, ecu.driver.set, ecu.fmt, self._empty)
        self._event = None  # the next item's, or the next byte's
        self._frame = b""

    def abort(self):
        """Lets go of the line and forgets everything."""
        if self._event is not None:
            self.world.drop(self._event)
            self._event = None
        self.items = []
        self._then = None
        self._tx.abort()
        self.ecu.driver.set(1)
        if self.speaking:
            self._quiet()

    def _quiet(self):
        self.speaking = False
        self.ecu.bus_end_us = self.world.now
        self.ecu.car.speech_ends()

    # a frame

    def say(self, frame, p1_us, done):
        """done(good) after the last stop bit, or at once when the echo is wrong."""
        self._frame, self._p1_us, self._done = frame, p1_us, done
        self._echo = 0
        self.speaking = True
        self.ecu.car.speech_begins()
        if p1_us:
            self._begun = 0
            self._byte(None)
        else:
            self._begun = len(frame)
            self._tx.send(frame)

    def _byte(self, _):
        self._event = None
        self._begun += 1
        self._tx.send(self._frame[self._begun - 1 : self._begun])

    def _empty(self):
        if self._begun < len(self._frame):
            self._event = self.world.at(self.world.now + self._p1_us, self._byte)
        elif self._echo < len(self._frame):
            self._collided("unread")
        else:
            self._quiet()
            self._done(True)

    def echo(self, value, flags):
        """What the ECU's own ear heard while it spoke."""
        i = self._echo
        if flags == 0 and i < len(self._frame) and value == self._frame[i]:
            self._echo = i + 1
        else:
            self._collided("heard %02X" % value)

    def _collided(self, what):
        self.ecu.notes.refuse("collision", what + " in " + " ".join(["%02X" % b for b in self._frame]))
        done = self._done
        self.abort()
        done(False)

    # answers

    def queue(self, items, then=None):
        """then(): after the last one."""
        self.items = items
        self._then = then
        self._tried_us = 0
        self._next()

    def _next(self):
        if not self.items:
            then, self._then = self._then, None
            if then is not None:
                then()
            return
        self._tried_us = 0
        if self.items[0].delay_us == 0:
            self._try(None)
        else:
            self._event = self.world.at(self.ecu.bus_end_us + self.items[0].delay_us, self._try)

    def _try(self, _):
        self._event = None
        ecu = self.ecu
        now = self.world.now
        item = self.items[0]
        if not self._tried_us:
            self._tried_us = now
        blind = ecu.wire.level == 0 and ecu.wire.changed_us == now  # somebody begins at this moment: nobody can know
        if not blind and (ecu.wire.level == 0 or ecu.ear.active or ecu.car.speakers):
            if now - self._tried_us > GIVE_UP_US:
                ecu.notes.refuse("busy", "no room for an answer")
                self.abort()
            else:
                self._event = self.world.at(now + RETRY_US, self._try)
        elif now - ecu.bus_end_us < item.quiet_us:
            self._event = self.world.at(ecu.bus_end_us + item.quiet_us, self._try)
        elif item.pulse_us:
            ecu.pulse(item.pulse_us)
            self._event = self.world.at(now + item.pulse_us, self._pulsed)
        else:
            ecu.notes.answer(item.frame)
            self.say(item.frame, item.p1_us, self._said)

    def _pulsed(self, _):
        self._event = None
        self.ecu.bus_end_us = self.world.now
        self.items.pop(0)
        self._next()

    def _said(self, good):
        if good:
            self.items.pop(0)
            self._next()
