"""The model's UARTs: bits, parity, framing, glitches, both directions of the board."""

import sim
from sim.uart import FRAMING_ERROR, PARITY_ERROR, Format, Receiver, Transmitter

FRAME = b"\x3f\x04\x80\x0b\x0a\xba"


def _pair(tx_format, rx_format=None):
    w = sim.World()
    got = []
    Receiver(w, w.wire, rx_format or tx_format, lambda v, f: got.append((v, f)))
    tx = Transmitter(w, w.wire.driver("t").set, tx_format)
    return w, tx, got


def test_every_byte_in_every_format():
    for baud in (360, 1200, 9600, 10400, 115200):
        for parity in (None, 0, 1):
            for bits, stop in ((8, 1), (7, 1), (8, 2)):
                w, tx, got = _pair(Format.of(baud, bits, parity, stop))
                n = 1 << bits
                tx.send(bytes(range(n)))
                w.run_for(n * 14 * 1_000_000 // baud)
                assert got == [(i, 0) for i in range(n)], (baud, parity, bits, got[:5])


def test_a_byte_takes_1146_us_and_ends_with_its_stop_bit():
    w, tx, got = _pair(Format.of(9600, 8, 0))
    tx.send(b"\x00")
    w.run_until(1145)
    assert got == []
    w.run_until(1146)
    assert got == [(0, 0)]


def test_parity_error_is_flagged_and_delivered():
    w, tx, got = _pair(Format.of(9600, 8, 1), Format.of(9600, 8, 0))
    tx.send(b"\x55\x56")
    w.run_for(5000)
    assert got == [(0x55, PARITY_ERROR), (0x56, PARITY_ERROR)]


def test_break_is_one_zero_byte_with_a_framing_error():
    w, tx, got = _pair(Format.of())
    d = w.wire.driver("d")
    d.set(0)
    w.run_for(200_000)
    d.set(1)
    w.run_for(5000)
    tx.send(b"\xa5")
    w.run_for(5000)
    assert got == [(0, FRAMING_ERROR), (0xA5, 0)], got


def test_glitch_below_half_a_bit_is_no_start_bit():
    for low_us, bytes_seen in ((1, 0), (51, 0), (52, 1), (60, 1), (104, 1)):
        w, tx, got = _pair(Format.of())
        d = w.wire.driver("d")
        d.set(0)
        w.run_for(low_us)
        d.set(1)
        w.run_for(5000)
        assert len(got) == bytes_seen, (low_us, got)
        if got:
            assert got[0] == (0xFF, PARITY_ERROR), got  # idle is 1, the even parity of FF would be 0


def test_byte_directly_after_a_glitch_is_whole():
    w, tx, got = _pair(Format.of())
    d = w.wire.driver("d")
    d.set(0)
    w.run_for(20)
    d.set(1)
    w.run_for(20)
    tx.send(b"\x42")
    w.run_for(3000)
    assert got == [(0x42, 0)]


def test_sender_two_percent_off_either_way():
    data = bytes(range(256))
    for baud in (9600 * 98 // 100, 9600 * 102 // 100):
        w, tx, got = _pair(Format.of(baud), Format.of(9600))
        tx.send(data)
        w.run_for(400_000)
        assert [v for v, f in got] == list(data) and not any(f for v, f in got), baud


def test_two_talkers_at_once_are_anded():
    w, tx, got = _pair(Format.of(9600, 8, None))
    other = Transmitter(w, w.wire.driver("o").set, Format.of(9600, 8, None))
    tx.send(b"\xf0")
    other.send(b"\x3c")
    w.run_for(3000)
    assert got == [(0x30, 0)]


def _board(**config):
    w = sim.World(board=config)
    from machine import UART

    invert = (UART.INV_TX if w.board.config["tx_invert"] else 0) | (UART.INV_RX if w.board.config["rx_invert"] else 0)
    u = UART(1, 9600, 8, 0, 1, tx=17, rx=16, rxbuf=512, invert=invert)
    return w, u


def test_board_talks_and_hears_itself_in_all_polarities():
    from time import sleep_ms

    for tx_invert in (False, True):
        for rx_invert in (False, True):
            w, u = _board(tx_invert=tx_invert, rx_invert=rx_invert)
            m = sim.Module(w.wire)
            assert u.write(FRAME) == 6
            assert not u.txdone()
            sleep_ms(10)
            assert u.txdone()
            assert u.read() == FRAME
            assert [f for t, f in m.heard] == [FRAME]
            m.send(FRAME)
            sleep_ms(20)
            buf = bytearray(8)
            assert u.readinto(buf, 3) == 3 and u.readinto(buf) == 3 and u.readinto(buf) is None
            assert m.results[0][1] == "sent"


def test_stage_delays_shift_edges_and_swallow_runts():
    w, u = _board(tx_delay_us=7, rx_delay_us=(11, 18))
    w.run_for(100)  # the construction's glitch is still on its way
    log = w.board.pad(16).net.record()
    wire = w.wire.record()
    u.write(b"\x00")
    w.run_for(3000)
    assert [lv for t, lv in wire] == [0, 1] and [lv for t, lv in log] == [0, 1]
    assert log[0][0] - wire[0][0] == 11 and log[1][0] - wire[1][0] == 18
    assert u.read() == b"\x00"
    # a recessive gap of 5 us between two dominant ones doesn't get through a rise that is 7 us slower
    d = w.wire.driver("d")
    log.clear()
    d.set(0)
    w.run_for(100)
    d.set(1)
    w.run_for(5)
    d.set(0)
    w.run_for(100)
    d.set(1)
    w.run_for(100)
    assert [lv for t, lv in log] == [0, 1], list(log)


def test_rx_overflow_is_silent_and_keeps_the_oldest():
    w, u = _board()
    m = sim.Module(w.wire)
    data = bytes([i & 255 for i in range(700)])
    m.send_raw(data)
    w.run_for(900_000)
    assert u.any() == 640
    assert u.read() == data[:640]
    assert w.board.uart(1).rx_lost == 60


def test_pin_taken_away_in_mid_frame_and_given_back():
    from time import sleep_ms, sleep_us, ticks_diff, ticks_us

    from machine import Pin

    w, u = _board()
    wire = w.wire.record()
    u.write(FRAME)
    sleep_us(3000)
    Pin(17, Pin.OUT, value=0)  # recessive through an inverting stage
    assert w.wire.level == 1
    released = w.now
    sleep_us(100)
    assert not u.txdone()
    n = len(wire)
    while not u.txdone():
        sleep_us(100)
    assert len(wire) == n and wire[n - 1][0] <= released, "the FIFO drains with the pad away"
    t = ticks_us()
    u.init(tx=17)
    assert ticks_diff(ticks_us(), t) < 100
    u.write(FRAME)
    sleep_ms(10)
    assert u.read() == FRAME
    # given back while the FIFO still drains: init waits for it
    u.write(FRAME)
    Pin(17, Pin.OUT, value=0)
    t = ticks_us()
    u.init(tx=17)
    assert 6000 < ticks_diff(ticks_us(), t) < 8000


def test_first_construction_glitches_unless_done_on_a_spare_pin():
    from machine import UART, Pin

    w = sim.World()
    wire = w.wire.record()
    UART(1, 9600, 8, 0, 1, tx=17, rx=16, invert=UART.INV_TX)
    assert len(wire) == 2 and wire[1][0] - wire[0][0] < 10
    w = sim.World()
    wire = w.wire.record()
    u = UART(1, 9600, 8, 0, 1, tx=4, rx=16, invert=UART.INV_TX)
    u.init(tx=17)
    Pin(4, Pin.IN)
    assert len(wire) == 0


def test_second_construction_keeps_the_driver():
    from machine import UART

    w, u = _board()
    sim.Module(w.wire).send_raw(b"\x11")
    w.run_for(2000)
    again = UART(1)
    assert again.any() == 1 and "parity=0" in repr(again)


def test_misuse_fails_as_on_silicon():
    from machine import UART, Pin, Timer

    w, u = _board()
    for what, error in (
        (lambda: UART(1, 9600, wrong=1), TypeError),
        (lambda: UART(0, 9600), ValueError),
        (lambda: UART(3, 9600), ValueError),
        (lambda: UART(2, 9600, tx=34, rx=16), OSError),
        (lambda: u.init(bits=9), ValueError),
        (lambda: u.init(rxbuf=64), OSError),
        (lambda: u.irq(lambda u: None, UART.IRQ_RX, hard=True), ValueError),
        (lambda: Pin(16).irq(lambda p: None, Pin.IRQ_FALLING, hard=True), TypeError),
        (lambda: Pin(34, Pin.OUT), ValueError),
        (lambda: Pin(24), ValueError),
        (lambda: Pin(9, Pin.IN), ValueError),
        (lambda: Timer(-1), ValueError),
        (lambda: Timer(4), ValueError),
        (lambda: Timer(0).init(period=1, hard=True), ValueError),
    ):
        try:
            what()
        except error:
            continue
        raise AssertionError("no " + str(error))
    sim.World()
    try:
        UART(1, 9600)
    except ValueError as e:
        assert "flash" in str(e)
    else:
        raise AssertionError("UART1's default pins are flash pins")


def test_pin_in_cuts_rx_off():
    from machine import Pin

    for cuts in (True, False):
        w, u = _board()
        w.board.pin_in_cuts_rx = cuts
        Pin(16)
        sim.Module(w.wire).send_raw(b"\x11")
        w.run_for(2000)
        assert u.any() == 1
        Pin(16, Pin.IN)
        sim.Module(w.wire).send_raw(b"\x11")
        w.run_for(2000)
        assert u.any() == (1 if cuts else 2)


def test_broken_stages():
    from time import sleep_ms

    for fault, echo in (("tx_open", b""), ("rx_open", b""), ("tx_stuck", None), ("rx_stuck", None)):
        w, u = _board()
        w.board.stage.set_fault(fault)
        sleep_ms(5)
        u.read()
        u.write(FRAME)
        sleep_ms(20)
        assert (u.read() or b"") == (echo or b""), fault
    w, u = _board()
    w.board.stage.set_fault("slow", "tx_open")  # both, and what was before is mended
    assert w.board.stage.driver.level == 1 and w.board.stage._rx.delays == (8, 75)
    w.board.stage.set_fault("tx_open", "tx_stuck", "weak", "slow")
    assert w.board.stage.driver.level == 0 and w.board.stage._rx.delays == (60, 75)
    w.board.stage.set_fault()
    assert w.board.stage.driver.level == 1 and w.board.stage._rx.delays == (0, 0)
    w, u = _board()
    w.wire.power(False)
    from machine import Pin

    assert Pin(16).value() == 0
    w, u = _board()
    w.board.uart(1).rx_or = 4
    u.write(b"\x00\x03")
    sleep_ms(5)
    assert u.read() == b"\x04\x07"


def test_bit_banged_pulse():
    from time import sleep_us

    from machine import Pin

    w, u = _board()
    wire = w.wire.record()
    p = Pin(17, Pin.OUT, value=0)
    p(1)
    sleep_us(25_000)
    p(0)
    assert len(wire) == 2 and 25_000 <= wire[1][0] - wire[0][0] < 25_020


def test_a_minute_of_full_bus_takes_a_few_seconds():
    import select
    import sys

    import utime
    from machine import UART

    w, u = _board()
    p = select.poll()
    p.register(sys.stdin, select.POLLIN)
    p.register(u, select.POLLIN)
    u.irq(lambda u: None, UART.IRQ_RX)
    data = bytes([i * 73 & 255 for i in range(52_000)])
    sim.Player(w.wire, data)
    sim.Module(w.wire, keep=False)
    buf = bytearray(64)
    begun = utime.ticks_ms()
    n = bad = 0
    while w.now < 60_000_000:
        p.poll(10)
        k = u.any()
        if k:
            k = u.readinto(buf, k)
            for i in range(k):
                bad += buf[i] != data[n + i]
            n += k
    took = utime.ticks_diff(utime.ticks_ms(), begun) / 1000
    print("%.1f s of real time for 60 s of model time" % took)
    assert n == 52_000 and bad == 0
    assert took < 15
