"""Records on the USB serial stream: delimiters, COBS, CRC.

    00 | COBS( type | channel | seq | ack | payload .. | crc low | crc high ) | 00

There is a delimiter in front too, so that text (boot log, traceback) that came before never spoils a record; empty
frames between two delimiters are nothing. The CRC is CRC-16/USB over type .. payload. COBS replaces every 00 by the
distance to the next, and costs one byte per 254.

Encoding happens in one preallocated buffer: the raw record is assembled at RAW_AT and encoded towards the front.
Decoding happens in the buffers of the Deframer. Neither allocates.
"""

from kline.protocol.checksum import CRC_TABLE, crc16
from kline.protocol.ticks import count_up, ticks_add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer, OnFrame, OnText

# What the CRC register holds after a record and its inverted CRC. It isn't 0, so that a doubled last byte or a 00 more
# at the end is seen (over a register of 0 any number of 00 leaves 0).
_CRC_RESIDUE = 0xB001
HEADER = 4  # type, channel, seq, ack
MAX_PAYLOAD = 512
# Room in front of the raw record for the delimiter and the code bytes that encoding adds: 3 for up to 761 bytes.
RAW_AT = 4
PAYLOAD_AT = RAW_AT + HEADER


def buffer_size(payload: int) -> int:
    """Bytes of the buffer in which a record with that payload is assembled and encoded."""
    return RAW_AT + HEADER + payload + 2 + 1


def wire_size(payload: int) -> int:
    """Bytes that a record with that payload takes on the stream, delimiters included (at most, beyond 254)."""
    n = HEADER + payload + 2
    return n + n // 254 + 3


def encode_record(
    out: bytearray, kind: int, channel: int, seq: int, ack: int, buf: "Buffer", start: int, end: int
) -> int:
    """Encode the record with payload buf[start:end] into out (>= buffer_size(end - start)); returns its size."""
    out[RAW_AT] = kind
    out[RAW_AT + 1] = channel
    out[RAW_AT + 2] = seq
    out[RAW_AT + 3] = ack
    at = PAYLOAD_AT
    for i in range(start, end):
        out[at] = buf[i]
        at += 1
    return finish(out, at)


def finish(out: bytearray, end: int) -> int:
    """Append the CRC to the raw record out[RAW_AT:end] and encode it to out[0:n]; returns n."""
    crc = crc16(out, RAW_AT, end) ^ 0xFFFF
    out[end] = crc & 0xFF
    out[end + 1] = crc >> 8
    end += 2
    out[0] = 0
    code_at = 1
    w = 2
    for r in range(RAW_AT, end):
        b = out[r]
        if w - code_at == 255:  # 254 bytes without a 00: a full block
            out[code_at] = 255
            code_at = w
            w += 1
        if b:
            out[w] = b
        else:
            out[code_at] = w - code_at
            code_at = w
        w += 1
    out[code_at] = w - code_at
    out[w] = 0
    return w + 1


class Deframer:
    """Takes the stream apart: `feed(buf, n)` calls

    on_frame(buf, start, end)   for each record: buf[start:end] is type .. payload, valid during the call only
    on_text(buf, n)             for what is no record but mostly printable (buf[0:n], in pieces of at most `size` bytes)

    Counters (modulo 2**30): bad (damaged records, binary garbage), text_bytes. pending: bytes since the last delimiter.
    size: the longest encoded record without delimiters; a longer stretch is text or garbage.
    """

    def __init__(self, size: int) -> None:
        self._buf = bytearray(size)
        self._record = bytearray(size)
        self.pending = 0
        self._overrun = False  # the stretch was longer than the buffer: its rest is no record
        self.on_frame: "OnFrame | None" = None
        self.on_text: "OnText | None" = None
        self.bad = 0
        self.text_bytes = 0

    def feed(self, buf: "Buffer", n: int) -> None:
        rx = self._buf
        size = len(rx)
        k = self.pending
        for i in range(n):
            b = buf[i]
            if b:
                if k == size:
                    self.pending = 0
                    self._no_record(k)
                    self._overrun = True
                    k = 0
                rx[k] = b
                k += 1
            elif k:
                self.pending = 0
                self._stretch(k)
                k = 0
            else:
                self._overrun = False
        self.pending = k

    def flush_text(self) -> None:
        """Hand out what has come since the last delimiter if it is text: for when nothing more comes."""
        n = self.pending
        if n and _printable(self._buf, n):
            self.pending = 0
            self._no_record(n)

    def _stretch(self, n: int) -> None:
        overrun = self._overrun
        self._overrun = False
        end = 0 if overrun else _decode(self._buf, n, self._record)
        if not end:
            self._no_record(n)
        elif self.on_frame is not None:
            self.on_frame(self._record, 0, end)

    def _no_record(self, n: int) -> None:
        if not _printable(self._buf, n):
            self.bad = count_up(self.bad)
            return
        self.text_bytes = ticks_add(self.text_bytes, n)
        if self.on_text is not None:
            self.on_text(self._buf, n)


def _decode(buf: bytearray, n: int, out: bytearray) -> int:
    """COBS-decode buf[0:n] (no 00 in it) to out; returns the size without the CRC, 0 when that is wrong."""
    table = CRC_TABLE
    crc = 0xFFFF
    i = 0
    w = 0
    while i < n:
        code = buf[i]
        if i + code > n:
            return 0
        for j in range(i + 1, i + code):
            b = buf[j]
            out[w] = b
            w += 1
            crc = (crc >> 8) ^ table[(crc ^ b) & 0xFF]
        i += code
        if code < 255 and i < n:
            out[w] = 0
            w += 1
            crc = (crc >> 8) ^ table[crc & 0xFF]
    return w - 2 if crc == _CRC_RESIDUE and n > HEADER + 2 else 0


def _printable(buf: bytearray, n: int) -> bool:
    """Mostly text: at least 7 of 8 bytes are printable ASCII, tab, line feed, carriage return or escape."""
    odd = 0
    for i in range(n):
        b = buf[i]
        if b < 32:
            if b != 10 and b != 13 and b != 9 and b != 27:
                odd += 1
        elif b > 126:
            odd += 1
    return odd * 8 <= n
