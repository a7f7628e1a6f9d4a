"""What others' traffic says of the wire: another rate, another tester, noise. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from kline.protocol.link import records
from openkline.doctor import rates
from openkline.doctor.facts import WireFacts
from openkline.doctor.finding import WARNING, Finding, wire_fault
from openkline.words import plural

# Pieces shorter than this part of a bit are bits of no sender.
_SPLINTER = 0.4
_SPLINTERS = 0.15  # of all pulses
_DAMAGED = 5  # messages: fewer may be collisions, or one that was half over when the board began to listen


def judge_traffic(wire: WireFacts) -> Iterator[Finding]:
    bit = rates.bit_of(wire.lows, wire.highs)
    disturbed = _splinters(wire) and not (bit and rates.is_usual(bit))
    if wire.mode == records.MODE_OBD and len(wire.lows) >= 2:
        if disturbed:
            yield _noise("Some pulses on the wire are too short to be bits.")
        else:
            yield _other_tester(bit)
    elif bit is not None and not rates.fits(bit, wire.baud) and not _understood(wire) and not disturbed:
        kline = ": that is a K-line, not the I-Bus" if rates.fits(bit, 10_400) else ""
        yield wire_fault(
            "wrong_rate",
            f"Others talk at {rates.name_of(bit)}, the board listens at {wire.baud}{kline}.",
            "connect the interface to the right wire of the car, or run doctor --obd for a K-line",
            "bus",
        )
    elif _splinters(wire) and wire.bad > wire.frames:
        yield _noise(
            f"Some pulses on the wire are too short to be bits, and {plural(wire.bad, 'message')} came damaged."
        )


def _noise(text: str) -> Finding:
    remedy = "shorten the wires, and give the stage's ground its own wire to the car's"
    return wire_fault("noise", text, remedy, "bus", WARNING)


def _other_tester(bit_us: float | None) -> Finding:
    rate = f" at {rates.name_of(bit_us)}" if bit_us else ""
    ibus = bit_us is not None and rates.fits(bit_us, 9_600)
    instead = ", or this is the I-Bus" if ibus else "" if bit_us else ", or the line is disturbed"
    return wire_fault(
        "other_tester",
        f"There is traffic on the K-line{rate} though no ECU was asked: another tester is connected{instead}.",
        "unplug the other tester (or end its program): a K-line takes only one"
        + ("; if there is none, is the interface on pin 7 of the OBD socket?" if ibus else ""),
        "bus",
    )


def damaged(wire: WireFacts) -> list[Finding]:
    """Bits are as they should be, and yet most messages aren't."""
    if wire.bad < max(_DAMAGED, wire.frames) or _understood(wire):
        return []
    return [
        wire_fault(
            "damaged",
            f"Most of what others send arrives damaged: {plural(wire.bad, 'message')}, against {wire.frames} intact.",
            "let doctor test with pulses of its own (--yes): it can tell a slow stage from a disturbed bus"
            if wire.active is None
            else "is a second interface or tester on the wire? If not, try a shorter wire, and connect the stage's "
            "ground to the car's",
            "bus",
            WARNING,
        )
    ]


def _understood(wire: WireFacts) -> bool:
    """Messages with a right checksum (five bytes and more) are most of what came: the rate can't be wrong."""
    return bool(wire.frames) and 10 * wire.frames >= wire.received


def _splinters(wire: WireFacts) -> bool:
    widths = wire.lows + wire.highs
    return sum(width < _SPLINTER * 1e6 / wire.baud for width in widths) > _SPLINTERS * len(widths)
