"""rich's console with the filter of terminal.py: tables, bars and texts show only what can be read."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from openkline.printable import printable


class PrintableConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of text are filtered; those that move the cursor are rich's own."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            if control is None and not text.isprintable() and text != "\n":
                text = "\n".join(map(printable, text.split("\n")))
                segment = Segment(text, style)
            yield segment
