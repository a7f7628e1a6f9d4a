"""Findings as lines for a person, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from openkline.doctor.facts import Facts
from openkline.doctor.finding import FAULT, NOTE, OK, WARNING, Finding
from openkline.doctor.pictures import picture
from openkline.terminal import GREEN, RED, YELLOW

_MARKS = {OK: "ok", NOTE: "note", WARNING: "warning", FAULT: "FAULT"}

_COLOURS = {OK: GREEN, WARNING: YELLOW, FAULT: RED}


def lines_of(finding: Finding) -> list[str]:
    """The sentence, and what to try below it."""
    lines = [f"{finding.part:<6}{_MARKS[finding.level]:<9}{finding.text}"]
    if finding.remedy:
        lines.append(f"{'':15}try: {finding.remedy}")
    return lines


def paint_of(finding: Finding) -> dict[str, str]:
    """Of the finding's lines: {word: colour}"""
    colour = _COLOURS.get(finding.level)
    return {_MARKS[finding.level]: colour} if colour else {}


def ending(facts: Facts, likely: Finding | None) -> list[str]:
    """The most likely cause, and the picture to compare the wiring with."""
    if likely is None:
        if facts.wire is not None and facts.wire.active is None:
            return ["As far as listening can tell, nothing is wrong."]
        return ["Nothing is wrong."]
    lines = [f"Most likely: {likely.text}"]
    if likely.remedy:
        lines.append(f"Try: {likely.remedy}")
    if likely.places and facts.wire is not None and facts.board is not None and facts.board.info is not None:
        lines += ["", "Compare:", *picture(facts.board.info.board, facts.wire, likely.places)]
    return lines


def as_json(finding: Finding) -> dict[str, Any]:
    """finding, part, level, text, try, places"""
    fields = asdict(finding)
    return {
        "finding": fields["name"],
        **{name: fields[name] for name in ("part", "level", "text")},
        "try": fields["remedy"],
        "places": fields["places"],
    }


def summary_json(facts: Facts, likely: Finding | None) -> dict[str, Any]:
    """The last line: most likely cause (null: nothing is wrong), and whether our own pulses were tried."""
    wire = facts.wire
    return {
        "healthy": likely is None,
        "cause": likely.name if likely is not None else None,
        "active": wire is not None and wire.active is not None,
    }
