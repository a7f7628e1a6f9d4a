"""When the model runs callbacks: at the VM's own points, one at a time, at most eight waiting; what calls cost."""

import sim

FRAME = b"\x68\x03\x18\x01\x72"


def _board(seed=1, **options):
    w = sim.World(seed, **options)
    from machine import UART

    return w, UART(1, 9600, 8, 0, 1, tx=17, rx=16, rxbuf=512, invert=UART.INV_TX)


def test_ticks_wrap_soon_after_power_on():
    from time import sleep_ms, ticks_add, ticks_diff, ticks_ms, ticks_us

    w = sim.World()
    before = ticks_us(), ticks_ms()
    assert (1 << 30) - 10_000_100 < before[0] < 1 << 30
    sleep_ms(14_000)
    after = ticks_us(), ticks_ms()
    assert after[0] < before[0] and after[1] < before[1]
    assert 14_000_000 <= ticks_diff(after[0], before[0]) < 14_000_100
    assert 14_000 <= ticks_diff(after[1], before[1]) <= 14_001
    assert ticks_diff(before[0], after[0]) < 0
    assert ticks_add(before[0], 14_000_000) < before[0]
    assert w.now > 14_000_000


def test_pin_irq_fires_once_when_it_masks_itself_and_again_when_armed():
    from time import sleep_ms, ticks_us

    from machine import Pin

    w, u = _board()
    m = sim.Module(w.wire)
    seen = []
    pin = Pin(16)

    def edge(p):
        seen.append(ticks_us())
        irq.trigger(0)

    irq = pin.irq(edge, Pin.IRQ_FALLING)
    m.send(FRAME, 10_000)
    sleep_ms(50)
    assert len(seen) == 1 and u.any() == 5
    late = ((seen[0] - w.ticks_us0) & 0x3FFFFFFF) - m.begun[0]
    assert 25 <= late <= 40, late
    assert irq.trigger(Pin.IRQ_FALLING) == 0
    m.send(FRAME)
    sleep_ms(50)
    assert len(seen) == 2 and u.any() == 10


def test_queue_of_eight_overflows_silently():
    from machine import Pin, time_pulse_us

    w, u = _board()
    n = [0]

    def edge(p):
        n[0] += 1

    Pin(16).irq(edge, Pin.IRQ_FALLING | Pin.IRQ_RISING)
    sim.Module(w.wire).send_raw(b"\x55\x55")
    # a C call: nothing runs inside, 20 edges come
    time_pulse_us(Pin(2), 1, 3000)
    for _ in range(40):
        pass
    assert n[0] == 8, n
    assert w.dropped == 12, w.dropped


def test_callbacks_run_one_per_jump_and_are_not_nested():
    from time import ticks_us

    from machine import UART, Pin, time_pulse_us

    w, u = _board()
    depth = [0, 0, 0]

    def edge(p):
        depth[0] += 1
        depth[1] = max(depth[1], depth[0])
        for _ in range(50):
            ticks_us()
            u.any()
        depth[2] += 1
        depth[0] -= 1

    Pin(16).irq(edge, Pin.IRQ_FALLING)
    u.irq(edge, UART.IRQ_RX)
    sim.Module(w.wire).send_raw(b"\x55\x55\x55")
    for _ in range(3):
        time_pulse_us(Pin(2), 1, 1200)
    for _ in range(100):
        pass
    assert depth[1] == 1 and depth[2] > 8, depth


def _gate(branch_free):
    """Idle check and write, with a timer's callback (400 us) that becomes due during the check.

    -> model times of the callback and of the first start bit
    """
    from machine import Pin, Timer, time_pulse_us

    w, u = _board()
    ran = []

    def late(timer):
        ran.append(w.now)
        w.burn(400)

    def nop(buf, n):
        pass

    Timer(0).init(mode=Timer.ONE_SHOT, period=1, callback=late)
    pulse, rx, any_, write = time_pulse_us, Pin(16), u.any, u.write
    driver = w.board.stage.driver.record()
    if branch_free:
        (nop, write)[(pulse(rx, 0, 1500) == -2) & (any_() == 0)](FRAME, 5)
    elif pulse(rx, 0, 1500) == -2 and any_() == 0:
        write(FRAME, 5)
    for _ in range(10):
        pass
    assert len(ran) == 1
    return ran[0], driver[0][0], w


def test_branch_free_gate_sees_no_callback_but_an_if_does():
    ran, start, w = _gate(True)
    assert ran > start, "a callback ran inside the branch-free gate"
    ran, start, w = _gate(False)
    assert ran < start and start - ran >= 400, "no callback ran at the jumps of the if"


def test_gate_to_start_bit_costs_what_was_measured():
    from machine import Pin, time_pulse_us

    w, u = _board()
    pulse, rx, any_, write = time_pulse_us, Pin(16), u.any, u.write
    driver = w.board.stage.driver.record()
    t = w.now
    (None, write)[(pulse(rx, 0, 1500) == -2) & (any_() == 0)](FRAME, 5)
    assert 34 <= driver[0][0] - t - 1500 <= 37, "34-37 us on the real port, emulated chip"


def test_callbacks_run_while_the_vm_sleeps_or_polls_but_not_in_flush():
    import select
    from time import sleep_ms, sleep_us

    from machine import Timer

    w, u = _board()
    times = []
    t = Timer(1)
    t.init(mode=Timer.PERIODIC, period=1, callback=lambda t: times.append(w.now))
    sleep_ms(20)
    assert 18 <= len(times) <= 20
    del times[:]
    sleep_us(5000)
    assert len(times) >= 4
    del times[:]
    p = select.poll()
    p.register(u, select.POLLIN)
    assert p.poll(10) == []
    assert len(times) >= 9
    del times[:]
    u.write(FRAME * 8)
    w.dropped = 0
    u.flush()
    n = len(times)
    for _ in range(40):
        pass
    assert n == 0 and len(times) in (8, 9) and w.dropped > 30, (n, len(times), w.dropped)
    t.deinit()
    del times[:]
    sleep_ms(10)
    assert not times


def test_poll_wakes_for_uart_only_with_a_handler():
    import select
    import sys

    from machine import UART

    w, u = _board()
    p = select.poll()
    p.register(sys.stdin, select.POLLIN)
    p.register(u, select.POLLIN)
    w.run_until(100_000)
    m = sim.Module(w.wire, polite=False)
    m.send_raw(b"\x11", 102_000)
    assert p.poll(1000) == [(u, select.POLLIN)]
    assert w.now >= 110_000, "without a handler only the next tick looks"
    u.read()
    u.irq(lambda u: None, UART.IRQ_RX)
    m.send_raw(b"\x11", w.now + 2000)
    end = w.now + 2000 + 1146
    assert p.poll(1000) == [(u, select.POLLIN)]
    assert end <= w.now < end + 60, (end, w.now)
    u.read()
    host = sim.UsbHost(w)
    host.write(b"x")
    t = w.now
    assert p.poll(1000)[0][0] is sys.stdin
    assert w.now % 10_000 < 60 and w.now - t > 1000, "stdin waits for the tick"


def test_schedule_shim_runs_and_refuses():
    import micropython

    w = sim.World()
    ran = []
    from machine import disable_irq, enable_irq

    for i in range(3):
        micropython.schedule(ran.append, i)
    for _ in range(20):
        pass
    assert ran == [0, 1, 2]

    def burst(_):
        for i in range(9):
            micropython.schedule(ran.append, i)

    micropython.schedule(burst, 0)
    for _ in range(30):
        pass
    assert len(ran) == 3 + 8 and isinstance(w.errors[0], RuntimeError)
    was = disable_irq()
    enable_irq(was)


def test_errors_in_callbacks_are_kept():
    import micropython

    w = sim.World()
    micropython.schedule(lambda _: 1 // 0, None)
    for _ in range(5):
        pass
    assert isinstance(w.errors[0], ZeroDivisionError)


def test_stalls_strike_before_calls():
    from time import ticks_us

    from sim.stalls import Stalls

    w = sim.World()
    s = Stalls(w, seed=3, chance=5000, us=(100, 100))
    t = w.now
    for _ in range(100):
        ticks_us()
    assert 30 < s.count < 70 and w.now - t == s.count * 100 + 100 * w.cost["ticks"]


def _run(seed):
    w, u = _board(seed)
    wire = w.wire.record()
    for i in range(4):
        sim.Talker(w.wire, 0x10 + i, 0.15)
    sim.Noise(w.wire, 5, seed)
    from time import sleep_ms

    sleep_ms(3000)
    return list(wire), u.read()


def test_a_seed_makes_a_run_repeatable():
    a, b, c = _run(7), _run(7), _run(8)
    assert a == b and a != c and len(a[0]) > 1000


def test_stuck_is_noticed():
    import select

    w = sim.World()
    p = select.poll()
    p.register(w.usb.stdin, select.POLLIN)
    try:
        p.poll()
    except sim.Stuck:
        return
    raise AssertionError("a poll without end on an empty event queue")
