"""Updates of a flashed board through the link: the whole way, and every refusal."""

import sim  # noqa: F401
import slot_app
from update_rig import RESET, Board, Late, pack

from kline.protocol import records, update

RUNNING = ("a", "boot.json", "board.json")


def test_an_update_is_tried_confirmed_and_stays():
    board = Board()
    data = pack(slot_app.files("0.2.0", filler=bytes(range(256)) * 40))
    seen = []

    def script(pc):
        assert (yield from pc.upload(data)) == (update.OK, update.STATE_SWITCHING, len(data), 0)
        seen.append(pc.capabilities)

    assert board.start(script) == RESET
    assert seen and seen[0] & records.CAN_UPDATE, seen
    assert slot_app.running == ["0.1.0"]

    def hello(pc):
        yield from pc.opened()
        yield from pc.wait(0.5)
        assert pc.version == (0, 2, 0)

    for _ in range(2):
        assert board.start(hello, limit_s=70) == Late
    assert slot_app.running == ["0.1.0", "0.2.0", "0.2.0"]
