"""Rules of what clients must not send: patterns over source, destination and data.

    "3F D0 0C"     source 3F, destination D0, data that begins with 0C
    "?? 44"        anything to 44 (?? or ** or * is any byte)
    "!3F ?? 0B"    an exception: allowed, whatever comes later in the list

The first rule that matches decides; without one the message goes out.
"""

from __future__ import annotations

from dataclasses import dataclass

_WILD = ("??", "**", "*", "?")

# One word against the two things that do lasting harm: the immobiliser (44), and diagnosis (from 3F) that does more
# than read. What is known to read is let through: 00 identification, 04 fault codes, 0B coding and inputs, and 9F, the
# end of diagnosis. Sources: M. Gibson, "DS2 Commands" (markgardnergibson.com/BMW/commands.html), who has 05 for
# clearing faults and 09 for writing coding beside them; the firmware of BlueBus (github.com/tedsalmon/BlueBus, ibus.c:
# its DIA commands), which sends 00, 0B and 9F from 3F on the same bus, and 0C to make a module do something.
PRESETS: dict[str, tuple[str, ...]] = {
    "cautious": ("44 ??", "?? 44", "!3F ?? 00", "!3F ?? 04", "!3F ?? 0B", "!3F ?? 9F", "3F ??"),
}


def parse_pattern(text: str) -> tuple[int | None, ...]:
    """Hex bytes and wildcards, None for a wildcard. ValueError says which word is none of both."""
    found: list[int | None] = []
    for word in text.split():
        if word in _WILD:
            found.append(None)
            continue
        try:
            if len(word) > 2:
                raise ValueError
            found.append(int(word, 16))
        except ValueError:
            raise ValueError(f"{word!r} is neither a hex byte nor ??") from None
    return tuple(found)


def begins_with(data: bytes, pattern: tuple[int | None, ...]) -> bool:
    return len(data) >= len(pattern) and all(
        want is None or want == got for want, got in zip(pattern, data, strict=False)
    )


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    pattern: tuple[int | None, ...]
    allow: bool = False

    @classmethod
    def parse(cls, text: str) -> Rule:
        allow = text.startswith("!")
        pattern = parse_pattern(text.removeprefix("!"))
        if not pattern:
            raise ValueError('a rule is source, destination and the beginning of the data, such as "3F ?? 0C"')
        return cls(text, pattern, allow)


def denied_by(rules: tuple[Rule, ...], source: int, destination: int, data: bytes) -> Rule | None:
    """The rule that forbids this message, or None."""
    if not rules:
        return None
    message = bytes((source, destination)) + data
    for rule in rules:
        if begins_with(message, rule.pattern):
            return None if rule.allow else rule
    return None
