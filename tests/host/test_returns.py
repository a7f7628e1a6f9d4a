"""Lines of a MicroPython that ends them with LF alone, on a raw terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openkline.cli.returns import with_returns


@given(st.binary(max_size=30).map(lambda data: data.translate(bytes([13, 10, 65, 66] * 64))), st.data())
def test_every_line_ends_with_cr_lf_wherever_it_is_cut(text: bytes, draw: st.DataObject) -> None:
    shown = last = b""
    rest = text
    while rest:
        n = draw.draw(st.integers(1, len(rest)))
        shown += with_returns(rest[:n], last)
        last, rest = rest[n - 1 : n], rest[n:]
    assert shown == text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
