"""The board as I-Bus interface or as tester: the PC says which, both ways, and within one session."""

from obd_pc import ObdPc
from obd_rig import KWP
from rig import frame

from kline.protocol.link import records


def test_from_tester_to_ibus_and_back():
    rig = ObdPc(KWP)
    assert rig.app.obd is not None
    for ident in (1, 2):
        rig.results.clear()
        assert rig.set_mode(records.MODE_IBUS) == (records.CONFIG_MODE, 1, records.MODE_IBUS)
        assert rig.app.obd is None
        rig.transmit(ident, b"\x18\x04\xff\x02\x00")
        rig.turn_until(lambda: rig.results)
        assert rig.results[0][:2] == (ident, records.RESULT_SENT)
        assert rig.frames[-1][2] == frame(0x18, 0xFF, b"\x02\x00")
        assert rig.set_mode(records.MODE_IBUS) == (records.CONFIG_MODE, 1, records.MODE_IBUS)
        assert rig.set_mode(records.MODE_OBD) == (records.CONFIG_MODE, 1, records.MODE_OBD)
        assert rig.app.obd is not None
