"""docs/newcomer.md shows what really happens."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.newcomer import PAGE, masked, page


def test_the_newcomers_page_is_what_a_newcomer_sees(tmp_path: Path) -> None:
    now = page(tmp_path)
    assert masked(now) == masked(PAGE.read_text(encoding="utf-8")), "make newcomer writes it again"
    assert sum(line == "frame" for line in masked(now)) >= 2, "frames in the bridge's window and in the monitor's"


def test_masking_leaves_words_and_hides_what_differs_from_run_to_run() -> None:
    first = "12:18:52.455   RLS -> LCM   Light sensor   E8 05\n12:18:52.466  x\n59 of 59 files, id 240ac4e2\nwire  ok"
    second = "09:00:00.001   IKE -> GLO   Speed   80\n7 of 60 files, id 024c\nwire    ok"
    assert masked(first) == masked(second) == ["frame", "# of # files, id #", "wire  ok"]
    assert masked("wire  ok") != masked("wire  note")
