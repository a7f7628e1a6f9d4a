"""From whatever the board is doing to MicroPython's prompt, and `openkline repl` on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from openkline.device.device import Device
from openkline.device.port import ProtocolFactory, SerialPort, SimPort
from openkline.device.prompt import QUIT_RECORD, PromptSeeker, reach_prompt
from openkline.device.sim import SimOptions
from openkline.device.state import DeviceSettings, State
from openkline.errors import DeviceMissing
from openkline.programs import python_program

from .rig import READY_S
from .terminal import Terminal

LIMIT_S = 30.0


async def evaluated(port: SimPort, expression: str) -> str:
    """What mpremote evaluates on the board; no soft reset, so it must be at a clean prompt."""
    command, environment = python_program("mpremote", "connect", port.board.path, "resume", "eval", expression)
    program = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(program.communicate(), LIMIT_S)
    assert program.returncode == 0
    return out.decode().strip()


async def write(port: SimPort, keys: bytes, awaited: bytes) -> None:
    """Type on the board's line, and wait for what it says then."""
    heard = bytearray()
    closed = asyncio.Event()

    class Listener(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.extend(data)

        def connection_lost(self, error: Exception | None) -> None:
            closed.set()

    transport = await port.connect(Listener)
    transport.write(keys)
    async with asyncio.timeout(LIMIT_S):
        while awaited not in heard:
            await asyncio.sleep(0.01)
    transport.close()
    await closed.wait()  # until then the port is in use


class KeptPort:
    """The virtual board outlives the Device that used it."""

    def __init__(self, port: SimPort) -> None:
        self._port = port
        self.name = port.name

    async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
        return await self._port.connect(factory)

    async def close(self) -> None:
        pass


async def test_from_boot_window_application_and_prompts_to_the_prompt() -> None:
    port = SimPort(SimOptions(car="none"))
    try:
        await write(port, b"", b"openkline starts in")
        await reach_prompt(port)
        assert await evaluated(port, "6*7") == "42"
        # raw, in paste mode, in a program
        for keys, awaited in (
            (b"\x01", b"raw REPL"),
            (b"\x02\x05", b"paste mode"),
            (b"from time import sleep_ms\rwhile True: sleep_ms(5)\r\r", b"... "),
        ):
            await write(port, keys, awaited)
            await reach_prompt(port)
            assert await evaluated(port, "'still ' + 'here'") == "still here"
        assert port.board.resets == 0
        # out of the application, in the middle of a session
        device = Device(KeptPort(port), DeviceSettings(backoff_min_s=0.05))
        await device.start()
        await device.wait_for(State.READY, timeout_s=READY_S)
        await device.stop()  # the port closes; the board knows nothing of it
        assert port.board.resets == 1  # the soft reset that started the firmware
        await reach_prompt(port)
        assert await evaluated(port, "__import__('sys').modules['kline.version'].VERSION")
        assert port.board.resets == 1
    finally:
        await port.close()


async def test_nothing_that_answers() -> None:
    master, slave = pty.openpty()

    class Deaf:
        name = "/dev/deaf"

        async def connect(self, factory: ProtocolFactory) -> asyncio.WriteTransport:
            return await SerialPort(os.ttyname(slave)).connect(factory)

    try:
        with pytest.raises(DeviceMissing, match="/dev/deaf: the board has said nothing within 1 s"):
            await reach_prompt(Deaf(), timeout_s=1.2)
        assert QUIT_RECORD in os.read(master, 4096)
    finally:
        os.close(master)
        os.close(slave)


async def test_a_virtual_board_that_can_not_start() -> None:
    port = SimPort(SimOptions(car="no such car"))
    try:
        with pytest.raises(DeviceMissing, match="sim: the port was closed before a prompt came"):
            await reach_prompt(port)
    finally:
        await port.close()


def test_the_quit_record_is_one_that_a_board_without_session_obeys() -> None:
    board = DeviceLink()
    got = []
    board.on_record = lambda kind, *_: got.append(kind)
    board.feed(QUIT_RECORD, len(QUIT_RECORD), 0)
    assert got == [records.QUIT]
    assert b"\x03" in QUIT_RECORD


def test_a_prompt_in_the_middle_of_a_text_is_none() -> None:
    seeker = PromptSeeker()
    assert seeker.turn(0.0) == b"\r\x02"
    seeker.feed(b">>> ", 0.1)
    seeker.feed(b"print('more')", 0.15)
    assert seeker.turn(0.4) == b""
    assert seeker.turn(0.5) == QUIT_RECORD  # no answer that could be one: it is something else that talks
    seeker.feed(b"\r\n>>> ", 0.6)
    assert seeker.turn(0.7) == b""  # more may come
    assert seeker.turn(0.81) == b"\x03\x02"
    assert not seeker.found
    seeker.feed(b"\r\n>>> ", 0.9)
    assert seeker.turn(1.2) == b"" and seeker.found


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_ctrl_c_at_the_question_of_send() -> None:
    with Terminal("send", "-d", "/dev/ttyNOSUCH", "--name", "doors_lock_key") as terminal:
        terminal.read_until(r"Send it\? \[y/N\]: ")
        assert terminal.interrupt() == 130
        assert "Nothing was sent." in terminal.text and "--yes" not in terminal.text


def test_the_command_on_a_terminal() -> None:
    terminal = Terminal("repl", "-d", "sim", "--car", "none")
    try:
        terminal.read_until("the application has stopped; press Enter")
        terminal.read_until(r"Connected to MicroPython at /dev/pts/\d+")
        terminal.write(b"\r")
        terminal.read_until(r">>> ")
        terminal.write(b"6 * 7\r")
        terminal.read_until(r"6 \* 7\r\n42\r\n>>> ")
        terminal.write(b"\x04")  # a soft reset: the supervisor starts the board again
        terminal.read_until("openkline starts in")
        terminal.write(b"\x03")
        terminal.read_until(r"not started.*>>> ")
        terminal.write(b"\x1d")
        assert terminal.process.wait(LIMIT_S) == 0
    finally:
        terminal.close()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_no_virtual_board_stays_behind() -> None:
    terminal = Terminal("repl", "-d", "sim")
    try:
        terminal.read_until("Connected to MicroPython")
        board_and_mpremote = children(terminal.process.pid)
        assert len(board_and_mpremote) == 2
        terminal.write(b"\x18")
        assert terminal.process.wait(LIMIT_S) == 0
        for pid in board_and_mpremote:
            assert not Path(f"/proc/{pid}").exists()
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("device", "status", "words"),
    [("socket://127.0.0.1:1", 3, "needs a serial port"), ("/dev/there/is/none", 3, "there is no such port")],
)
def test_a_port_that_can_not_be_used(device: str, status: int, words: str) -> None:
    with Terminal("repl", "-d", device) as terminal:
        terminal.read_until(words)
        assert terminal.end() == status


def test_without_a_terminal_the_application_is_left_alone() -> None:
    """mpremote would say so too, with a traceback, and with the board at its prompt."""
    done = subprocess.run(
        [sys.executable, "-m", "openkline", "repl", "-d", "sim"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "needs a terminal" in done.stderr and "Traceback" not in done.stderr
    assert "telling" not in done.stderr
