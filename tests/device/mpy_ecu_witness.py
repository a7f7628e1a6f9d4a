"""The firmware's tester and the ECUs, written apart from each other, as each other's witnesses: nothing is refused."""

import os

import sim
from sim.obdcar import Car

FAST = {"protocol": "kwp_fast", "pids": {"0C": "0D 20"}}
POLARITIES = ((False, False), (True, False), (False, True), (True, True))


def rig(script, tx_invert=False, rx_invert=False, seed=1):
    """-> the Car, a KLineObd2 on a board with such a stage. script: a dict, or a name in boards/SIM/cars."""
    w = sim.World(seed=seed, board={"tx_invert": tx_invert, "rx_invert": rx_invert})
    from kline.device.board import Board
    from kline.device.config import KLineConfig
    from kline.device.obd.tester import KLineObd2
    from kline.device.transport import KLineTransport

    if isinstance(script, str):
        script = os.getenv("OPENKLINE_ROOT") + "/boards/SIM/cars/" + script + ".json"
    car = Car(w.wire, script, seed)
    pins = Board(rx=16, tx=17, led=2, spare=4, tx_invert=tx_invert, rx_invert=rx_invert)
    config = KLineConfig.obd2(tx_invert=tx_invert, rx_invert=rx_invert)
    return car, KLineObd2(KLineTransport(pins, config).begin())


def test_cars_with_every_stage():
    for tx, rx in POLARITIES:
        for name in ("iso9141", "kwp_slow", "kwp_fast"):
            car, obd = rig(name, tx, rx)
            obd.connect()
            rpm = obd.request_pid(1, 0x0C)
            assert rpm.ecu == 0x10 and rpm.frames[0][:2] == b"\x0c\x0c" or rpm.frames[0] == b"\x0c\x0d\x20", rpm
            assert len(obd.request_pid(9, 2).frames) == 5
            assert car.refusals == [], (name, tx, rx)


def test_fast_init_with_every_stage():
    for tx, rx in POLARITIES:
        car, obd = rig(FAST, tx, rx)
        obd.fast_init()
        assert obd.request_pid(1, 0x0C).frames[0] == b"\x0c\x0d\x20" and car.refusals == []


def test_the_difficult_car():
    car, obd = rig("difficult")
    car.world.run_for(1_000_000)  # it boots
    for _ in range(2):
        try:
            obd.slow_init(0x13)
            break
        except Exception as e:
            print(e)
    values = []
    for _ in range(5):
        answer = obd.request_pid(1, 0x0C)
        assert answer.ecu == 0x10, answer
        values.append(answer.frames[0][1] << 8 | answer.frames[0][2])
    assert values[0] == 2800 and values == sorted(values)
    assert obd.request_pid(1, 0x05).frames[0] == b"\x05\x7b"
    for _ in range(4):
        assert obd.request_pid(1, 0x0D).ecu == 0x10
    assert len(obd.request_pid(9, 2).frames) == 5
    assert [r[2] for r in car.refusals] == ["scripted"]
