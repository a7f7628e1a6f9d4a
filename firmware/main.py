"""Start of the board: a second in which Ctrl-C leads to the REPL, then openkline's application.

The application's modules are in one of two slots, the folders a and b. boot.json names the one that runs, and perhaps
the other to be tried once: it is rewritten before a trial begins, so whatever ends the trial (an error, a hang, a power
cut) leads back to the slot that worked. Only confirm() makes the tried slot the one that runs; the application calls it
when a PC has said HELLO. Without slots the modules come from the usual path.

An update over the gateway never changes this file. So it is small, believes nothing that it reads, and asks one thing
of a slot: kline.device.app.run(boot). The application hands the board back to the REPL when the host says QUIT, or when
no host has spoken for some minutes.
"""

import gc
import json
import os
import sys
from time import sleep_ms

import machine

_BOOT_WINDOW_MS = 1000
_TRIAL_MS = 60_000
# Timer(1) is the idle detector's. No watchdog: on ESP32 it can't be stopped, and would end every later REPL.
_TIMER = 0
_SLOTS = ("a", "b")


class Boot:
    """What boot.json and the slots say, and the only writer of boot.json.

    slots     those with all their files (slot.json is written last), in the order in which they are tried
    slot      the one that runs; "" = none, the usual path
    on_trial  it runs for the first time, and confirm() is still to come
    """

    def __init__(self):
        fields = _fields("boot.json")
        self.slots = [name for name in _SLOTS if _fields(name + "/slot.json")]
        if fields.get("slot") in self.slots:
            self.slots.sort(key=lambda name: name != fields["slot"])
        self.slot = self.slots[0] if self.slots else ""
        self.on_trial = False
        self._timer = None
        self._next = fields.get("trial") if fields.get("trial") in self.slots[1:] else ""

    def begin_trial(self):
        """Make the slot that waits for its trial the one to be loaded, once."""
        if not self._next:
            return
        try:
            _write({"slot": self.slot})
        except OSError as error:
            print("no trial of slot %s: boot.json: %s" % (self._next, error))
            return
        self.slot = self._next
        self.on_trial = True
        self._timer = machine.Timer(_TIMER)
        self._timer.init(mode=machine.Timer.ONE_SHOT, period=_TRIAL_MS, callback=lambda _: machine.reset())

    def confirm(self):
        """The slot on trial works: from now on it is the one that runs."""
        self._timer.deinit()
        self.on_trial = False
        _write({"slot": self.slot})

    def try_next(self, slot):
        """The next start tries this slot, which has all its files."""
        _write({"slot": self.slot, "trial": slot})


def _fields(path):
    """The JSON object in a file; {} when there is none, or something else."""
    try:
        with open(path) as file:
            fields = json.load(file)
    except Exception:
        return {}
    return fields if isinstance(fields, dict) else {}


def _write(fields):
    """boot.json has the old content or the new one, whenever the power fails."""
    with open("boot.tmp", "w") as file:
        json.dump(fields, file)
    os.rename("boot.tmp", "boot.json")


def _load(slot):
    """The application's run() from this slot."""
    for name in list(sys.modules):
        if name == "kline" or name.startswith("kline."):
            del sys.modules[name]
    gc.collect()
    sys.path[0] = slot
    from kline.device.app import run

    return run


def _trial(boot):
    try:
        _load(boot.slot)(boot)
    except Exception as error:
        sys.print_exception(error)
    if boot.on_trial:
        print("slot %s failed its trial: back to the one before" % boot.slot)
        machine.reset()


def main():
    boot = Boot()
    sys.path.insert(0, boot.slot)
    print("openkline starts in %d ms; Ctrl-C leads to the REPL instead" % _BOOT_WINDOW_MS)
    try:
        sleep_ms(_BOOT_WINDOW_MS)
    except KeyboardInterrupt:
        print("openkline not started: from kline.device.app import run; run()")
        return
    boot.begin_trial()
    if boot.on_trial:
        _trial(boot)
        return
    for boot.slot in boot.slots + [""]:
        try:
            run = _load(boot.slot)
        except Exception as error:
            sys.print_exception(error)
        else:
            run(boot)
            return


main()
