"""The package kline that openkline needs: its own (firmware/kline in the tree), which the wheel brings along.

The package index has something else by that name. Where that is found first, or was installed over ours, openkline
must not go on: it would decode with foreign code, or write it onto a board.
"""

from __future__ import annotations

import os
import sys

_OWN_NAME = "KLineTransport"  # a class that our kline offers, and no other one


def own_version() -> str:
    """The version of our kline. ImportError: there is none, or another package is in its place; says what to do.

    On the command line that ends the program instead (status 1), with the same words and no traceback.
    """
    try:
        import kline

        if _OWN_NAME in kline._HOME:
            from kline.version import VERSION

            return VERSION
        cause: Exception | None = None
    except Exception as error:  # a foreign package may raise anything
        cause = error
    message = _what_to_do(_place())
    if _is_command_line():
        raise SystemExit(f"openkline: {message}")
    raise ImportError(message, name="kline") from cause


def _place() -> str:
    """The file or folder that Python takes for kline; "" when there is none."""
    from importlib.util import find_spec

    try:
        spec = find_spec("kline")
    except (ImportError, ValueError):  # what took the name has no spec
        spec = None
    if spec is None:
        return str(getattr(sys.modules.get("kline"), "__file__", None) or "")
    return spec.origin or next(iter(spec.submodule_search_locations or ()), "")


def _what_to_do(place: str) -> str:
    if not place:
        return (
            "the package kline, which is installed along with openkline, is missing. "
            "Reinstall: python -m pip install --force-reinstall openkline"
        )
    return (
        f"{place} is not the package kline that belongs to openkline, but Python finds it under that name. "
        "If it was installed with pip: python -m pip uninstall kline, then python -m pip install --force-reinstall "
        "openkline; to keep both, install openkline in an environment of its own (pipx install openkline). "
        "If it is a file or folder of yours: rename it, or take its folder off PYTHONPATH."
    )


def _is_command_line() -> bool:
    """Whether the program that runs is ours: `openkline ..`, or `python -m openkline ..` (argv[0] is "-m" as yet)."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""  # noqa: PTH119 - pathlib is dear at each start
    return program in ("openkline", "openkline.exe") or (program == "-m" and "openkline" in sys.orig_argv)
