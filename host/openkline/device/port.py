"""Opening the way to the board: a serial path, `socket://host:port`, `id:..`, `auto` (by USB id) or `sim`.

Opened with DTR and RTS equal (both asserted, as the kernel does by itself): the usual two-transistor circuit resets
the board only where they differ, and a board with native USB sends nothing before DTR. They stay so when the port
closes, so that neither end of a session resets the board.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import serialx
from serialx.descriptor_transport import DescriptorTransport

from openkline.device import ports
from openkline.device.sim import SimBoard, SimOptions
from openkline.errors import DeviceBusy, DeviceError, DeviceForbidden, DeviceMissing, DeviceUnusable

BAUD = 115200
CONNECT_TIMEOUT_S = 5.0
_READ_SIZE = 4096  # of one read; a Linux tty never has more

ProtocolFactory = Callable[[], asyncio.Protocol]


class Port(Protocol):
    """A way to a board that can be opened again and again."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        """Open it. Raises DeviceError (one of its kinds) with what to try."""
        ...

    async def close(self) -> None:
        """Give up what connect() doesn't: the virtual board."""
        ...


class SerialPort:
    """A path of the operating system or a URL that serialx knows."""

    def __init__(self, path: str, baud: int = BAUD) -> None:
        self.path = path
        self.baud = baud

    @property
    def name(self) -> str:
        return self.path

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, protocol = await serialx.create_serial_connection(
                    asyncio.get_running_loop(),
                    factory,
                    self.path,
                    self.baud,
                    dtr_on_open=serialx.PinState.HIGH,
                    rts_on_open=serialx.PinState.HIGH,
                )
        except (OSError, ValueError, serialx.SerialException) as error:
            raise explain(self.path, error) from error
        except Exception as error:  # termios.error is no OSError, and does not exist everywhere
            if type(error).__module__ != "termios":
                raise
            raise explain(self.path, OSError(*error.args)) from error
        if isinstance(transport, DescriptorTransport):
            _read_straight(transport, protocol)
        return transport

    async def close(self) -> None:
        pass


def _read_straight(transport: DescriptorTransport, protocol: asyncio.Protocol) -> None:
    """Read the port for the protocol from now on; an end or an error is left to serialx, which then meets the same.

    serialx' own reader gets memory for 256 KiB each time and calls its log twice, which costs more than the reading.
    """
    fd, received = transport.serial.fileno(), protocol.data_received

    def read() -> None:
        try:
            data = os.read(fd, _READ_SIZE)
        except OSError:
            data = b""
        if data:
            received(data)
        else:
            transport.resume_reading()

    transport.pause_reading()
    asyncio.get_running_loop().add_reader(fd, read)


class AutoPort:
    """Looks for the one board each time: it may come back under another name."""

    def __init__(self) -> None:
        self._found = "auto"

    @property
    def name(self) -> str:
        return self._found

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        found = await asyncio.get_running_loop().run_in_executor(None, ports.find_board)
        self._found = found.device
        return await SerialPort(found.device).connect(factory)

    async def close(self) -> None:
        pass


class IdPort:
    """Looks for the board with this id each time, by the USB serial number or by asking each likely board."""

    def __init__(self, unique_id: str) -> None:
        self._id = re.sub("[:-]", "", unique_id).lower()
        self._found = ""
        if not re.fullmatch("([0-9a-f]{2})+", self._id):
            raise DeviceUnusable(f"id:{unique_id}: expected hex digits, as `openkline status` shows a board's id")

    @property
    def name(self) -> str:
        return self._found or f"id:{self._id}"

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        found = await asyncio.get_running_loop().run_in_executor(None, ports.list_ports)
        likely = sorted((one for one in found if one.is_candidate), key=lambda one: one.device != self._found)
        named = [one for one in likely if re.sub("[:-]", "", one.serial_number).lower() == self._id]
        for one in named or likely:
            port = SerialPort(one.device)
            if named or await self._is_at(port):
                self._found = one.device
                return await port.connect(factory)
        asked = f"asked: {', '.join(one.device for one in likely)}" if likely else "there is no likely port"
        raise DeviceMissing(f"board {self._id} was not found ({asked}). Is it plugged in, and flashed?")

    async def _is_at(self, port: SerialPort) -> bool:
        from openkline.device.identify import identify

        with contextlib.suppress(DeviceError):  # another program may have that one
            return await identify(port.connect) == self._id
        return False

    async def close(self) -> None:
        pass


class SimPort:
    """The virtual board, started at the first connect; what opens is a real pseudo terminal."""

    def __init__(self, options: SimOptions | None = None) -> None:
        self.board = SimBoard(options or SimOptions())

    @property
    def name(self) -> str:
        return "sim"

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        return await SerialPort(await self.board.start()).connect(lambda: self._told(factory()))

    def _told(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """It learns why the board has ended, which the pseudo terminal can't say."""
        lost = protocol.connection_lost
        protocol.connection_lost = lambda exc: lost(self.board.failure or exc)  # type: ignore[method-assign]
        return protocol

    async def close(self) -> None:
        await self.board.stop()


def port_for(device: str, sim_options: SimOptions | None = None) -> Port:
    """The Port that `-d device` means. DeviceError: a URL or an id that can't be one."""
    if device == "sim":
        return SimPort(sim_options)
    if device == "auto":
        return AutoPort()
    if device.startswith("id:"):
        return IdPort(device.removeprefix("id:"))
    if device.startswith("socket://") and not re.fullmatch(r"socket://(\[[^\]/]+\]|[^:/]+):\d{1,5}/?", device):
        raise DeviceError(f"{device}: expected socket://host:port, for example socket://192.168.4.1:8888")
    return SerialPort(device)


def explain(path: str, error: Exception) -> DeviceError:
    """The operating system's error in words: what it means here, and what to try."""
    code = error.errno if isinstance(error, OSError) else None
    if "://" in path:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        return DeviceMissing(f"{path}: cannot connect ({reason}). Is the serial server running there?")
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return DeviceMissing(f"{path}: there is no such port. {_what_there_is()}")
    if code in (errno.EACCES, errno.EPERM):
        return DeviceForbidden(f"{path}: no permission to open it. {permission_hint(path)}")
    if code in (errno.EBUSY, errno.EAGAIN):
        user = who_has(path)
        by = f" by {user}" if user else ""
        return DeviceBusy(f"{path}: in use{by}. End that program, or join a running bridge (openkline monitor, send)")
    if code in (errno.ENOTTY, errno.EINVAL, errno.EISDIR):
        kind = DeviceError if code == errno.EINVAL else DeviceUnusable  # some drivers refuse a rate for a moment
        return kind(f"{path}: this is no serial port ({error})")
    if isinstance(error, TimeoutError):
        return DeviceError(f"{path}: opening it took over {CONNECT_TIMEOUT_S:.0f} s. Unplug the board and plug it in")
    return DeviceError(f"{path}: cannot be opened ({error})")


def _what_there_is() -> str:
    found = [port.device for port in ports.list_ports()]
    if not found:
        return "No serial port at all is there: is the board plugged in, with a cable that has data lines?"
    return f"There are: {', '.join(found)} (openkline ports tells more)"


def permission_hint(path: str) -> str:
    group = group_of(path)
    if group == "root":
        return "It belongs to root alone: a udev rule, or sudo, can open it"
    return f"Join its group, then log in again: sudo usermod -aG {group} $USER"


def group_of(path: str) -> str:
    """The group whose members may open the port; dialout, as most systems have it, where that can't be found out."""
    try:
        import grp

        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"


def who_has(path: str, proc: Path = Path("/proc")) -> str:
    """Which other processes have the port open ("name (pid 12)", ..), "" when that can't be found out. Linux only."""
    wanted = os.path.realpath(path)
    found = []
    try:
        for folder in proc.iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid() and _has_open(folder, wanted):
                with contextlib.suppress(OSError):  # it may be gone by now
                    found.append(f"{(folder / 'comm').read_text().strip()} (pid {folder.name})")
    except OSError:
        pass
    return ", ".join(found)


def _has_open(folder: Path, wanted: str) -> bool:
    try:
        return any(os.readlink(entry) == wanted for entry in (folder / "fd").iterdir())  # noqa: PTH115
    except OSError:
        return False
