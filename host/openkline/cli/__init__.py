"""The command line: `openkline COMMAND`. Data goes to stdout; progress, logs and errors to stderr."""

from __future__ import annotations

import errno
import importlib
from typing import Any

import rich_click as click

from openkline import __version__
from openkline.errors import OpenklineError

EXIT_INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Each is a module of its name with a click command of its name, loaded when it is asked for.
_COMMANDS = (
    "bridge", "monitor", "send", "commands", "status", "ports", "doctor", "boards", "flash", "repl", "log",
    "obd", "elm327", "bundle", "update",
)  # fmt: skip


class Main(click.RichGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"openkline.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

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

            tell_error(f"what was to be written found no room: {error.strerror}")
            ctx.exit(1)


@click.group(
    cls=Main,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 no port or no board, 4 the board's versions don't fit, "
    "5 message not sent, 6 no bridge or no room there, 7 the car did not answer or refused, 8 update refused or "
    "failed, 9 doctor found something, 130 interrupted.",
)
@click.version_option(__version__, "-v", "--version", prog_name="openkline")
def main() -> None:
    """An ESP32 with MicroPython as the interface to a car's single-wire buses.

    Start with `openkline bridge -d sim`: the bridge on a virtual board with a small virtual car.
    """
