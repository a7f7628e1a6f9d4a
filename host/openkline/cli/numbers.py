"""Numbers of the command line. `nan` and `inf` are floats to Python; as a time or a factor they never end."""

from __future__ import annotations

import math
from typing import Any

import rich_click as click


class Number(click.FloatRange):
    """A finite number, within limits where there are any (both included)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return super().convert(number, param, ctx)

    def _describe_range(self) -> str:
        return super()._describe_range() if (self.min, self.max) != (None, None) else ""
