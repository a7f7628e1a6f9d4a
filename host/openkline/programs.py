"""esptool and mpremote, run as programs: with this Python, wherever this installation keeps its packages."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from openkline.errors import OpenklineError


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
