"""The device's parts one by one: settings, board.json, the transmit queue, the handler, the facade."""

import json

import sim
from rig import BOARD, board, frame


def fails(call, *words):
    """The call raises ValueError or OSError, and its text has all the words."""
    try:
        call()
    except (ValueError, OSError) as error:
        text = str(error)
        assert all([word in text for word in words]), text
        return
    raise AssertionError("no error")


def test_config_names_field_value_and_range():
    sim.World()
    from kline.device.config import KLineConfig

    fails(lambda: KLineConfig(baud=1199), "baud", "1199", "1200", "115200")
    fails(lambda: KLineConfig(baud="9600"), "baud", "9600")
    fails(lambda: KLineConfig(framing="7E1"), "framing", "7E1", "8E1")
    fails(lambda: KLineConfig(idle_timeout_us=-1), "idle_timeout_us", "-1", "0", "100000")
    fails(lambda: KLineConfig(idle_check_us=999), "idle_check_us", "999", "1000")
    fails(lambda: KLineConfig(max_frame=4), "max_frame", "4", "5", "257")
    fails(lambda: KLineConfig(max_frame=258), "max_frame", "258", "257")
    fails(lambda: KLineConfig(rx_ring=255), "rx_ring", "255", "256")
    fails(lambda: KLineConfig(max_frame=257, rx_ring=513), "rx_ring", "513", "514")
    fails(lambda: KLineConfig(tx_ring=127), "tx_ring", "127", "128")
    fails(lambda: KLineConfig(tx_invert=1), "tx_invert", "1")
    fails(lambda: KLineConfig(max_tries=0), "max_tries", "0", "255")


def test_presets():
    sim.World()
    from kline.device.config import MOD256, XOR, KLineConfig

    bus = KLineConfig.ibus()
    assert (bus.baud, bus.framing, bus.idle_timeout_us, bus.packet_gap_ms) == (9600, "8E1", 1500, 10)
    assert (bus.tx_invert, bus.checksum, bus.max_frame, bus.rx_ring) == (True, XOR, 64, 256)
    assert bus.byte_us == 1146
    obd = KLineConfig.obd2(max_frame=257)
    assert (obd.baud, obd.framing, obd.idle_timeout_us, obd.tx_invert, obd.checksum) == (10400, "8N1", 0, False, MOD256)
    assert obd.rx_ring == 514 and obd.byte_us == 962


def test_board_json():
    sim.World()
    from kline.device import board as boards

    fails(lambda: boards.load("none.json"), "none.json", "missing")
    for text, words in (
        ("{", ("not JSON",)),
        ("[]", ("object",)),
        ('{"rx": 16}', ("b.json",)),
        ('{"rx": 16, "tx": 99}', ("tx", "99")),
        ('{"rx": 16, "tx": 16}', ("16",)),
        ('{"rx": 16, "tx": 17, "password": 4294967296}', ("password", "32 bits")),
        ('{"rx": 16, "tx": 17, "password": -1}', ("password", "32 bits")),
        ('{"rx": 16, "tx": 17, "password": "1234"}', ("password", "32 bits")),
    ):
        with open("b.json", "w") as file:
            file.write(text)
        fails(lambda: boards.load("b.json"), *words)
    with open("b.json", "w") as file:
        json.dump({"board": "X", "rx": 5, "tx": 4, "future": 1}, file)
    made = boards.load("b.json")
    assert (made.name, made.rx, made.tx, made.led, made.tx_invert) == ("X", 5, 4, None, True)
    assert made.password is None
    for password in (0, 0xFFFFFFFF):
        with open("b.json", "w") as file:
            json.dump({"rx": 5, "tx": 4, "password": password}, file)
        assert boards.load("b.json").password == password


def queue(**settings):
    sim.World()
    from kline.device.config import KLineConfig
    from kline.device.transmit_queue import TransmitQueue

    return TransmitQueue(KLineConfig(**settings))


def test_queue_takes_whole_messages_or_nothing():
    q = queue()
    body = bytes(range(40))
    taken = 0
    while q.put(body, 0, 40, taken, 5, 0, 100, 0x3FFFFFFF):
        taken += 1
    assert taken == 2  # 152 bytes: two of 41 with a header of 12 each, and 46 bytes that don't do
    assert not q.put(body, 0, 35, 9, 5, 0, 100, 0)
    assert q.put(body, 0, 33, 9, 5, 0, 100, 0)
    for ident, n in ((0, 41), (1, 41), (9, 34)):
        assert q.load()
        assert (q.id, q.length, q.max_tries, q.deadline_ms) == (ident, n, 5, 100)
        x = 0
        for i in range(n):
            x ^= q.frame[i]
        assert x == 0
    assert not q.load() and q.flushed == 0


def test_queue_with_a_corrupt_prefix_is_flushed():
    for at, value in ((0, 0), (0, 255), (1, 1), (0, 60)):  # none, too long, far too long, more than is there
        q = queue()
        q.put(b"\x18\x04\xff\x02\x00", 0, 5, 1, 5, 0, 100, 0)
        q._ring._buf[at] = value
        assert not q.load()
        assert q.flushed == 1 and not q.waiting()
        assert q.put(b"\x18\x04\xff\x02\x00", 0, 5, 2, 5, 0, 100, 0)
        assert q.load() and q.id == 2


def test_queue_with_less_than_a_header_is_flushed():
    q = queue()
    q._ring.write(b"\x06\x00\x01")
    assert not q.load() and q.flushed == 1 and not q.waiting()


def listening(**settings):
    w = sim.World()
    from kline import IbusEsp32

    ibus = IbusEsp32().begin(board())
    return w, ibus, sim.Module(w.wire, 0x68)


def test_facade_hears_and_sends():
    w, ibus, module = listening()
    got = []
    results = []
    ibus.on_packet(lambda buffer, n: got.append(bytes(buffer[:n])))
    ibus.on_result(lambda *result: results.append(result[:4]))
    module.send(frame(0x68, 0x18, b"\x01"))
    ibus.listen(0.1)
    assert got == [b"\x68\x03\x18\x01\x72"]
    assert ibus.send(0x18, 0xFF, b"\x02\x00", id=3)
    ibus.listen(0.1)
    assert results == [(3, 0, 0, 1)]
    assert module.heard[-1][1] == b"\x18\x04\xff\x02\x00\xe1"
    assert len(got) == 1, "our own echo is nobody's frame"
    ibus.close()
    assert w.wire.level == 1


def test_facade_refuses_what_is_no_message():
    w, ibus, module = listening()
    for body in (b"", b"\x68\x02\x18", b"\x68\x03\x18\x01\x72", b"\x68\x04\x18\x01", b"\x68\x02\x18\x01"):
        fails(lambda: ibus.write(body), "source, length, destination, data", "no checksum")
    fails(lambda: ibus.send(0x68, 0x18, b""), "data")
    assert ibus.write(b"\x68\x03\x18\x01")
    ibus.listen(0.1)
    assert [whole for _, whole in module.heard] == [b"\x68\x03\x18\x01\x72"]


def test_facade_before_begin():
    sim.World()
    from kline import IbusEsp32

    ibus = IbusEsp32()
    for use in (ibus.run, ibus.listen, ibus.close, ibus.set_filter, lambda: ibus.send(0x68, 0x18, b"\x01")):
        try:
            use()
        except RuntimeError as error:
            assert "begin()" in str(error)
        else:
            raise AssertionError(use)
    assert not hasattr(ibus, "sent")


def test_facade_on_board_json_and_asyncio():
    w = sim.World()
    import asyncio

    from kline import IbusEsp32

    with open("board.json", "w") as file:
        json.dump(BOARD, file)
    ibus = IbusEsp32().begin()
    got = []
    ibus.on_packet(lambda buffer, n: got.append(bytes(buffer[:n])))
    module = sim.Module(w.wire, 0x68)
    module.send(frame(0x68, 0x18, b"\x01"))

    async def main():
        task = asyncio.create_task(ibus.serve())
        while not got:
            await asyncio.sleep_ms(10)
        task.cancel()

    asyncio.run(main())
    assert got == [b"\x68\x03\x18\x01\x72"]


def test_filter_keeps_other_sources_back():
    w, ibus, module = listening()
    got = []
    ibus.on_packet(lambda buffer, n: got.append(buffer[0]))
    ibus.set_filter(0x80, 0x3F)
    for source in (0x68, 0x80, 0x18, 0x3F):
        module.send(frame(source, 0xFF, b"\x01"))
    ibus.listen(0.2)
    assert got == [0x80, 0x3F]
    assert ibus.handler.filtered == 2
    ibus.set_filter()
    module.send(frame(0x68, 0xFF, b"\x01"))
    ibus.listen(0.1)
    assert got[-1] == 0x68
    fails(lambda: ibus.set_filter(*range(17)), "17", "16")


def test_a_callback_that_raises_is_counted_and_reception_goes_on():
    w, ibus, module = listening()
    got = []

    def callback(buffer, n):
        got.append(n)
        raise RuntimeError("somebody's mistake")

    ibus.on_packet(callback)
    for _ in range(3):
        module.send(frame(0x68, 0xFF, b"\x01"))
    ibus.listen(0.2)
    assert got == [5, 5, 5] and ibus.handler.callback_errors == 3


def test_led_is_on_during_the_callback():
    w, ibus, module = listening()
    led = w.board.pad(2).net
    seen = []
    ibus.on_packet(lambda buffer, n: seen.append(led.level))
    assert led.level == 0
    module.send(frame(0x68, 0xFF, b"\x01"))
    ibus.listen(0.1)
    assert seen == [1] and led.level == 0


def test_tx_is_recessive_from_power_on_to_close():
    w = sim.World()
    from kline import IbusEsp32

    log = w.board.stage.driver.record()
    ibus = IbusEsp32().begin(board())
    ibus.listen(0.05)
    ibus.close()
    assert len(log) == 0, list(log)


def test_without_a_spare_pin_there_is_a_glitch_of_microseconds():
    w = sim.World()
    from kline import IbusEsp32

    log = w.board.stage.driver.record()
    IbusEsp32().begin(board(spare=None)).listen(0.05)
    low = [b[0] - a[0] for a, b in zip(list(log), list(log)[1:]) if a[1] == 0]
    assert len(low) == 1 and low[0] < 104, low


def test_clear_to_send_follows_the_bus():
    w, ibus, module = listening()
    ibus.listen(0.02)
    assert ibus.transport.clear_to_send
    module.send(frame(0x68, 0xFF, bytes(30)))
    ibus.listen(0.015)
    assert not ibus.transport.clear_to_send
    ibus.listen(0.05)
    assert ibus.transport.clear_to_send


def test_with_idle_timeout_0_the_bus_is_always_clear():
    w = sim.World()
    from kline.device.config import KLineConfig
    from kline.device.transport import KLineTransport

    transport = KLineTransport(board(), KLineConfig.obd2(tx_invert=True)).begin()
    module = sim.Module(w.wire, 0x33, baud=10400, parity=None, polite=False)
    module.send_raw(bytes(50))
    for _ in range(50):
        transport.drain_uart()
        assert transport.clear_to_send
        w.burn(1000)
    assert transport.rx_available() >= 45
    transport.flush_rx()
    assert transport.rx_available() == 0
