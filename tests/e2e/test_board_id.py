"""-d id:..: which of several boards it is."""

from __future__ import annotations

import asyncio
import os
import pty
import tty

import pytest

from openkline.device import ports
from openkline.device.device import Device
from openkline.device.identify import identify
from openkline.device.port import IdPort, SerialPort, port_for
from openkline.device.ports import PortInfo
from openkline.device.sim import SimBoard, SimOptions
from openkline.device.state import State
from openkline.errors import DeviceMissing, DeviceUnusable

ID = "0253494d0001"


def info(device: str, serial_number: str = "0001") -> PortInfo:
    return PortInfo(device, "CP210x bridge", "", "10C4:EA60", serial_number)


async def test_the_board_with_the_id_is_found_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    board = SimBoard(SimOptions(car="none"))
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        here = await board.start()
        listed = [info(os.ttyname(slave)), info("/dev/nosuch"), info(here)]
        monkeypatch.setattr(ports, "list_ports", lambda: listed)
        monkeypatch.setattr("openkline.device.identify.ANSWER_S", 1.0)
        device = Device(port_for("id:02:53:49:4D:00:01"))
        await device.start()
        try:
            assert await device.wait_for(State.READY, timeout_s=30) is State.READY
            assert device.port.name == here and device.info is not None and device.info.unique_id == ID
        finally:
            await device.stop()
        with pytest.raises(DeviceMissing, match=f"board 0253494d0002 was not found .asked: .*{here}"):
            await IdPort("0253494d0002").connect(asyncio.Protocol)
    finally:
        await board.stop()
        os.close(master)
        os.close(slave)


async def test_a_usb_serial_number_that_is_the_id_needs_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    monkeypatch.setattr(ports, "list_ports", lambda: [info("/dev/nosuch"), info(path, "02:53:49:4D:00:01")])
    port = IdPort(ID)
    transport = await port.connect(asyncio.Protocol)
    assert port.name == path
    transport.close()
    assert await identify(SerialPort(path).connect, 0.1) == ""
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("word", ["id:", "id:xyz", "id:123"])
def test_what_is_no_id(word: str) -> None:
    with pytest.raises(DeviceUnusable, match="expected hex digits"):
        port_for(word)
