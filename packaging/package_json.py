"""Writes firmware/package.json, by which MicroPython's mip installs the package from a served folder.

    python packaging/package_json.py

It lists the modules that a board needs, as they are in the tree: mip compiles nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from kline.version import VERSION
from openkline.firmware.modules import board_modules

FIRMWARE = Path(__file__).resolve().parents[1] / "firmware"


def package_json() -> str:
    urls = ",\n".join(f"    {json.dumps([path, path])}" for path in board_modules(FIRMWARE))
    return f'{{\n  "version": "{VERSION}",\n  "deps": [],\n  "urls": [\n{urls}\n  ]\n}}\n'


if __name__ == "__main__":
    (FIRMWARE / "package.json").write_text(package_json(), encoding="utf-8")
