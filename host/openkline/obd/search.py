"""A car whose address is not known: the usual ones, one after the other."""

from __future__ import annotations

from openkline.errors import ObdError
from openkline.obd.calls import Progress
from openkline.obd.profile import Profile
from openkline.obd.session import ObdSession

# 33: legislated OBD; engines and gearboxes of several makers otherwise.
ADDRESSES = (0x33, 0x10, 0x11, 0x13, 0x01, 0x7A, 0x12)


async def search(session: ObdSession, kinds: tuple[str, ...], baud: int, progress: Progress) -> Profile:
    """Connect to the first address that answers, each tried once by each kind of initialisation.

    The board keeps the pauses that ECUs want between two addresses. ObdError: none of them answered, or the line is
    not usable.
    """
    tried: dict[str, None] = {}
    for number, address in enumerate(ADDRESSES, 1):
        progress(f"address {address:02X}, {number} of {len(ADDRESSES)}")
        try:
            return await session.connect(tuple((kind, address) for kind in kinds), baud, progress, rounds=1)
        except ObdError as error:
            if error.name != "no_car":
                raise
            tried.update(dict.fromkeys(_signs_of_life(str(error))))
    addresses = ", ".join(f"{address:02X}" for address in ADDRESSES)
    raise ObdError("\n  ".join([f"no ECU could be initialised at {addresses}. Is the ignition on?", *tried]), "no_car")


def _signs_of_life(text: str) -> list[str]:
    """Of an error's lines, those that are more than silence."""
    return [line.strip() for line in text.splitlines()[1:] if "no ECU answered the" not in line]
