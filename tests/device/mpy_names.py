"""The tables of names work on MicroPython as they do on the PC."""

from kline.protocol.ibus import commands, names


def test_every_command_is_a_frame():
    count = 0
    for command in commands.commands():
        frame = command.frame()
        x = 0
        for byte in frame:
            x ^= byte
        assert x == 0 and frame[1] == len(frame) - 2 and frame[:-1] == command.body
        count += 1
    assert count == 115
    assert [c.name for c in commands.find("Sunroof open")] == ["sunroof_open_a_bit"]
    assert commands.get("cd_stop").frame() == b"\x68\x05\x18\x38\x01\x00\x4c"
    assert commands.get("cd") is None


def test_names():
    assert names.describe(b"\x80\x04\xbf\x11\x00\x2a") == "IKE -> GLO  Ignition"
    assert names.describe(b"\x01\x03\x02\xfe") == "01 -> 02  FE"
    for byte in range(256):
        assert names.address_name(byte) and names.address_title(byte)
        assert names.message_name(0x80, 0xBF, byte) and names.message_name(0x3F, byte, byte)
