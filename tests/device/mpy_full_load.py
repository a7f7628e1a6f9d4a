"""A bus without a gap, on a chip whose Python takes its time: with and without a message that waits for its moment."""

import sim
from rig import Rig, frame

from kline.protocol.link import records

CHIP = "160"
TIMEOUT = 170
HEAP = "256M"


class Flood:
    """Frames of `size` bytes, one behind the other, from now on."""

    def __init__(self, world, size):
        self.world = world
        self.sent = []
        self.size = size
        self.module = sim.Module(world.wire, 0x68, polite=False, keep=False)
        self.until = 0

    def run_for(self, seconds):
        self.until = self.world.now + int(seconds * 1_000_000)
        self._more(None)

    def _more(self, _):
        if self.world.now >= self.until:
            return
        rng = self.world.rng
        some = [frame(0x68, 0xBF, bytes([rng.below(256) for _ in range(self.size - 4)])) for _ in range(50)]
        self.sent.extend(some)
        part = b"".join(some)
        self.module.send_raw(part)
        # Each lot is handed over before the one in front of it has gone.
        self.world.at(self.world.now + len(part) * self.module.fmt.frame_us - 500, self._more)


def full_load(size, seconds, waiting):
    rig = Rig()
    rig.configure(records.CONFIG_RATE_PER_MINUTE, 0)
    rig.turn_for(1)
    # As the bridge does while it only listens: an acknowledgement three times a second.
    rig.host._period_us = 300_000
    flood = Flood(rig.world, size)
    flood.run_for(seconds)
    number = 0
    while rig.world.now < flood.until:
        if waiting and len(rig.results) == number:
            number += 1
            rig.transmit(number, frame(0x18, 0x68, b"\x01\x02")[:-1])
            rig.pc.pump(rig.host.ticks(), rig.host.write, 4096)
        rig.app.turn()
    rig.turn_for(2)
    received = [f[2] for f in rig.frames if not f[1]]
    transport = rig.app.transport
    print(
        "frames of %d bytes, %s: sent %d, received %d; results %s; a turn took %d us at most"
        % (
            size,
            "a message waits" if waiting else "no message",
            len(flood.sent),
            len(received),
            rig.result_codes()[:5],
            rig.app.loop_max_us,
        )
    )
    assert rig.app.link.queue_full == 0
    assert transport.rx_full == 0 and transport.rx_uart_full == 0
    assert received == flood.sent
    assert len(rig.results) >= number - 1
    if waiting and seconds > 10:
        assert set(rig.result_codes()[:-1]) == {records.RESULT_BUS_BUSY}


def test_frames_of_5_bytes():
    full_load(5, 20, False)


def test_frames_of_40_bytes():
    full_load(40, 20, False)


def test_frames_of_5_bytes_and_a_message_that_waits():
    full_load(5, 20, True)


def test_frames_of_40_bytes_and_a_message_that_waits():
    full_load(40, 20, True)


def soak_ten_minutes_of_full_load():
    for size in (5, 40):
        for waiting in (False, True):
            full_load(size, 600, waiting)
