"""The codec: the facts' table byte for byte, any chunks, any garbage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.gateway.wire import (
    Connect,
    Data,
    Disconnect,
    FirmwareVersion,
    Hello,
    InitFirmwareUpdate,
    Message,
    Parser,
    Ping,
    Unknown,
    UploadData,
    UploadFirmware,
    UploadStatus,
    encode,
    encode_frame,
)

TABLE: list[tuple[Message, str]] = [
    (Hello(), "68 69 00 00 00 00 00 00"),
    (Connect(4288), "63 74 00 00 C0 10 00 00"),
    (Connect(33002), "63 74 00 00 EA 80 00 00"),
    (Ping(), "AA AA 00 00 00 00 00 00"),
    (Disconnect(), "00 00 00 00 00 00 00 00"),
    (Data(0x68, 0x18, b"\x01"), "68 18 01 00 64 00 00 00 01"),
    (Data(0x68, 0x18, b"\x01", -2), "68 18 01 00 FE FF 00 00 01"),
    (FirmwareVersion(2, 6), "66 67 00 00 06 02 00 00"),
    (InitFirmwareUpdate(bytes.fromhex("11 22 33 44")), "66 69 00 00 22 11 33 44"),
    (UploadFirmware(0x1234, 0xABCD, 2, 6), "66 75 12 34 CD AB 02 06"),
    (UploadStatus(0, 0x0103), "66 75 00 00 03 01 00 00"),
]


@pytest.mark.parametrize(("message", "raw"), TABLE)
def test_byte_for_byte(message: Message, raw: str) -> None:
    assert not isinstance(message, Unknown | UploadData)
    assert message.to_bytes().hex(" ").upper() == raw
    assert type(message).from_bytes(bytes.fromhex(raw)) == message
    to_gateway = not isinstance(message, UploadStatus)
    assert Parser(to_gateway).feed(bytes.fromhex(raw)) == [message]


def test_a_frame_for_clients() -> None:
    assert encode_frame(bytes.fromhex("68 03 18 01 72")).hex(" ") == "68 18 01 00 64 00 00 00 01"


@given(st.binary(min_size=1, max_size=253), st.integers(0, 255), st.integers(0, 255))
def test_frames_and_messages_agree(data: bytes, source: int, destination: int) -> None:
    message = Data(source, destination, data)
    assert encode_frame(message.body + b"\0") == message.to_bytes()


addresses = st.integers(0, 255)
ordinary = st.builds(
    Data, addresses, addresses, st.binary(min_size=1, max_size=255), st.integers(-32768, 32767)
).filter(lambda message: (message.source, message.destination) != (0x66, 0x75))
messages = st.one_of(
    ordinary,
    st.builds(Hello),
    st.builds(Ping),
    st.builds(Connect, st.integers(0, 65535)),
    st.builds(FirmwareVersion, addresses, addresses),
    st.builds(InitFirmwareUpdate, st.binary(min_size=4, max_size=4)),
)


@given(st.lists(messages, max_size=20), st.data())
def test_any_chunks(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(message.to_bytes() for message in sent)  # type: ignore[union-attr]
    parser = Parser()
    got: list[Message] = []
    while stream:
        n = data.draw(st.integers(1, 40))
        got += parser.feed(stream[:n])
        stream = stream[n:]
    assert got == sent and parser.pending == 0


@given(st.lists(st.binary(max_size=600), max_size=10), st.booleans())
def test_garbage_never_raises_and_little_is_held(chunks: list[bytes], to_gateway: bool) -> None:
    parser, whole = Parser(to_gateway), Parser(to_gateway)
    got: list[Message] = []
    for chunk in chunks:
        got += parser.feed(memoryview(chunk))
        assert parser.pending < 263
    once = whole.feed(b"".join(chunks))

    def joined(found: list[Message]) -> list[object]:
        """Uploads come in whatever pieces they came."""
        result: list[object] = []
        for message in found:
            if not isinstance(message, UploadData):
                result.append(message)
            elif result and isinstance(result[-1], bytes):
                result[-1] += message.data
            else:
                result.append(message.data)
        return result

    assert joined(got) == joined(once)


@given(st.integers(1, 0xFFFF), st.integers(1, 5000), ordinary)
def test_uploads_are_skipped_exactly(length: int, chunk: int, after: Data) -> None:
    stream = UploadFirmware(length).to_bytes() + bytes(length) + after.to_bytes()
    parser = Parser()
    got: list[Message] = []
    for at in range(0, len(stream), chunk):
        got += parser.feed(stream[at : at + chunk])
        assert parser.pending < 263
    assert got[0] == UploadFirmware(length) and got[-1] == after
    assert sum(len(part.data) for part in got if isinstance(part, UploadData)) == length


@pytest.mark.parametrize("values", [(256, 0, b"1", 0), (0, -1, b"1", 0), (0, 0, b"", 0), (0, 0, bytes(256), 0)])
def test_what_is_no_message(values: tuple[int, int, bytes, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        encode(*values)


def test_more_that_is_no_message() -> None:
    for wrong in (
        lambda: Connect(65536).to_bytes(),
        lambda: InitFirmwareUpdate(b"123").to_bytes(),
        lambda: UploadFirmware(65536).to_bytes(),
        lambda: Data(0, 0, bytes(254)).body,
        lambda: Data.from_bytes(bytes(8)),
        lambda: Data.from_bytes(b"\0\0\x02\0\0\0\0\0\0"),
    ):
        with pytest.raises(ValueError, match=r"must be|bytes follow"):
            wrong()
