"""The modelled USB serial link: speed, buffers, faults, Ctrl-C, what happens when nobody reads; gc and reset."""

import sim


def _both():
    import sys

    w = sim.World()
    return w, sim.UsbHost(w, latency_us=0), sys


def test_every_byte_value_both_ways():
    w, host, sys = _both()
    import micropython

    micropython.kbd_intr(-1)
    data = bytes(range(256))
    host.write(data)
    buf = bytearray(256)
    assert sys.stdin.buffer.readinto(buf) == 256 and bytes(buf) == data
    assert sys.stdout.buffer.write(data) == 256
    w.run_for(50_000)
    assert bytes(host.received) == data


def test_speed_is_that_of_115200_baud():
    w, host, sys = _both()
    done = []
    host.on_data = lambda data: done.append((w.now, len(data)))
    sys.stdout.buffer.write(bytes(100))
    t = w.now
    w.run_for(20_000)
    assert done[-1][0] - t <= 8681 <= done[-1][0] - t + 100
    host.write(bytes(115))
    t = w.now
    sys.stdin.buffer.read(115)
    assert 9900 <= w.now - t < 20_100


def test_a_write_blocks_by_ticks_when_the_fifo_is_full():
    # 41 us for 128 bytes, 9.7 ms for 192, 20 ms for 256 [E]
    for n, low, high in ((128, 40, 41), (192, 100, 10_100), (256, 10_000, 20_100)):
        w, host, sys = _both()
        t = w.now
        sys.stdout.buffer.write(bytes(n))
        assert low <= w.now - t <= high, (n, w.now - t)


def test_write_forms():
    w, host, sys = _both()
    out = sys.stdout.buffer
    assert out.write(b"abcdef", 2) == 2 and out.write(b"abcdef", 3, 2) == 2
    sys.stdout.write("x\n")
    w.run_for(10_000)
    assert bytes(host.received) == b"abdex\r\n"


def test_input_beyond_259_bytes_is_lost_silently():
    w, host, sys = _both()
    host.write(b"a" * 300)
    w.run_for(100_000)
    assert w.usb.count == 259 and w.usb.lost == 41


def test_ctrl_c_interrupts_unless_switched_off():
    from time import sleep_ms

    import micropython

    w, host, sys = _both()
    host.write(b"ab\x03c")
    try:
        sleep_ms(1000)
    except KeyboardInterrupt:
        assert w.now < 10_000
    else:
        raise AssertionError("no KeyboardInterrupt")
    w.run_for(10_000)
    assert sys.stdin.buffer.read(3) == b"abc"
    micropython.kbd_intr(-1)
    host.write(b"\x03")
    sleep_ms(100)
    assert sys.stdin.buffer.read(1) == b"\x03"


def test_stdout_stalls_while_nobody_reads():
    w, host, sys = _both()
    w.usb.read_by_host = False

    def again(_):
        w.usb.read_by_host = True

    w.at(500_000, again)
    sys.stdout.buffer.write(bytes(10))
    assert w.now >= 500_000
    w.usb.read_by_host = False
    try:
        sys.stdout.buffer.write(bytes(10))
    except sim.Stuck:
        return
    raise AssertionError("a stall for ever on the virtual clock is an error")


def test_faults_drop_flip_double_and_delay():
    w, host, sys = _both()
    host.to_device = sim.Faults(3, drop=1000)
    data = bytes([0x55] * 200)
    host.write(data)
    w.run_for(100_000)
    assert 165 < w.usb.count < 195 and w.usb.count + host.to_device.done == 200
    host.from_device = sim.Faults(4, flip=1000, double=1000, delay_us=50_000)
    sys.stdout.buffer.write(data)
    w.run_for(200_000)
    assert len(host.received) > 205 and any(b != 0x55 for b in host.received)


def test_gc_collect_costs_time_and_sys_is_the_esp32s():
    import gc

    w, host, sys = _both()
    t = w.now
    gc.collect()
    assert w.now - t == 4000 and gc.mem_alloc() > 0
    assert sys.platform == "esp32" and sys.implementation[0] == "micropython"


def test_machine_module():
    import machine

    w = sim.World(seed=0x1234)
    assert machine.unique_id() == b"\x02SIM\x12\x34"
    assert machine.reset_cause() == machine.PWRON_RESET and machine.freq() == 160_000_000
    machine.idle()
    for fn, status in ((machine.reset, 75), (machine.soft_reset, 76)):
        try:
            fn()
        except SystemExit as e:
            assert e.value == status
    t = machine.Timer(0)
    t.init(mode=machine.Timer.ONE_SHOT, period=5, callback=lambda t: machine.reset())
    from time import sleep_ms

    try:
        sleep_ms(100)
    except SystemExit as e:
        assert e.value == 75 and w.now < 6000
    else:
        raise AssertionError("a reset in a callback ends the program too")


def test_asyncio_runs_on_the_models_clock():
    import asyncio

    w = sim.World(ticks_ms=(1 << 30) - 2500)
    seen = []

    async def ticker():
        for _ in range(5):
            await asyncio.sleep_ms(1000)
            seen.append(w.now // 1_000_000)

    asyncio.run(ticker())
    assert seen == [1, 2, 3, 4, 5], seen

    async def cancelled():
        other = asyncio.create_task(ticker())
        try:
            await asyncio.wait_for_ms(ticker(), 1500)
        except asyncio.TimeoutError:
            pass
        await other
        return await asyncio.gather(value(3), value(4))

    async def value(n):
        await asyncio.sleep_ms(10 * n)
        return n

    del seen[:]
    assert asyncio.run(cancelled()) == [3, 4]
    assert seen == [6, 6, 7, 8, 9, 10], seen
