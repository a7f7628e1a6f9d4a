"""Driving through the link: the PC asks, the board has the car, and everything goes wrong at random.

Lost and damaged bytes on the K-line and on the USB line, ECUs that reset, ignition off and on, a PC that starts anew, a
board that stands still for up to 50 ms (every so many seconds, on average).
No answer is taken for another request's or another ECU's, each call ends once, and values come back by themselves.
"""

from obd_faults import PIDS, PROTOCOLS, Faults, Pauses, S, check, script
from obd_pc import ObdPc

from kline.protocol.link import host_records, records
from kline.protocol.link import link as links
from kline.protocol.obd import kwp, multi, requests
from kline.protocol.obd.answers import payload

HEAP = "64M"
BACK_US = 85 * S  # the board's longest pause is 60 s, a try takes 15 s; a second of ours between two requests
AHEAD = 2
CONNECT = ()


class Drive:
    """The PC's half: two calls under way, one PID after the other."""

    def __init__(self, protocol, seed, fault_s=4, off_s=15, restart_s=0, cable=False, noise=0, pauses=0):
        import sim
        from sim.rng import Rng

        self.several = protocol != "iso9141"
        self.pc = ObdPc(script(protocol, multi_pid=6 if self.several else 1), seed=seed, keep=50)
        self.world = self.pc.world
        self.faults = Faults(self.pc.car, seed, fault_s, off_s)
        if noise:
            sim.Noise(self.world.wire, noise, seed)
        if pauses:
            Pauses(self.world, seed, pauses)
        if cable:
            self.pc.host.to_device = sim.Faults(seed, drop=4, flip=4, double=4)
            self.pc.host.from_device = sim.Faults(seed + 1, drop=4, flip=4, double=4)
        self.rng = Rng(seed * 31)
        self.restart_us = restart_s * S
        self.restart_at = self.world.now + self.restart_us if restart_s else 1 << 60
        self.under_way = {}  # id -> PIDs, or CONNECT
        self.next = self.session = 0
        self.good = self.refused = self.failed = self.restarts = 0
        self.waits_until = 0
        self.connect = True
        self.answered_us = self.world.now
        self.outage_us = 0

    def drive(self, seconds):
        end = self.world.now + seconds * S
        while self.world.now < end:
            if self.world.now >= self.restart_at:
                self._restart()
            if self.world.now >= self.waits_until:
                self._ask()
            self.pc.app.turn()
            for ended in self.pc.ends:
                self._ended(ended)
            self.pc.ends.clear()
            waited = self.world.now - max(self.answered_us, self.faults.available_us)
            self.outage_us = max(self.outage_us, waited)

    def _ask(self):
        if self.connect:
            if not self.under_way:
                self.under_way[self.pc.send(records.OP_CONNECT, b"\x00\x00")] = CONNECT
        elif len(self.under_way) < AHEAD:
            i = self.next % len(PIDS)
            pids = PIDS[i : i + 3] if self.several and not self.next % 5 else PIDS[i : i + 1]
            self.next += 1
            self.under_way[self.pc.send(records.OP_REQUEST, b"\0\0\x01" + bytes(pids))] = pids

    def _restart(self):
        """The PC's program is started again: another session; what was under way is nobody's."""
        self.restarts += 1
        self.restart_at = self.world.now + self.rng.interval(self.restart_us)
        self.pc.pc.open(1000 + self.restarts)
        self.pc.turn_until(lambda: self.pc.pc.state == links.OPEN and self.pc.app.obd is None)
        self.under_way = {}
        self.pc.answers = []
        self.pc.ends.clear()
        self.pc.set_mode(records.MODE_OBD)
        self.connect = True

    def _forget(self):
        for some in (self.pc.texts, self.pc.kinds, self.pc.records, self.pc.configured):
            some.clear()

    def _ended(self, end):
        pids = self.under_way.pop(end.ident)  # KeyError: ended twice, or never asked
        answers = [answer for answer in self.pc.answers if answer.ident == end.ident]
        self.pc.answers = [answer for answer in self.pc.answers if answer.ident != end.ident]
        assert not [answer for answer in self.pc.answers if answer.ident not in self.under_way], "after its end"
        self._forget()
        if end.code == records.END_DONE:
            if pids is CONNECT:
                self.connect = False
            else:
                self._judge(pids, [answer for answer in answers if end.found == bytes((answer.attempt,))])
            return
        self.failed += 1
        name = host_records.OBD_ERRORS[end.code - records.END_ERROR - 1]
        self.connect = self.connect or name == "not_connected"
        self.waits_until = self.world.now + S

    def _judge(self, pids, answers):
        assembly = requests.Assembly(bytes((requests.LIVE,)) + bytes(pids))
        for one in answers:
            assert assembly.add(kwp.Frame(one.mode, one.target, one.source, one.data)) != requests.FOREIGN, one
        for answer in assembly.answers:
            assert answer.ecu in (0x10, 0x18)
            if answer.ok():
                if len(pids) == 1:
                    check(pids[0], answer)
                else:
                    values = multi.split(payload(assembly.request, answer), list(pids))
                    assert values == {pid: bytes((pid ^ 0x5A, answer.ecu)) for pid in pids}
                self.good += 1
                self.answered_us = self.world.now
            else:
                self.refused += 1


def _drive(seconds, least, seed=1, back_us=BACK_US, protocols=PROTOCOLS, **options):
    """least: answers a second while the ignition is on."""
    for i, protocol in enumerate(protocols):
        drive = Drive(protocol, seed + i, **options)
        drive.drive(seconds)
        print(
            protocol, "good", drive.good, "refused", drive.refused, "failed", drive.failed, "restarts", drive.restarts,
            "off %d s" % (drive.faults.off_us // S), "longest outage %.1f s" % (drive.outage_us / S),
        )  # fmt: skip
        assert drive.good > least * (seconds - drive.faults.off_us // S), "it worked most of the time"
        assert drive.outage_us < back_us, drive.outage_us


def test_two_minutes():
    """In all: 40 s of each kind of car."""
    _drive(40, 3, restart_s=25)


def test_a_bad_cable_and_noise():
    _drive(20, 1, seed=7, protocols=("kwp_fast",), restart_s=8, cable=True, noise=0.3)


def test_a_board_that_pauses():
    _drive(15, 1, seed=5, protocols=("kwp_slow",), pauses=1)


def soak_two_hours():
    _drive(2400, 4, seed=11, fault_s=20, off_s=200, restart_s=900)


def soak_two_hours_with_a_bad_cable_and_noise():
    _drive(
        2400, 2, seed=21, fault_s=20, off_s=200, restart_s=600, cable=True, noise=0.05, pauses=5, back_us=2 * BACK_US
    )
