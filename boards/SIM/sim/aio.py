"""Task and TaskQueue for MicroPython's asyncio, on the model's ticks.

The unix port's compiled `_asyncio` reads the real clock and knows no wrap at 2**30, so it is replaced. What asyncio's
core expects of the two: a queue of tasks by due time with peek/push/pop/remove, a task with coro, data, state and
ph_key, that can be awaited, cancelled and asked whether it is done. state: True running, a TaskQueue of those who wait
for it, None finished and its result unread, False finished and read. data: the exception that ended it (StopIteration
with its value), or what it waits for.
"""

import usys

from .ticks import ticks_diff


def _core():
    return usys.modules["asyncio.core"]


class TaskQueue:
    def __init__(self):
        self._tasks = []  # soonest first; equal times in the order of arrival

    def peek(self):
        return self._tasks[0] if self._tasks else None

    def push(self, task, due=None):
        if due is None:
            due = _core().ticks()
        task.ph_key = due
        task.data = None  # it waits for nothing but its time
        tasks = self._tasks
        i = len(tasks)
        while i and ticks_diff(due, tasks[i - 1].ph_key) < 0:
            i -= 1
        tasks.insert(i, task)

    def pop(self):
        return self._tasks.pop(0)

    def remove(self, task):
        for i, t in enumerate(self._tasks):
            if t is task:
                self._tasks.pop(i)
                return


class Task:
    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def done(self):
        return not self.state

    def cancel(self):
        """False if it had finished already."""
        if self.done():
            return False
        core = _core()
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            core._task_queue.push(task)
        elif ticks_diff(task.ph_key, core.ticks()) > 0:
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = core.CancelledError
        return True

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        me = _core().cur_task
        self.state.push(me)
        me.data = self
