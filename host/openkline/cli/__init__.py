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

# The panels of `openkline -h`. Each command is a module of its name with a click command of its name, loaded on use.
PANELS = {
    "Bus": ("bridge", "monitor", "send", "commands", "log", "status"),
    "Diagnosis": ("obd", "elm327"),
    "Board": ("ports", "boards", "flash", "doctor", "update", "bundle", "repl"),
}
_COMMANDS = tuple(name for names in PANELS.values() for name in names)


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
