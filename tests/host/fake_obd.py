"""A fake board with a fake car: answers by request, for the PC's half of OBD."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable

from kline.protocol.link import host_records, records, unpack
from kline.protocol.obd import requests
from openkline.device.device import Device
from openkline.device.state import State
from openkline.obd.session import SETTINGS, ObdSession

from .fake_device import FakeBoard, FakePort

_QUICK = dataclasses.replace(SETTINGS, backoff_min_s=0.01, backoff_max_s=0.05)

VIN = "WBAET37453NJ12345"


def vin_frames() -> list[str]:
    padded = bytes(3) + VIN.encode()
    return [f"49 02 {n + 1:02X} {padded[n * 4 : n * 4 + 4].hex(' ')}" for n in range(5)]


# request -> [(ECU, data of one frame)]; PIDs 01 05 0C 0D 20, then 42.
CAR: dict[str, list[tuple[int, str]]] = {
    "01 00": [(0x10, "41 00 88 18 00 01")],
    "01 01": [(0x10, "41 01 82 07 65 04")],
    "01 05": [(0x10, "41 05 49")],
    "01 0C": [(0x18, "7F 01 12"), (0x10, "41 0C 0D 20")],
    "01 0D": [(0x10, "41 0D 39")],
    "01 20": [(0x10, "41 20 00 00 00 01")],
    "01 40": [(0x10, "41 40 40 00 00 00")],
    "01 42": [(0x10, "41 42 37 14")],
    "01 13": [(0x10, "41 13 11")],
    "05 00 01": [(0x10, "45 00 01 82 00 00 00")],
    "05 01 01": [(0x10, "45 01 01 5A")],
    "05 07 01": [(0x10, "45 07 01 38 00 60")],
    "06 00": [(0x10, "46 00 FF C0 00 00 00"), (0x18, "7F 06 11")],
    "06 01": [(0x10, "46 01 01 01 00 02 00"), (0x10, "46 01 82 01 00 02 00")],
    "02 02 00": [(0x10, "42 02 00 01 33")],
    "02 00 00": [(0x10, "42 00 00 08 10 00 00")],
    "02 05 00": [(0x10, "42 05 00 49")],
    "02 0C 00": [(0x10, "42 0C 00 0D 20")],
    "03": [(0x10, "43 01 33 03 01 00 00")],
    "04": [(0x10, "44")],
    "07": [(0x10, "47 01 71 00 00 00 00")],
    "09 02": [(0x10, frame) for frame in vin_frames()],
    "09 06": [(0x10, "49 06 01 17 91 BC 82"), (0x18, "7F 09 12")],
    "09 0A": [(0x10, f"49 0A {n + 1:02X} {b'ECM-EngineControl   '[4 * n : 4 * n + 4].hex(' ')}") for n in range(5)],
}


class ObdBoard(FakeBoard):
    """calls: what came; car: see CAR; ecus: that answer at first; on_call: takes a call over where it returns True."""

    def __init__(self, capabilities: int = records.CAN_IBUS | records.CAN_OBD) -> None:
        self.calls: list[unpack.ObdCall] = []
        self.cancelled: list[int] = []
        self.car = dict(CAR)
        self.connected = False
        self.ecus = [0x10]
        self.on_call: Callable[[unpack.ObdCall], bool] = lambda call: False
        super().__init__()
        self.capabilities = capabilities
        self.reboot()

    def reboot(self) -> None:
        super().reboot()
        self.connected = False

    def operations(self) -> list[int]:
        return [call.operation for call in self.calls]

    def requests(self) -> list[str]:
        return [c.arguments[2:].hex(" ").upper() for c in self.calls if c.operation == records.OP_REQUEST]

    def say(self, ident: int, text: str, kind: int = records.TEXT_PROGRESS) -> None:
        data = text.encode()
        for at in range(0, len(data), 200):
            out = bytearray(3)
            n = records.pack_obd_text(out, ident, kind, data[at : at + 200])
            self.send_record(records.OBD_TEXT, bytes(out[:n]))

    def answer_frame(self, ident: int, ecu: int, data: str, attempt: int = 1, mode: int = 2) -> None:
        out = bytearray(6)
        n = records.pack_obd_answer(out, ident, attempt, mode, 0xF1, ecu, bytes.fromhex(data))
        self.send_record(records.OBD_ANSWER, bytes(out[:n]))

    def end(self, ident: int, code: int = 0, flags: int = records.END_ALIVE, found: bytes = b"") -> None:
        out = bytearray(4)
        n = records.pack_obd_end(out, ident, code, flags, found)
        self.send_record(records.OBD_END, bytes(out[:n]))

    def end_request(self, ident: int, attempt: int = 1, flags: int = records.END_ALIVE) -> None:
        self.end(ident, flags=flags, found=bytes((attempt,)))

    def fail(self, ident: int, name: str, text: str) -> None:
        self.say(ident, text, records.TEXT_ERROR)
        self.end(ident, records.END_ERROR + 1 + host_records.OBD_ERRORS.index(name), 0)

    def _on_record(self, kind: int, channel: int, buf: bytearray, start: int, end: int) -> None:
        super()._on_record(kind, channel, buf, start, end)
        if kind == records.OBD_CANCEL:
            self.cancelled.append(records.get_u16(buf, start))
            self.end(self.cancelled[-1], records.END_CANCELLED)
        elif kind == records.OBD_CALL:
            call = unpack.unpack_obd_call(buf, start, end)
            self.calls.append(call)
            if not self.on_call(call):
                self._serve(call)

    def _serve(self, call: unpack.ObdCall) -> None:
        if call.operation == records.OP_CONNECT:
            self.connected = True
            self.say(call.ident, "key bytes E9 8F")
            supported = requests.PidSet()
            supported.add_bitmap(0, bytes.fromhex("88180001"))
            kind, address = call.arguments[2:4]
            found = records.pack_obd_found(kind, address, 10400, b"\xe9\x8f", supported.bits(), self.ecus)
            self.end(call.ident, found=found)
        elif call.operation == records.OP_INIT:
            kind, address = call.arguments[:2]
            self.end(call.ident, found=records.pack_obd_found(kind, address, 10400, b"\xe9\x8f", bytes(32), []))
        elif call.operation == records.OP_REQUEST and not self.connected:
            self.fail(call.ident, "not_connected", "there is no session: call connect() first.")
        else:
            if call.operation == records.OP_REQUEST:
                for ecu, data in self.car.get(call.arguments[2:].hex(" ").upper(), ()):
                    self.answer_frame(call.ident, ecu, data)
                self.end_request(call.ident)
            else:
                self.end(call.ident)


def obd_port(board: ObdBoard | None = None) -> FakePort:
    return FakePort(board or ObdBoard())


@contextlib.asynccontextmanager
async def opened(board: ObdBoard, profile: str = "") -> AsyncIterator[ObdSession]:
    device = Device(obd_port(board), _QUICK)
    await device.start()
    try:
        await device.wait_for(State.READY, timeout_s=5)
        async with ObdSession(device, profile) as session:
            yield session
    finally:
        await device.stop()
