"""The command line: `openkline COMMAND`. Data goes to stdout; progress, logs and errors to stderr."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click as click_itself
import rich_click as click

from openkline import __version__
from openkline.errors import OpenklineError

EXIT_INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# The panels of `openkline -h`, and in them each command with the first paragraph of its help (a test compares them).
# It is a module of its name with a click command of its name, loaded on use: the list alone loads none.
PANELS = {
    "Bus": {
        "bridge": "Connect a board to OpenBM gateway clients, and log the bus.",
        "monitor": "Show the frames on the bus.",
        "send": "Send one message to the bus.",
        "commands": "List the named messages for the E46.",
        "log": "Read, filter and convert bus logs and captures of any program.",
        "status": "Show the state of the bridge on this computer.",
    },
    "Diagnosis": {
        "obd": "Ask a car's ECUs over the K-line (OBD-II: ISO 9141-2, ISO 14230-4).",
        "elm327": "Act as an ELM327 for OBD apps and programs.",
    },
    "Board": {
        "ports": "List serial ports, likely boards first.",
        "boards": "List the supported boards, their pins and wiring.",
        "flash": "Install MicroPython and openkline on an ESP32 board, and test it.",
        "doctor": "Diagnose the connection from this computer to the car.",
        "update": "Update the firmware of a board.",
        "bundle": "Build an update bundle from this version's firmware.",
        "repl": "Open the MicroPython prompt on the board.",
    },
}
_SUMMARIES = {name: text for commands in PANELS.values() for name, text in commands.items()}


def _spare_looking_up_the_version() -> None:
    """rich_click asks for click.__version__, and click gets it by importlib.metadata: a fifth of the time of a help.

    The same number is in the name of the folder beside click. Where that is not found, click looks it up.
    """
    beside = os.path.dirname(os.path.dirname(click_itself.__file__))  # noqa: PTH120 - pathlib is dear, too
    with contextlib.suppress(OSError):
        for name in os.listdir(beside):  # noqa: PTH208
            if name.startswith("click-") and name.endswith(".dist-info"):
                vars(click_itself).setdefault("__version__", name.removeprefix("click-").removesuffix(".dist-info"))


_spare_looking_up_the_version()


def _open_closed_descriptors() -> None:
    """Without stdin, stdout or stderr (`<&-`, `>&-`), the next file or port that is opened would become it."""
    for fd, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            if os.open(os.devnull, flags) != fd:  # the lowest that is free
                return
            stream = open(fd, "w" if flags else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class Main(click.RichGroup):
    _lists = False  # help is being written: of the commands only name and summary are wanted

    def main(self, args: Sequence[str] | None = None, *more: Any, **words: Any) -> Any:
        _open_closed_descriptors()
        return super().main(args, *more, **words)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUMMARIES:
            return None
        if self._lists:
            return click.RichCommand(name=cmd_name, short_help=_SUMMARIES[cmd_name])
        command = getattr(importlib.import_module(f"openkline.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def get_help(self, ctx: click.Context) -> str:
        self._lists = True
        try:
            return super().get_help(ctx)
        finally:
            self._lists = False

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OpenklineError as error:
            from openkline.cli.common import tell_error

            tell_error(str(error))
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            from openkline.cli.common import tell_error

            tell_error(f"cannot write: {error.strerror}. Make room, then run it again")
            ctx.exit(1)


@click.group(
    cls=Main,
    panels=[click.RichCommandPanel(title, list(names)) for title, names in PANELS.items()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 no port or no board, 4 the board needs another version, "
    "5 message not sent, 6 no bridge or no free slot, 7 the car did not answer or refused, 8 update refused or failed, "
    "9 doctor found a fault, 130 interrupted.",
)
@click.version_option(__version__, "-v", "--version", prog_name="openkline")
def main() -> None:
    """Connect a computer to a car's I-Bus, K-Bus or K-line through an ESP32 that runs MicroPython.

    No board yet? Try `openkline bridge -d sim`: the bridge on a virtual board, with a small virtual car.
    """
