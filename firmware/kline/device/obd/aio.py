"""KLineObd2 beside other asyncio tasks: the _steps generators, awaited.

    tester = KLineObd2(transport)
    await run(tester.connect_steps())
    answer = await run(tester.request_pid_steps(1, 0x0C))

Other tasks run wherever the steps leave time. None of them may keep the processor for longer than 15 ms at a time; an
initialisation notices one that does (ObdError LATE) and begins again.
"""

from asyncio import sleep_ms

_WORTH_US = 1_500


async def run(steps):
    """Run the generator to its end; returns what it returns. When the task is cancelled, the line is given back."""
    try:
        while True:
            try:
                budget_us = next(steps)
            except StopIteration as end:
                return end.value
            await sleep_ms(1 if budget_us > _WORTH_US else 0)
    finally:
        steps.close()
