"""What an ObdError says. Loaded when the first is shown: until then it is not on the heap."""

from kline.device.obd.errors import (
    BUSY,
    DAMAGED,
    ECHO_WRONG,
    KEY_BYTES,
    LATE,
    NO_ADDRESS,
    NO_CAR,
    NO_ECHO,
    NO_KEY_BYTES,
    NO_SYNC,
    NOT_ALLOWED,
    NOT_CONNECTED,
    REFUSED,
    SILENT,
    STUCK_LOW,
    SYNC_WRONG,
    TOO_SOON,
)

TEXTS = {
    NO_ECHO: "nothing that was sent came back: the line did not move. Is the interface connected to the K-line (pin "
    "7), does it have 12 V and ground, are tx and rx the right pins?",
    ECHO_WRONG: "what came back is not what was sent (%s). Is something else talking on the line, or is the circuit "
    "too weak for it (a PC817 wants 100 ohm at its LED)?",
    STUCK_LOW: "the line is held low. Is tx_invert right for this circuit, is the ignition on, is the K-line shorted?",
    BUSY: "the line did not become quiet: another tester, or noise. Unplug other devices from the diagnostic socket.",
    NO_SYNC: "no ECU answered the address %02X within 300 ms. Is the ignition on? The car may want another address, "
    "fast initialisation, or it may have no K-line (then it is CAN or J1850).",
    SYNC_WRONG: "an ECU answered, but not with the sync byte 55: %s. Try again; if it stays so, try fast "
    "initialisation at that rate.",
    NO_KEY_BYTES: "an ECU sent the sync byte, and then no key bytes (%s). Try again; if it stays so, try fast "
    "initialisation.",
    KEY_BYTES: "the ECU's key bytes are of no protocol known here (%s): perhaps the maker's own. Try fast "
    "initialisation, or another address.",
    NO_ADDRESS: "the ECU did not confirm the initialisation (%s). Unplug other testers, try again, then try fast "
    "initialisation.",
    SILENT: "no ECU answered %s. Is the ignition on? If the car answers anything else, it does not have this one.",
    REFUSED: "the ECU refused %s. The reason is its own: try with the engine off, or ask for something else.",
    LATE: "the board was kept busy by something else: an edge or byte came %d us late. Try again.",
    NOT_CONNECTED: "there is no session: call connect() first.",
    TOO_SOON: "the last try was a moment ago: wait %d s, so that the car can go to sleep.",
    NOT_ALLOWED: "%s",
    NO_CAR: "no way of initialisation worked. %s",
    DAMAGED: "no ECU gave a whole answer to %s: only damage or noise came. Try again; then look for other devices on "
    "the line, a bad plug or ground, a weak circuit.",
}
