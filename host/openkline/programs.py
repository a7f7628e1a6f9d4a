"""What is installed beside us: our own data (boards/, firmware/), and esptool and mpremote, run as programs: with this
Python, wherever this installation keeps its packages.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from openkline.errors import OpenklineError, SimulatorError


def find_tree() -> Path:
    """The folder that has boards/SIM/boot.py and firmware/: the source tree, or the installed package's _data."""
    package = Path(__file__).resolve().parent
    for root in (package.parents[1], package / "_data"):
        if (root / "boards" / "SIM" / "boot.py").is_file():
            return root
    raise SimulatorError("boards/SIM/boot.py is neither in a source tree nor in the installed package")


def python_program(module: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """(command, environment) that runs a package as `python -m`; also where only our start script knows its folder.

    OpenklineError: it isn't installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise OpenklineError(f"{module} is not installed beside openkline: pip install {module}")
    folder = str(Path(spec.origin).parents[1])
    paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    return [sys.executable, "-m", module, *words], dict(os.environ, PYTHONPATH=os.pathsep.join(paths))
