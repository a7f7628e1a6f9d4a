"""`openkline bundle`"""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from kline.protocol.update.codes import MAX_BUNDLE
from openkline.cli.common import json_option
from openkline.terminal import echo
from openkline.update import bundle as bundles
from openkline.words import plural


@click.command(epilog="Examples: openkline bundle; openkline bundle -o new.okb --board ESP32_GENERIC")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bundle to this file.  [default: openkline-VERSION.okb]",
)
@click.option(
    "--board", "boards", multiple=True, metavar="NAME", help="Restrict the bundle to this board (repeatable)."
)
@click.option(
    "--show",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check an existing bundle and list its contents; write nothing.",
)
@json_option
def bundle(output: Path | None, boards: tuple[str, ...], show: Path | None, as_json: bool) -> None:
    """Build an update bundle from this version's firmware.

    The modules are compiled and packed into one file, which `openkline update FILE` sends to a board. Without FILE,
    `openkline update` builds the bundle itself.
    """
    if show is not None:
        if output is not None or boards:
            raise click.UsageError("--show only reads a bundle: leave out -o and --board")
        found = load(show)
        place = show
    else:
        found = bundles.build(boards)
        place = output or Path(f"openkline-{'.'.join(map(str, found.version))}.okb")
        _write(place, found.raw)
    if as_json:
        echo(json.dumps({"file": str(place), **found.stats()}), wrap=False)
        return
    if show is not None:
        for path, data in found.files.items():
            echo(f"{len(data):>7}  {path}")
    echo(f"{place}: {summary(found)}")


def load(path: Path) -> bundles.Bundle:
    """BundleError: it can't be read, or is not a bundle."""
    try:
        with path.open("rb") as file:
            return bundles.read(file.read(MAX_BUNDLE + 1))
    except OSError as error:
        raise bundles.BundleError(f"{path} cannot be read: {error}") from error
    except bundles.BundleError as error:
        raise bundles.BundleError(f"{path}: {error}") from error


def summary(found: bundles.Bundle) -> str:
    return (
        f"version {'.'.join(map(str, found.version))} for {', '.join(found.boards) or 'any board'}, "
        f"{plural(len(found.files), 'file')}, {len(found.raw)} of {MAX_BUNDLE} bytes "
        f"({found.unpacked} unpacked, window {1 << found.wbits}), CRC {found.crc:04X}"
    )


def _write(path: Path, raw: bytes) -> None:
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise bundles.BundleError(f"{path} cannot be written: {error}") from error
