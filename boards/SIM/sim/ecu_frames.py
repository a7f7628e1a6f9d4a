"""Frames as an ECU reads and writes them.

    ISO 9141-2     68 6A F1 data.. checksum           answer 48 6B address data.. checksum
    ISO 14230      C2 33 F1 data.. checksum (functional), 82 10 F1 (physical), 80 10 F1 length (extra length byte),
                   02 data.. (no addresses)           answer 8n F1 address data.. checksum

The checksum is the sum of all bytes before it, modulo 256.
"""

ISO_REQUEST = b"\x68\x6a"
ISO_ANSWER = b"\x48\x6b"
START_COMMUNICATION = b"\x81"
# how many data bytes a request of this service has (ISO 9141-2 frames don't say)
_ISO_LENGTHS = {1: 2, 2: 3, 3: 1, 4: 1, 5: 3, 6: 2, 7: 1, 9: 2, 10: 1}


def words(data):
    return " ".join(["%02X" % b for b in data])


def sum8(data):
    return sum(data) & 0xFF


def good(frame):
    return sum8(frame[:-1]) == frame[-1]


def complete(rx, kwp):
    """Whether these bytes are a whole frame, as far as one can tell without waiting."""
    if kwp:
        head, length = _header(rx)
        return head and len(rx) >= head + length + 1
    n = _ISO_LENGTHS.get(rx[3], 0) if len(rx) > 4 else 0
    return n and len(rx) == n + 4 and good(rx)


def _header(rx):
    """KWP: bytes of the header and of the data; (0, 0) while they aren't known."""
    head = 1 if rx[0] < 0x40 else 3
    if rx[0] & 0x3F:
        return head, rx[0] & 0x3F
    if len(rx) <= head:
        return 0, 0
    return head + 1, rx[head]


def data_of(frame, setup):
    """A request's data; None: a header that this ECU doesn't take; empty: for somebody else."""
    if setup.kwp:
        return _data_kwp(frame, setup)
    if frame[:2] != ISO_REQUEST or frame[2] != setup.tester or len(frame) > 11:
        return None
    return frame[3:-1]


def _data_kwp(frame, s):
    """The key bytes say which headers are allowed; D0 8F says nothing, so all are.

    Physical requests concern an ECU by its own address or the one that it was initialised with.
    """
    first, second = s.key_bytes
    said = (first if second == 0x8F else second) & 0x0F or 0x0F
    if frame[3:-1] == START_COMMUNICATION:
        said = 0x0F  # it comes before the tester knows the key bytes
    mode = frame[0] >> 6
    extra = not frame[0] & 0x3F
    head = (1 if mode == 0 else 3) + extra
    if mode == 1 or not said & (2 if extra else 1) or not said & (4 if mode == 0 else 8) or len(frame) < head + 2:
        return None
    if mode:
        if frame[2] != s.tester:
            return None
        if mode == 3 and frame[1] != s.functional:
            return None
        if mode == 2 and frame[1] not in (s.address, s.init_address):
            return b""
    return frame[head:-1]


def encode(data, s):
    """An answer's frame."""
    if not s.kwp:
        f = ISO_ANSWER + bytes((s.address,)) + data
    else:
        n = len(data)
        addresses = b"" if s.answer_header == "short" else bytes((s.tester, s.address))
        mode = 0x80 if addresses else 0
        if s.answer_header == "extra_length" or n > 63:
            f = bytes((mode,)) + addresses + bytes((n,)) + data
        else:
            f = bytes((mode | n,)) + addresses + data
    return f + bytes((sum8(f),))
