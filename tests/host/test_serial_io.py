"""Ports: which one is the board, opening what there is, and words for what can't be opened."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serialx

from openkline.device import ports
from openkline.device.port import AutoPort, SerialPort, explain, port_for, who_has
from openkline.errors import DeviceAmbiguous, DeviceBusy, DeviceError, DeviceForbidden, DeviceMissing


def usb(
    device: str, vid: int | None = None, pid: int | None = None, product: str | None = None
) -> serialx.SerialPortInfo:
    return serialx.SerialPortInfo(device, device, vid, pid, "123", "Maker", product, None, None, None)


class Sink(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_candidates_come_first() -> None:
    listed = ports.list_ports(
        lambda: [usb("/dev/ttyS0"), usb("/dev/ttyUSB1", 0x1A86, 0x7523), usb("/dev/ttyACM0", 0x303A, 0x1001)]
    )
    assert [(port.device, port.is_candidate) for port in listed] == [
        ("/dev/ttyACM0", True),
        ("/dev/ttyUSB1", True),
        ("/dev/ttyS0", False),
    ]


def test_any_espressif_device_is_a_candidate_and_a_plain_ftdi_cable_is_not() -> None:
    listed = ports.list_ports(lambda: [usb("/dev/ttyACM7", 0x303A, 0x4002), usb("/dev/ttyUSB0", 0x0403, 0x6001)])
    assert [port.is_candidate for port in listed] == [True, False]


def test_one_board_is_found() -> None:
    listed = ports.list_ports(lambda: [usb("/dev/ttyS0"), usb("/dev/ttyUSB1", 0x10C4, 0xEA60)])
    assert ports.find_board(listed).device == "/dev/ttyUSB1"


def test_no_board_says_what_to_try() -> None:
    with pytest.raises(DeviceMissing, match="-d sim"):
        ports.find_board([])


def test_several_boards_are_listed() -> None:
    listed = ports.list_ports(lambda: [usb("/dev/ttyUSB0", 0x10C4, 0xEA60), usb("/dev/ttyUSB1", 0x1A86, 0x7523)])
    with pytest.raises(DeviceAmbiguous, match=r"/dev/ttyUSB0 \(CP210x bridge\), /dev/ttyUSB1") as caught:
        ports.find_board(listed)
    assert len(caught.value.candidates) == 2


async def test_bytes_both_ways(terminal: tuple[int, str]) -> None:
    master, path = terminal
    sinks: list[Sink] = []

    def factory() -> Sink:
        sinks.append(Sink())
        return sinks[-1]

    transport = await SerialPort(path).connect(factory)
    os.write(master, bytes(range(256)))
    async with asyncio.timeout(5):
        while len(sinks[0].data) < 256:
            await asyncio.sleep(0.005)
    assert sinks[0].data == bytes(range(256))
    transport.write(bytes(range(256)))
    got = b""
    while len(got) < 256:
        got += await asyncio.get_running_loop().run_in_executor(None, os.read, master, 256)
    assert got == bytes(range(256))
    transport.abort()
    await asyncio.wait_for(sinks[0].lost, 5)


async def test_the_end_of_a_port_is_reported() -> None:
    """Bytes are read past serialx, which closes nevertheless; nothing that came before is lost."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    sink = Sink()
    await SerialPort(os.ttyname(slave)).connect(lambda: sink)
    os.close(slave)
    os.write(master, bytes(range(256)) * 8)
    async with asyncio.timeout(10):
        while len(sink.data) < 8 * 256:
            await asyncio.sleep(0.01)
        os.close(master)
        assert isinstance(await sink.lost, OSError)
    assert sink.data == bytes(range(256)) * 8


async def test_both_modem_lines_are_opened_equal(terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DTR and RTS differ, the usual auto-reset circuit resets the board."""
    asked: dict[str, Any] = {}
    real = serialx.create_serial_connection

    async def spy(*args: Any, **words: Any) -> Any:
        asked.update(words)
        return await real(*args, **words)

    monkeypatch.setattr(serialx, "create_serial_connection", spy)
    transport = await SerialPort(terminal[1]).connect(Sink)
    assert asked["dtr_on_open"] is asked["rts_on_open"] is serialx.PinState.HIGH
    assert "dtr_on_close" not in asked
    assert "rts_on_close" not in asked
    transport.abort()


async def test_a_locked_port_is_busy_and_the_holder_is_named(terminal: tuple[int, str]) -> None:
    _, path = terminal
    program = "import fcntl,sys; f=open(sys.argv[1],'rb+',0); fcntl.flock(f, 2); print('ok', flush=True); input()"
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec("python3", "-c", program, path, stdin=pipe, stdout=pipe)
    assert holder.stdout is not None
    await holder.stdout.readline()
    try:
        with pytest.raises(DeviceBusy, match=rf"in use by .*python3?.* \(pid {holder.pid}\)"):
            await SerialPort(path).connect(Sink)
    finally:
        holder.kill()
        await holder.wait()


async def test_a_missing_port_says_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialx, "list_serial_ports", lambda: [usb("/dev/ttyUSB3", 0x10C4, 0xEA60)])
    with pytest.raises(DeviceMissing, match=r"no such port\. There are: /dev/ttyUSB3"):
        await SerialPort("/dev/ttyNOSUCH").connect(Sink)


async def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(DeviceError, match="no serial port"):
        await SerialPort(str(path)).connect(Sink)


def test_missing_permission_names_the_group(tmp_path: Path) -> None:
    error = explain("/dev/ttyNOSUCH", OSError(errno.EACCES, "Permission denied"))
    assert isinstance(error, DeviceForbidden)
    assert "sudo usermod -aG dialout $USER" in str(error)


def test_nobody_has_what_nobody_has(tmp_path: Path) -> None:
    assert who_has(str(tmp_path / "port")) == ""
    assert who_has("/dev/null", proc=tmp_path / "noproc") == ""


async def test_sockets() -> None:
    received = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readexactly(3))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    sinks: list[Sink] = []

    def factory() -> Sink:
        sinks.append(Sink())
        return sinks[-1]

    transport = await port_for(f"socket://127.0.0.1:{number}").connect(factory)
    transport.write(b"abc")
    await asyncio.wait_for(sinks[0].lost, 5)
    assert received == b"abc"
    server.close()
    await server.wait_closed()
    with pytest.raises(DeviceMissing, match="cannot connect"):
        await port_for(f"socket://127.0.0.1:{number}").connect(Sink)


@pytest.mark.parametrize("url", ["socket://", "socket://host", "socket://host:port", "socket://:1"])
def test_a_wrong_url_is_said_at_once(url: str) -> None:
    with pytest.raises(DeviceError, match="expected socket://host:port"):
        port_for(url)


async def test_auto_looks_again_each_time(monkeypatch: pytest.MonkeyPatch, terminal: tuple[int, str]) -> None:
    found: list[serialx.SerialPortInfo] = []
    monkeypatch.setattr(serialx, "list_serial_ports", lambda: found)
    port = AutoPort()
    with pytest.raises(DeviceMissing):
        await port.connect(Sink)
    found.append(usb(terminal[1], 0x10C4, 0xEA60))
    transport = await port.connect(Sink)
    assert port.name == terminal[1]
    transport.abort()
