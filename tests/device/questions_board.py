"""On MicroPython: a virtual car, and what a mechanic asks it; for tests/host/test_obd_questions.py.

    micropython questions_board.py board CAR.JSON     the board asks: {question: {"answer" or "error", "damaged"}}
    micropython questions_board.py link CAR.JSON      the PC asks: a call a line, `operation arguments`, in hexadecimal

A JSON object a line is printed. Of a call: code, flags, found, error; answers: [attempt, mode, target, source, data].
Everything happens on the virtual clock: how long the PC thinks does not matter.
"""

import json
import sys

from sim.ecu_script import strip_comments


def script_of(path):
    with open(path) as file:
        return json.loads(strip_comments(file.read()))


def by_ecu(found, shown):
    return {"%02X" % (ecu & 0xFF): shown(found[ecu]) for ecu in found}


def frozen(frame):
    """The code, and [name, value, why there is none] in order of PID."""
    from kline.protocol.obd import pids

    code, values = frame
    cells = []
    for pid in sorted(values):
        cells.extend([[one.name, one.value, ""] for one in values[pid]])
        if not values[pid]:
            cells.extend([[field.name, None, "no answer"] for field in pids.fields(pid)])
    return [code, cells]


def questions(car):
    """[(name, function that asks)]; clear comes last but one."""
    from kline.protocol.obd import requests

    def codes(service):
        found, certain = car.codes(service)
        return [by_ecu(found, list), certain]

    def monitor(one):
        return [one.mil, one.codes, one.compression, [list(pair) for pair in one.monitors]]

    return (
        ("supported", lambda: car.supported().pids()),
        ("monitors", lambda: by_ecu(car.monitors(), monitor)),
        ("stored", lambda: codes(requests.STORED)),
        ("pending", lambda: codes(requests.PENDING_CODES)),
        ("permanent", lambda: codes(requests.PERMANENT)),
        ("freeze_frames", lambda: by_ecu(car.freeze_frames(), frozen)),
        ("vins", lambda: by_ecu(car.vins(), str)),
        ("calibration_ids", lambda: by_ecu(car.calibration_ids(), list)),
        ("calibration_numbers", lambda: by_ecu(car.calibration_numbers(), list)),
        ("ecu_names", lambda: by_ecu(car.ecu_names(), str)),
        ("clear", lambda: by_ecu(car.clear(sure=True), lambda nrc: nrc)),
        ("stored after clear", lambda: codes(requests.STORED)),
    )


def asked_by_the_board(script):
    from obd_rig import ObdRig

    from kline.device.obd.diagnostics import Diagnostics
    from kline.device.obd.errors import ObdError
    from kline.device.obd.init import FAST, OBD_ADDRESS, SLOW
    from kline.device.obd.line import drain
    from kline.protocol.link.host_records import OBD_ERRORS

    obd = ObdRig(script).obd
    address = int(script.get("address", "33"), 16)
    ways = ((SLOW, address), (FAST if address == OBD_ADDRESS else SLOW, address))
    car = Diagnostics(obd)
    found = {}
    try:
        drain(obd.connect_steps(None, ways * 2))  # twice, as the PC has it tried
    except ObdError as error:
        return {"connect": {"error": OBD_ERRORS[error.code - 1], "damaged": False}}
    for name, ask in questions(car):
        car.damaged = False
        try:
            said = {"answer": ask()}
        except ObdError as error:
            said = {"error": OBD_ERRORS[error.code - 1]}
        said["damaged"] = car.damaged
        found[name] = said
    return found


def serve_the_pc(script):
    from obd_pc import ObdPc

    pc = ObdPc(script)
    for line in sys.stdin:
        operation, _, arguments = line.strip().partition(" ")
        pc.answers, pc.texts = [], []
        end = pc.call(int(operation, 16), bytes.fromhex(arguments), 300)
        answers = [[one.attempt, one.mode, one.target, one.source, one.data.hex()] for one in pc.answers]
        said = {"code": end.code, "flags": end.flags, "found": end.found.hex(), "error": pc.error(), "answers": answers}
        print(json.dumps(said))


if sys.argv[1] == "board":
    print(json.dumps(asked_by_the_board(script_of(sys.argv[2]))))
else:
    serve_the_pc(script_of(sys.argv[2]))
