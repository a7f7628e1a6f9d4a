"""Initialisation and requests beside other asyncio tasks; and how long interrupts are masked."""

# ruff: noqa: I001 (sim comes before asyncio: it brings the model's clock)
from obd_rig import ISO, KWP, SLOW, ObdRig

import asyncio


def _beside(rig, steps, work_us):
    """Runs the steps beside a task that works for so long every 20 ms -> (result, how often that task ran)."""
    from kline.device.obd.aio import run

    turns = []

    async def other():
        while True:
            await asyncio.sleep_ms(20)
            rig.world.burn(work_us)
            turns.append(rig.world.now)

    async def main():
        task = asyncio.create_task(other())
        result = await run(steps)
        task.cancel()
        return result

    return asyncio.run(main()), turns


def test_each_init_beside_another_task():
    for work_us in (1_000, 12_000):
        for script, kind in ((KWP, "slow_init_steps"), (KWP, "fast_init_steps"), (ISO, "slow_init_steps")):
            rig = ObdRig(script)
            session, turns = _beside(rig, getattr(rig.obd, kind)(), work_us)
            assert session.baud == 10400
            rig.good()
            assert len(turns) > (50 if kind[0] == "s" else 10), len(turns)
            longest = max([b - a for a, b in zip(turns, turns[1:])])
            assert longest < 300_000, longest
            answer, _ = _beside(rig, rig.obd.request_pid_steps(1, 0x0C), work_us)
            assert answer.frames == [b"\x0c\x0d\x20"]
            rig.good()


def test_a_cancelled_init_gives_the_line_back():
    import gc

    from kline.device.obd.aio import run

    rig = ObdRig()

    async def main():
        task = asyncio.create_task(run(rig.obd.slow_init_steps()))
        await asyncio.sleep_ms(600)
        assert rig.world.wire.level == 1 or not gc.isenabled()
        task.cancel()
        await asyncio.sleep_ms(50)

    asyncio.run(main())
    assert rig.world.wire.level == 1 and gc.isenabled()
    rig.world.burn(3_000_000)
    rig.obd.fast_init()
    assert rig.sessions() == 1


def test_interrupts_are_masked_for_less_than_20_ms():
    cases = [(KWP, "slow_init", 290), (KWP, "fast_init", 290), (ISO, "slow_init", 290)]
    # The sync byte begins anywhere in the 12 ms of a look, and lasts longest at 1200 baud.
    cases += [(dict(SLOW, baud=1200), "slow_init", 280 + ms) for ms in range(0, 13, 2)]
    for script, kind, w1_ms in cases:
        rig = ObdRig(script, timing_ms={"W1": w1_ms})
        world = rig.world
        real = world.mask_interrupts
        begun = []
        lengths = []

        def mask(off):
            if off:
                begun.append(world.now)
            else:
                lengths.append(world.now - begun[-1])
            return real(off)

        world.mask_interrupts = mask
        getattr(rig.obd, kind)()
        rig.good()
        assert lengths and max(lengths) < 20_000 and len(lengths) == len(begun), lengths
