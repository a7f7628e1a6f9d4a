"""Functions between the end of a foreign frame and our start bit fit on the VM's stack.

A function whose state (locals, stack, 12 bytes for each open `try`) is over 44 bytes gets its frame from the heap at
each call: 41 us on a chip of 160 MHz, and garbage. The sizes are read in what mpy-cross makes of the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.charging.instrument import scopes
from tests.charging.mpy import frames
from tests.charging.prices import FRAME_ON_STACK

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "firmware" / "kline"
HOT = {
    "device/bus_access.py": "turn _await_end _may_speak _age_us _speak _gate_us",
    "device/idle.py": "byte_came transmission_begins",
    "device/sender.py": "attempt _last_comes _compare_echo",
    "device/transmitter.py": "ask idle pausing send _ended_early _watch_line",
    "device/transport.py": "drain_uart rx_available",
    "protocol/ibus/frames.py": "missing _found _sum_up",
    "protocol/ring.py": "available free peek put write xor8",
}
"""Module -> its functions that a byte, or a message that waits, passes on the way to the gate."""


def state_bytes(path: Path) -> dict[str, tuple[int, int]]:
    """{name of a function: (bytes of its frame, line)} of a file; of two with one name the last."""
    found = {}
    for node, (_, size) in zip(scopes(ast.parse(path.read_text())), frames(path)[1:], strict=True):
        if isinstance(node, ast.FunctionDef):
            found[node.name] = (size, node.lineno)
    return found


def check_frames(package: Path = PACKAGE, hot: dict[str, str] = HOT) -> Iterator[str]:
    for module, names in hot.items():
        sizes = state_bytes(package / module)
        for name in names.split():
            if name not in sizes:
                yield f"{module}: {name} is in HOT (tests/lint_frames.py) and not here"
            elif sizes[name][0] > FRAME_ON_STACK:
                size, line = sizes[name]
                yield f"{module}:{line}: {name}: {size} bytes of state; a frame of over {FRAME_ON_STACK} is allocated"
