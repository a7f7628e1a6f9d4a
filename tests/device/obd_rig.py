"""A car with ECUs on the virtual K-line, and a tester on the board."""

import sim
from sim.ecumemory import load

ENGINE = """
ecu 10
init slow fast
pid 05 49
pid 0C 0D 20
pid 0D 39
pid 11 80
pid 42 37 14
codes P0133 P0301 P0420 P0171
pending P0455
vin WBAET37453NJ12345
calibration ABC-123
freeze P0133
frozen 0C 0D 20
"""
GEARBOX = """
ecu 18
init slow fast
p2 26
pid 01 00 07 00 00
refuse 01 00 12
refuse 01 0C 12
"""
ISO_9141 = ENGINE.replace("init slow fast", "protocol iso9141\nkey 08 08")


class ObdRig:
    """world, ecus (of the text), obd: a KLineObd2 on an un-inverted stage unless board fields say otherwise."""

    def __init__(self, text=ENGINE, seed=1, **fields):
        fields.setdefault("tx_invert", False)
        self.world = sim.World(seed=seed, board=fields)
        from kline.device.board import Board
        from kline.device.config import KLineConfig
        from kline.device.kline_obd2 import KLineObd2
        from kline.device.transport import KLineTransport

        self.ecus = load(self.world.wire, text)
        board = Board(rx=16, tx=17, led=2, spare=4, **fields)
        config = KLineConfig.obd2(tx_invert=board.tx_invert, rx_invert=board.rx_invert)
        self.transport = KLineTransport(board, config).begin()
        self.said = []
        self.obd = KLineObd2(self.transport, self.said.append)
        self.ours = self.world.board.stage.driver.record()

    @property
    def ecu(self):
        return self.ecus[0]

    def refusals(self):
        return [limit for ecu in self.ecus for _, limit, _ in ecu.refusals]


def code_of(fn, *args):
    """The ObdError's code that fn raises."""
    from kline.device.obd_errors import ObdError

    try:
        fn(*args)
    except ObdError as error:
        return error.code
    raise AssertionError("no ObdError")
