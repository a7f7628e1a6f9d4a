"""What doctor says: one sentence, and the one thing to try."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, WARNING, FAULT = "ok", "note", "warning", "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence. name: as in docs/doctor.md; part: pc, board, link or wire; level: OK, NOTE, WARNING or FAULT.

    remedy: the one thing to try; places: what to look at in the drawing (words of pictures.PLACES)
    """

    name: str
    part: str
    level: str
    text: str
    remedy: str = ""
    places: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        return self.level in (WARNING, FAULT)


def wire_fault(name: str, text: str, remedy: str, places: str = "", level: str = FAULT) -> Finding:
    """places: words of pictures.PLACES."""
    return Finding(name, "wire", level, text, remedy, tuple(places.split()))
