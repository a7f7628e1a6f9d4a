"""The stage as it should be, with letters that findings point to. Values and reasons: docs/wiring.md."""

from __future__ import annotations

_OPTO = r"""
  hearing                                        sending

  12 V --[2k2]-- A                    3V3                      B bus (to the car)
                 |                     |                       |
          PC817  v LED    C [4k7 pull-up]          F           |/  PC817
                 |                     |    .--- LED >|--.   --|
  bus B ---------'           E |/------+--  |            |     |\
                             --|       |    |         ground      |
                               |\      |    |                  ground
                                 |     |    '--[220]-- G -- TX (GPIO {tx})
                              ground   D                |
                                 RX (GPIO {rx})      H [10k] to ground
"""

_TRANSISTOR = r"""
  hearing                                        sending

                                                 12 V --[510]-- A --+
  bus B --> divider, or the receiver      C [10k to 3V3]            |
            of a transceiver                 |                      B bus (to the car)
                   |                         |                      |
                   E -- D -- RX (GPIO {rx}) -'        F  driver, pulls low while TX is low
                                                      |
                                                      G -- TX (GPIO {tx})
                                                      |
                                                   H [10k] to 3V3
"""

PLACES = {
    "A": "12 V at the stage, and the resistor behind it",
    "B": "the wire to the car's bus, and what else hangs on it",
    "C": "RX's pull-up",
    "D": "the wire from the stage to RX",
    "E": "the receiving transistor",
    "F": "the sending half: LED the right way round, its transistor between bus and ground",
    "G": "the wire from TX to the stage",
    "H": "the pull that keeps TX quiet while the board doesn't drive it",
}


def picture(tx_invert: bool, rx: int, tx: int, places: str) -> list[str]:
    """The stage's drawing in lines, and what to look at."""
    text = (_OPTO if tx_invert else _TRANSISTOR).strip("\n").format(rx=rx, tx=tx)
    return [*text.split("\n"), "", *(f"  {letter}: {PLACES[letter]}" for letter in places)]
