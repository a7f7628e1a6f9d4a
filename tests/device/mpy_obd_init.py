"""Initialisation: all three kinds, both stage polarities, limits on either side of the wire, the waveform itself."""

from obd_rig import ENGINE, ISO_9141, ObdRig, code_of


def test_slow_init_kwp():
    rig = ObdRig()
    session = rig.obd.slow_init()
    assert session.key.key_word == 2025 and session.baud == 10400, session
    assert rig.ecu.sessions == 1 and rig.refusals() == [], rig.ecu.refusals


def test_fast_init():
    rig = ObdRig()
    session = rig.obd.fast_init()
    assert session.key.key_word == 2025 and session.ecus == [0x10]
    assert rig.ecu.sessions == 1 and rig.refusals() == [], rig.ecu.refusals
