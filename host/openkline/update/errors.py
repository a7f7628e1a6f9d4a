"""What can go wrong with an update: the codes of the gateway protocol, in words, and what to try.

Nothing here knows a board or a port, so a gateway client needs neither. docs/gateway-protocol.md lists the codes.
"""

from __future__ import annotations

from collections.abc import Callable

from kline.protocol.update import codes
from openkline.errors import UpdateFailed

Progress = Callable[[int], None]  # called with the bytes that the board has taken so far

# The gateway's codes. Below 0200: OpenBM's bootloader's; from 0300 on: the board's (kline.protocol.update.codes).
ERROR_NO_UPDATE = 0x0201
ERROR_READ_ONLY = 0x0202
ERROR_NO_BOARD = 0x0203
ERROR_OTHER_CLIENT = 0x0204
ERROR_BOARD_LOST = 0x0205
ERROR_BOARD_SILENT = 0x0206
ERROR_TOO_SLOW = 0x0207

MEANINGS = {
    codes.ERROR_NOT_INITIALISED: "upload before an update was begun",
    codes.ERROR_CRC: "the bundle's CRC is wrong",
    codes.ERROR_CHUNK: "the board did not get the bundle's bytes in order",
    codes.ERROR_PASSWORD: "the password is wrong, or came too soon after a wrong one",
    ERROR_NO_UPDATE: "this gateway offers no update",
    ERROR_READ_ONLY: "the gateway is read-only",
    ERROR_NO_BOARD: "no board is connected",
    ERROR_OTHER_CLIENT: "an update is under way, by this client or another",
    ERROR_BOARD_LOST: "the board restarted, or began a new session, during the update",
    ERROR_BOARD_SILENT: "the board does not answer",
    ERROR_TOO_SLOW: "the upload did not come in time",
    codes.ERROR_WRONG_BOARD: "the bundle is for another board",
    codes.ERROR_WRONG_LENGTH: "too few or too many bytes",
    codes.ERROR_UNSUPPORTED: "the board can't be updated this way: no slots, no password, or it knows another format",
    codes.ERROR_BUNDLE: "the bundle's contents are broken",
    codes.ERROR_NO_ROOM: "the board's file system is full",
    codes.ERROR_FILE_SYSTEM: "the board's file system can't be written",
    codes.ERROR_BUSY: "the board is busy with an update",
}

_ADVICE = {
    codes.ERROR_CRC: "send it again",
    codes.ERROR_PASSWORD: "each wrong one doubles the board's pause; `openkline flash` printed the right one",
    ERROR_READ_ONLY: "start the bridge without --read-only",
    ERROR_NO_BOARD: "see `openkline status`",
    ERROR_OTHER_CLIENT: "try again when it has ended",
    ERROR_BOARD_LOST: "`openkline status` says which version runs now",
    ERROR_BOARD_SILENT: "check its cable, and try again",
    ERROR_TOO_SLOW: "try again",
    codes.ERROR_CHUNK: "try again",
    codes.ERROR_BUSY: "try again when it has ended",
    codes.ERROR_WRONG_BOARD: "`openkline bundle --show` says for which",
    codes.ERROR_UNSUPPORTED: "use `openkline flash`",
    codes.ERROR_BUNDLE: "try it again; if `openkline bundle --show` finds it whole, use `openkline flash`",
    codes.ERROR_NO_ROOM: "use `openkline flash`",
    codes.ERROR_FILE_SYSTEM: "use `openkline flash`",
}


class UpdateError(UpdateFailed):
    """An update was refused or failed; the version that ran goes on. code: as in docs/gateway-protocol.md."""

    def __init__(self, code: int, wait_s: int = 0) -> None:
        meaning = MEANINGS.get(code, "a code that this openkline doesn't know")
        advice = f"wait {wait_s} s, then try again" if wait_s else _ADVICE.get(code, "")
        super().__init__(f"the update failed ({code:04X}): {meaning}" + (f"; {advice}" if advice else ""))
        self.code = code
        self.wait_s = wait_s
