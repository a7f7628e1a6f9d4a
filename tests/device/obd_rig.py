"""A car with ECUs on the virtual K-line, and a tester on the board."""

import sim
from sim.obdcar import Car

VIN = "WBAET37453NJ12345"
RPM = b"\x0c\x0d\x20"  # of PIDS
PIDS = {"05": "49", "0C": "0D 20", "0D": "39", "11": "80", "42": "37 14"}
KWP = {
    "protocol": "kwp",
    "key_bytes": "E9 8F",
    "timing_ms": {"P2": 30},
    "pids": PIDS,
    "dtcs": ["P0133", "P0301", "P0420", "P0171"],
    "pending": ["P0455"],
    "permanent": ["P0420"],
    "freeze": {"dtc": "P0133", "pids": {"0C": "0D 20", "05": "49"}},
    "vin": VIN,
    "calibration": ["ABC-123", "DEF"],
    "cvn": ["17 91 BC 82"],
    "ecu_name": "ECM-EngineControl",
}
ISO = dict(KWP, protocol="iso9141", key_bytes="08 08")
SLOW = dict(KWP, protocol="kwp_slow")
FAST = dict(KWP, protocol="kwp_fast")


def with_gearbox(script):
    """An engine as in the script and a gearbox that speaks first, and refuses."""
    common = ("protocol", "key_bytes", "address", "baud")
    found = {key: script[key] for key in common if key in script}
    engine = {key: script[key] for key in script if key not in common}
    engine.update({"address": "10", "timing_ms": {"P2": 40}})
    gearbox = {"address": "18", "timing_ms": {"P2": 27}, "pids": {}}
    found["ecus"] = [engine, gearbox]
    return found


class ObdRig:
    """world, car, ecu (the first), obd: a KLineObd2 on an un-inverted stage unless `board` says otherwise.

    changes  keys of the car's script
    keep     for long runs: so many notes are kept, and no log
    ours     the log of what our stage does to the wire
    said     progress texts
    """

    def __init__(self, script=KWP, seed=1, board=None, keep=None, **changes):
        fields = {"tx_invert": False, "rx_invert": False}
        fields.update(board or {})
        self.world = sim.World(seed=seed, board=fields)
        from kline.device.board import Board
        from kline.device.config import KLineConfig
        from kline.device.obd.tester import KLineObd2
        from kline.device.transport import KLineTransport

        script = dict(script)
        script.update(changes)
        self.car = Car(self.world.wire, script, seed, keep)
        self.ecu = self.car.ecus[0]
        tx, rx = fields["tx_invert"], fields["rx_invert"]
        pins = Board(rx=16, tx=17, led=2, spare=4, tx_invert=tx, rx_invert=rx)
        self.transport = KLineTransport(pins, KLineConfig.obd2(tx_invert=tx, rx_invert=rx)).begin()
        self.said = []
        self.obd = KLineObd2(self.transport, self.said.append)
        self.ours = None if keep else self.world.board.stage.driver.record()

    def refusals(self):
        return [name for _, _, name, _ in self.car.refusals]

    def sessions(self):
        return self.ecu.counts.get("session", 0)

    def asked(self):
        """The data of the requests that the first ECU took."""
        return [frame[3:-1] for _, frame in self.ecu.requests]

    def good(self):
        assert self.car.refusals == [] and self.sessions() == 1, (self.car.refusals, self.sessions())


def code_of(fn, *args):
    """The ObdError's code that fn raises."""
    from kline.device.obd.errors import ObdError

    try:
        fn(*args)
    except ObdError as error:
        return error.code
    raise AssertionError("no ObdError")
