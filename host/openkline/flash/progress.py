"""What a person sees of the work: each step has a line, long ones a bar. On stderr; without a terminal no bars."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Task, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from openkline import terminal

_WIDTH = 30
_EVERY_S = 0.1


class Progress:
    """steps: how many there will be. Each step's line is written when it ends, a bar in its place before."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self._steps = steps
        self._number = 0
        self._console = console or terminal.console(err=True)
        self._bars: Bars | None = None  # while a step is under way

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self._number += 1
        title = f"[{self._number}/{self._steps}] {title:<12}"
        step = Step(self)
        try:
            with self._one_bar(title):
                yield step
        except BaseException:
            step.result = "stopped"
            raise
        finally:
            self._line(title + step.result)

    @contextmanager
    def _one_bar(self, title: str) -> Iterator[None]:
        """Never a second line: on a narrow terminal the bar gets shorter, and the words end at its edge."""
        room = self._console.width - len(title) - len("  100% ")
        # Refreshed from here, not by a thread of rich's: a question to the person may come at any moment.
        bars = Bars(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            _Bar(bar_width=min(max(room, 1), _WIDTH)),
            TaskProgressColumn(table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="crop", ratio=1)
            ),
            console=self._console,
            expand=True,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self._console.is_terminal,
        )
        bars.add_task(title, total=None, words="..")
        self._bars = bars
        try:
            with bars:
                yield
        finally:
            self._bars = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing of a step on the terminal, and its cursor visible: for a question to the person."""
        bars = self._bars
        if bars is not None:
            bars.stop()
        try:
            yield
        finally:
            if bars is not None:
                bars.start()

    def show(self, share: float | None, words: str) -> None:
        """share: 0..1 of the step; None: not known, so no bar."""
        if self._bars is not None:
            (task,) = self._bars.tasks
            total = None if share is None else 1.0
            self._bars.update(task.id, total=total, completed=min(max(share or 0.0, 0.0), 1.0), words=words)
            self._bars.refresh()

    def say(self, text: str) -> None:
        """A line between."""
        self._line(" " * len(f"[{self._steps}/{self._steps}] ") + text)

    def _line(self, text: str) -> None:
        width = self._console.width if self._console.is_terminal else None
        text = "\n".join(terminal.wrapped(text, width))
        self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


class Step:
    """result: what stands behind the step's name when it has ended."""

    def __init__(self, progress: Progress) -> None:
        self.result = "done"
        self._progress = progress
        self._shown_s = 0.0

    def bar(self, share: float, words: str = "") -> None:
        """share: 0..1 of the step."""
        now_s = time.monotonic()
        if now_s - self._shown_s >= _EVERY_S:
            self._shown_s = now_s
            self._progress.show(share, words)

    def wait(self, words: str) -> None:
        """What is being done, where it is not known how far it is."""
        self._progress.show(None, f".. {words}")

    def say(self, text: str) -> None:
        self._progress.say(text)


class _Bar(BarColumn):
    """Nothing, as long as it is not known how far the step is."""

    def render(self, task: Task) -> RenderableType:  # type: ignore[override]
        return Text() if task.total is None else super().render(task)
