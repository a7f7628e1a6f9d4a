"""Messages in what was heard on a K-line, whoever sent them: requests, answers of any ECU, and what is none.

Bytes come in bursts, with silence of more than P1max (20 ms) around each. A burst may hold several messages, for ISO
14230 separated by their lengths; ISO 9141's have none, and end where the checksum is right and silence or a header
follows.
"""

from kline.protocol.checksum import sum8
from kline.protocol.obd.kwp import EXCEPTION, NO_ADDRESS, frame_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

_SHORTEST = 5  # ISO 9141: header, one byte, checksum
_ISO_HEADERS = (0x48, 0x68)


def next_message(buf: "Buffer", start: int, end: int, ended: bool) -> int:
    """Size of the message at buf[start]; negative: so many bytes are damaged; 0: more have to come.

    ended: silence followed buf[end - 1]; without it damage can't be told from what is not yet complete.
    """
    size = _good(buf, start, end, ended)
    if size or not ended or start == end:
        return size
    i = start + 1
    # Without addresses anything looks like a message: there only the first of a burst counts.
    while i < end and (buf[i] >> 6 == NO_ADDRESS or not _good(buf, i, end, True)):
        i += 1
    return start - i


def _good(buf: "Buffer", start: int, end: int, ended: bool) -> int:
    """Size of the whole message with a right checksum at buf[start]; 0: there is none."""
    n = end - start
    if n < 2:
        return 0
    if buf[start] >> 6 == EXCEPTION:
        return _good_iso9141(buf, start, end, ended)
    head = bytes(buf[start : start + min(n, 4)])
    size = frame_size(head, len(head))
    return size if 0 < size <= n and _right(buf, start, size) else 0


def _good_iso9141(buf: "Buffer", start: int, end: int, ended: bool) -> int:
    for size in range(_SHORTEST, end - start + 1):
        follows = start + size
        last = buf[follows] in _ISO_HEADERS if follows < end else ended
        if last and _right(buf, start, size):
            return size
    return 0


def _right(buf: "Buffer", start: int, size: int) -> bool:
    last = start + size - 1
    return sum8(buf, start, last) == buf[last]
