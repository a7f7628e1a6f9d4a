"""Completion for three shells and a man page, from the command line itself: python packaging/build_pages.py FOLDER

FOLDER gets the layout of /usr/share: bash-completion/, zsh/, fish/, man/man1/openkline.1.gz.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from openkline import __version__
from openkline.cli import PANELS, main

COMPLETIONS = {
    "bash": "bash-completion/completions/openkline",
    "zsh": "zsh/vendor-completions/_openkline",
    "fish": "fish/vendor_completions.d/openkline.fish",
}
MAN = "man/man1/openkline.1.gz"


def completion(shell: str) -> str:
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(main, {}, "openkline", "_OPENKLINE_COMPLETE").source()


def roff(text: str) -> str:
    """For a paragraph: what would be an instruction, and quotes and dashes that are meant as such."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)


def paragraphs(text: str) -> str:
    return "\n.PP\n".join(roff(" ".join(part.split())) for part in text.replace("\b", "").split("\n\n") if part.strip())


def commands(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    """`openkline bridge`, .., `openkline obd`, `openkline obd scan`, .."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{before} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")


def options(command: click.Command, words: str) -> Iterator[str]:
    context = click.Context(command, info_name=words)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield f".TP\n.B {roff(record[0])}\n{roff(' '.join(record[1].split()))}"


def man_page(epoch: int) -> str:
    day = datetime.datetime.fromtimestamp(epoch, datetime.UTC).date()
    parts = [
        f'.TH OPENKLINE 1 "{day}" "openkline {__version__}" "User Commands"',
        ".SH NAME\nopenkline \\- a computer on a car's I\\-Bus, K\\-Bus or K\\-line through an ESP32",
        ".SH SYNOPSIS\n.B openkline\n.I COMMAND\n[OPTION]...",
        ".SH DESCRIPTION\n" + paragraphs(main.help or ""),
        ".SH COMMANDS",
    ]
    for title, names in PANELS.items():
        parts.append(f".SS {title}")
        parts += [f".TP\n.B {name}\n{roff(text)}" for name, text in names.items()]
    parts.append(".SH EXIT STATUS\n" + paragraphs((main.epilog or "").removeprefix("Exit status: ")))
    for words, command in commands(main, "openkline"):
        usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=words)))
        parts.append(
            f".SH {roff(words.upper())}\n.B {roff(words)}\n{roff(usage)}\n.PP\n{paragraphs(command.help or '')}"
        )
        parts += options(command, words)
        parts.append(".PP\n" + paragraphs(command.epilog or ""))
    parts.append(".SH FILES\n.I ~/.config/openkline/bridge.toml\n.br\n.I /etc/openkline/bridge.toml")
    return "\n".join(parts) + "\n"


def build(share: Path, epoch: int) -> None:
    """Write all of them below that folder."""
    files = {path: completion(shell).encode() for shell, path in COMPLETIONS.items()}
    files[MAN] = gzip.compress(man_page(epoch).encode(), 9, mtime=0)
    for name, data in files.items():
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("share", type=Path, help="folder, such as build/share")
    build(parser.parse_args().share, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
