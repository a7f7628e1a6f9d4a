"""What is wrong with the wire and the stage. Pure.

    RX before / during a dominant pulse of TX     what it means
    recessive, dominant                           the loop is closed: then how wide the bits come back, and what a TX
                                                  that is let go does
    dominant, recessive                           one of the two inversions is wrong; which one says TX let go
    dominant, dominant                            held low: by the wire, by either half of the stage; or RX is TX's wire
    recessive, recessive                          nothing of ours arrives; whether others are heard says which half

A board has two pins at the stage and sees no volts: some faults look alike from there. Such a finding names them all,
the likeliest first.
"""

from __future__ import annotations

from collections.abc import Iterator

from kline.protocol.link import probe
from openkline.doctor.facts import ActiveFacts, Echo, Pulls, WireFacts
from openkline.doctor.finding import FAULT, NOTE, OK, WARNING, Finding, wire_fault
from openkline.doctor.judge_traffic import damaged, judge_traffic
from openkline.words import plural

# A receiver looks at the middle of a bit: with half a bit of distortion it reads the neighbour.
_DISTORTED = 0.35
# A bus with its pull-up rises in some 10 us, an optocoupler's transistor lets go within 100.
_RISE_US = 400
# Without --interface a board that it knows gets what it had.
_INTERFACE = "openkline flash --interface NAME (openkline boards BOARD lists them)"


def judge_wire(wire: WireFacts) -> list[Finding]:
    """The likeliest fault first, then what else was seen."""
    found = list(judge_traffic(wire))
    active = wire.active
    if active is None:
        if not any(finding.wrong for finding in found):
            found += damaged(wire) or _seen_only(wire)
        reason = f" ({wire.skipped})" if wire.skipped else ""
        found.append(
            Finding(
                "active_skipped",
                "wire",
                NOTE,
                f"Nothing was sent{reason}: our own side of the wire is untested.",
                "doctor --yes, at a moment when the bus may be pulled low for a few milliseconds",
            )
        )
        return found
    if not any(finding.level == FAULT for finding in found):
        found += _loop(wire, active)
    if not any(finding.wrong for finding in found):
        found += damaged(wire)
    if not any(finding.wrong for finding in found):
        found.append(Finding("wire", "wire", OK, _praise(wire, active)))
    return found


def _praise(wire: WireFacts, active: ActiveFacts) -> str:
    rates = ", ".join(str(echo.baud) for echo in active.echoes if echo.right)
    heard = f"others are heard ({plural(wire.frames, 'message')})" if wire.talking else "no other module is sending now"
    return f"It idles as it should, {heard}, and our own bits come back right at {rates} baud."


# -- by listening


def _seen_only(wire: WireFacts) -> Iterator[Finding]:
    """Without a pulse of ours less can be found out."""
    if wire.rx.loose:
        yield _rx_pull_missing(wire) if wire.frames else _rx_not_connected(wire)
    elif wire.dominant_seen and not wire.recessive_seen:
        yield wire_fault(
            "idle_dominant",
            "RX says that the bus is low all the time; it should be low only while a module sends.",
            "let doctor test with pulses of its own (--yes): it can tell a short circuit from a wrong rx_invert",
            "bus rx_wire",
        )
    elif wire.talking:
        yield Finding(
            "wire", "wire", OK, f"It idles as it should, and others are heard ({plural(wire.frames, 'message')})."
        )
    else:
        yield Finding("wire", "wire", OK, "It idles as it should; no other module is sending now.")


# -- with our own pulses


def _loop(wire: WireFacts, active: ActiveFacts) -> Iterator[Finding]:
    pulse = active.pulse
    if pulse.seen:
        yield from _closed(wire, active)
    elif active.swapped is not None and (active.swapped.seen or active.swapped.upside_down):
        yield wire_fault(
            "swapped",
            f"TX and RX are swapped: what is sent on GPIO {wire.rx_pin} comes back on GPIO {wire.tx_pin}.",
            f"swap the two wires, so that GPIO {wire.rx_pin} is RX and GPIO {wire.tx_pin} TX",
            "rx_wire tx_wire",
        )
    elif pulse.upside_down:
        yield _upside_down(active)
        if active.tx.loose:
            yield _tx_pull_missing(wire)
    elif wire.rx.loose:
        yield _loose(wire, active)
    elif pulse.before and _rests_dominant(wire, active):
        yield _seems_swapped(wire)
    elif pulse.before:
        yield _held()
        if active.tx.loose:
            yield _tx_not_connected(wire)
    else:
        yield _nothing(wire, active)


def _upside_down(active: ActiveFacts) -> Finding:
    """TX let go is recessive in truth, by the stage's pull; what RX says then shows whose inversion is wrong.

    Without that pull nothing shows it, but the interfaces differ in TX only.
    """
    if active.rx_alone and not active.tx.loose:
        return wire_fault(
            "rx_invert_wrong",
            "RX is upside down: it says low while the bus is high.",
            f"change rx_invert in board.json: {_INTERFACE}",
            "rx_wire",
        )
    return wire_fault(
        "tx_invert_wrong",
        "TX is upside down: at rest the board pulls the bus low, and no module can send.",
        f"change tx_invert in board.json: {_INTERFACE}",
        "tx_wire",
    )


def _rx_not_connected(wire: WireFacts) -> Finding:
    return wire_fault(
        "rx_not_connected",
        f"RX (GPIO {wire.rx_pin}) floats: it follows the chip's own weak pulls.",
        f"check the wire from GPIO {wire.rx_pin} to the stage, and that the pull-up of RX is there",
        "rx_pull rx_wire",
    )


def _loose(wire: WireFacts, active: ActiveFacts) -> Finding:
    if active.pulled is not None and active.pulled.seen:
        return _rx_pull_missing(wire)
    if active.tx.loose:
        return wire_fault(
            "wrong_pins",
            f"Nothing is connected to GPIO {wire.rx_pin} (RX), nor to GPIO {wire.tx_pin} (TX).",
            "does board.json name the pins that your wires are on? openkline boards BOARD lists the usual ones and "
            "those that openkline flash --pins NAME takes",
            "rx_wire tx_wire",
        )
    return _rx_not_connected(wire)


def _rx_pull_missing(wire: WireFacts) -> Finding:
    return wire_fault(
        "rx_pull_missing",
        f"RX has no pull-{'down' if wire.rx_invert else 'up'} of its own: only the chip's weak one may hold it.",
        f"put 4k7 from RX to {'ground' if wire.rx_invert else '3V3'}: the weak pull makes slow edges",
        "rx_pull",
        WARNING,
    )


def _held() -> Finding:
    return wire_fault(
        "stuck_low",
        "RX says that the bus is low all the time, whatever TX does: the bus is shorted to ground (or a module without "
        "power holds it), or one of the stage's two transistors is always on.",
        "take the bus wire off the stage: if RX then goes high, it is the bus; if not, the stage",
        "bus rx_stage tx_stage",
    )


def _rests_dominant(wire: WireFacts, active: ActiveFacts) -> bool:
    """TX, let go, is held at the level that makes the wire dominant, though an inverting stage pulls it the other way.

    RX' pull-up would do so. (A stage that doesn't invert has both of them high.)
    """
    return wire.tx_invert and not wire.rx_invert and active.tx == Pulls(True, True, True)


def _seems_swapped(wire: WireFacts) -> Finding:
    return wire_fault(
        "swapped",
        f"RX (GPIO {wire.rx_pin}) is held low and TX (GPIO {wire.tx_pin}) high, the reverse of how a stage "
        "holds them: they seem to be swapped, and the stage has no 12 V.",
        f"swap the two wires, so that GPIO {wire.rx_pin} is RX and GPIO {wire.tx_pin} TX, and measure 12 V at the "
        f"stage; if RX stays low, put them back: then board.json is for another interface: {_INTERFACE}",
        "rx_wire tx_wire supply",
    )


def _tx_not_connected(wire: WireFacts) -> Finding:
    return wire_fault(
        "tx_not_connected",
        f"TX (GPIO {wire.tx_pin}) floats, and nothing we send reaches the bus.",
        f"check the wire from GPIO {wire.tx_pin} to the stage",
        "tx_wire",
    )


def _nothing(wire: WireFacts, active: ActiveFacts) -> Finding:
    if active.tx.loose:
        return _tx_not_connected(wire)
    if wire.talking:
        return wire_fault(
            "tx_no_effect",
            "Others are heard, but nothing we send reaches the bus: the sending half of the stage does not pull.",
            "check the sending optocoupler: its LED's resistor and direction, its transistor's wires to bus and ground",
            "tx_stage",
        )
    return wire_fault(
        "no_echo",
        "Nothing we send comes back, and no other module is heard: the stage has no 12 V, its receiving half is open "
        "(LED the wrong way round), the bus is shorted to 12 V, or its sending half does not pull.",
        "measure 12 V at the stage; then run doctor with the ignition on: if it hears the car, the sending half is "
        "at fault",
        "supply bus tx_stage",
    )


# -- the loop is closed


def _closed(wire: WireFacts, active: ActiveFacts) -> Iterator[Finding]:
    pulse = active.pulse
    if pulse.after or pulse.rise == probe.NEVER or pulse.rise > _RISE_US:
        yield _no_pull_up(active)
        return
    if active.rx_alone and not active.tx.loose:
        yield wire_fault(
            "both_inverts_wrong",
            "TX and RX are both upside down: the echo is right, but at rest the board pulls the bus low.",
            f"change tx_invert and rx_invert in board.json: {_INTERFACE}",
            "rx_wire tx_wire",
        )
        return  # late edges of this stage would look early, and early ones late
    yield from _bits(wire, active)
    if wire.rx.loose:
        yield _rx_pull_missing(wire)
    if active.tx.loose:
        yield _tx_pull_missing(wire)


def _tx_pull_missing(wire: WireFacts) -> Finding:
    return wire_fault(
        "tx_pull_missing",
        "Nothing keeps TX quiet while the board does not drive it: at each reset it may pull the bus low.",
        f"put 10k from TX to {'ground' if wire.tx_invert else '3V3'}",
        "tx_pull",
        WARNING,
    )


def _no_pull_up(active: ActiveFacts) -> Finding:
    rise = active.pulse.rise
    took = f"goes high only after {rise} us" if rise >= 0 else f"does not go high within {probe.LIMIT_US} us"
    return wire_fault(
        "no_pull_up",
        f"After a short pulse the bus {took}: nothing pulls it up.",
        "a K-line needs 510 ohm from the line to 12 V at the tester; on the I-Bus the car pulls up: is it connected?",
        "supply bus",
    )


def _bits(wire: WireFacts, active: ActiveFacts) -> Iterator[Finding]:
    own = next((echo for echo in active.echoes if echo.baud == wire.baud), None)
    if own is None:
        return
    stretch = _stretch_us(active.echoes)
    share = stretch / own.bit_us
    level = WARNING if own.right else FAULT
    if share > _DISTORTED:
        yield wire_fault(
            "slow",
            f"The bus's low bits come back {stretch:.0f} us too long, of {own.bit_us:.0f}: the stage lets go slowly.",
            "a smaller pull-up at RX (4k7, or 2k2), and not too much current in the receiving LED (2k2 at 12 V)",
            "rx_pull rx_stage",
            level,
        )
    elif share < -_DISTORTED:
        yield wire_fault(
            "weak",
            f"The bus's low bits come back {-stretch:.0f} us too short, of {own.bit_us:.0f}: the stage pulls weakly.",
            "less resistance at the sending LED (220 ohm for the I-Bus), or a transistor to pull a K-line",
            "tx_stage supply",
            level,
        )
    elif not own.right:
        yield wire_fault(
            "echo_wrong",
            f"What comes back differs from what was sent ({own.got.hex(' ').upper() or 'nothing'} instead of "
            f"{probe.pattern(own.baud).hex(' ').upper()}).",
            "run doctor again at a quiet moment; if nothing changes, look for a loose contact",
            "bus rx_wire tx_wire",
        )


def _stretch_us(echoes: tuple[Echo, ...]) -> float:
    """How much longer low bits get, which is the same at each rate.

    The middle one of the rates at which bytes came right, as others don't talk into it, but a disturbance may be among
    its few pulses; where none came right, the slowest.
    """
    found = [(not echo.right, echo.baud, echo.stretch_us) for echo in echoes if echo.stretch_us is not None]
    right = sorted((stretch for wrong, _, stretch in found if not wrong), key=abs)
    if right:
        return right[(len(right) - 1) // 2]
    return min(found)[2] if found else 0.0
