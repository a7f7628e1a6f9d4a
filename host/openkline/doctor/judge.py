"""From facts to findings. Pure: the same facts, the same words."""

from __future__ import annotations

from collections.abc import Iterator

from openkline.doctor.facts import Facts, LinkFacts, PcFacts
from openkline.doctor.finding import FAULT, OK, WARNING, Finding
from openkline.doctor.judge_board import error_of, judge_board
from openkline.doctor.judge_wire import judge_wire
from openkline.words import plural

_ESP_RULE = 'SUBSYSTEM=="tty", ATTRS{{idVendor}}=="{vendor}", MODE="0660", GROUP="{group}", TAG+="uaccess"'
# A board's loop turns every 10 ms; a USB bridge adds its latency timer (16 ms at most by default).
_SLOW_MS = 150.0


def judge(facts: Facts) -> list[Finding]:
    """All findings in the order of the way from the PC to the wire; within a part the likelier one first."""
    found = list(judge_pc(facts.pc))
    if facts.board is not None:
        found += judge_board(facts.board)
    if facts.link is not None:
        found += judge_link(facts.link)
    if facts.wire is not None:
        found += judge_wire(facts.wire)
    if facts.gone:
        found.append(_gone(facts))
    return found


def _gone(facts: Facts) -> Finding:
    error = error_of(facts.said)
    if error:
        return Finding(
            "firmware_fails",
            "board",
            FAULT,
            f"openkline on the board fails when it is asked about itself: {error}",
            "flash it again: openkline flash",
        )
    return Finding(
        "board_gone",
        "link",
        FAULT,
        f"The board's examination was cut short: {facts.gone}.",
        "another cable, another USB port; and if it restarts when the bus is touched, check the stage's supply",
    )


def cause(found: list[Finding]) -> Finding | None:
    """The most likely single cause: the first fault on the way from PC to wire; without one, the first warning."""
    for level in (FAULT, WARNING):
        for finding in found:
            if finding.level == level:
                return finding
    return None


def judge_pc(pc: PcFacts) -> Iterator[Finding]:
    text, remedy = _halves(pc.trouble)
    if pc.kind in ("none", "several", "missing", "busy", "other", "simulator"):
        name = {"none": "no_board", "several": "several_boards", "missing": "port_missing", "busy": "port_busy"}
        remedy = remedy or "is it the board's port? openkline ports lists this computer's ports"
        yield Finding(name.get(pc.kind, "port_unusable"), "pc", FAULT, text, remedy)
    elif pc.kind == "forbidden":
        vendor = pc.usb[:4].lower()
        if vendor:
            group = "dialout" if pc.group in ("", "root") else pc.group
            rule = _ESP_RULE.format(vendor=vendor, group=group)
            remedy += f"; or, for this kind of board, /etc/udev/rules.d/70-openkline.rules: {rule}"
        yield Finding("port_forbidden", "pc", FAULT, text, remedy)
    else:
        usb = f" ({pc.usb})" if pc.usb else ""
        yield Finding("port", "pc", OK, f"{pc.path or pc.device}{usb} opens.")
        if pc.users:
            yield Finding(
                "port_shared",
                "pc",
                WARNING,
                f"{pc.path} is also open in {pc.users}, which takes some of the board's bytes.",
                _keep_away(pc) if "ModemManager" in pc.users else "end that program",
            )


def _keep_away(pc: PcFacts) -> str:
    """ModemManager tries each new serial port for a modem, for some seconds."""
    vendor = pc.usb[:4].lower() or "...."
    return (
        "wait half a minute; for good, in /etc/udev/rules.d/70-openkline.rules: "
        f'ATTRS{{idVendor}}=="{vendor}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
    )


def _halves(text: str) -> tuple[str, str]:
    """A message of serial_io: what happened, and after its first full stop what to try."""
    text, _, remedy = text.partition(". ")
    return text.rstrip(".") + ".", remedy


def judge_link(link: LinkFacts) -> Iterator[Finding]:
    times = sorted(link.round_trips_ms)
    errors = {name: n for name, n in {**link.board, **link.pc}.items() if n > 0}
    cable = "another cable, another USB port, no hub"
    if link.lost or link.wrong:
        yield Finding(
            "link_broken",
            "link",
            FAULT,
            f"Of {plural(len(times) + link.lost, 'record')} to the board, {link.lost} got no answer and {link.wrong} "
            "a wrong one.",
            cable,
        )
    elif errors:
        repaired = ", ".join(f"{name} {n}" for name, n in errors.items())
        yield Finding("link_noisy", "link", WARNING, f"The link had to repair errors during this: {repaired}.", cable)
    elif times and times[len(times) // 2] > _SLOW_MS:
        yield Finding(
            "link_slow",
            "link",
            WARNING,
            f"A round trip to the board takes {times[len(times) // 2]:.0f} ms.",
            "no hub, and no other program that loads this computer",
        )
    elif times:
        yield Finding(
            "link",
            "link",
            OK,
            f"{plural(len(times), 'record')} of all lengths came back right, in {times[0]:.0f} to {times[-1]:.0f} ms.",
        )
