"""What can go wrong on a K-line, for a person beside the car: what happened, what to try."""

NO_ECHO = 1
ECHO_WRONG = 2
STUCK_LOW = 3
BUSY = 4
NO_SYNC = 5
SYNC_WRONG = 6
NO_KEY_BYTES = 7
KEY_BYTES = 8
NO_ADDRESS = 9
SILENT = 10
REFUSED = 11
LATE = 12
NOT_CONNECTED = 13
TOO_SOON = 14
NOT_ALLOWED = 15
NO_CAR = 16
DAMAGED = 17


class ObdError(Exception):
    """code is one of this module's numbers; str() says what happened and what to try."""

    def __init__(self, code, detail=None):
        super().__init__(code, detail)
        self.code = code
        self._detail = detail

    def __str__(self):
        from kline.device.obd.texts import TEXTS

        text = TEXTS[self.code]
        return text if self._detail is None else text % self._detail

    def __repr__(self):
        """What MicroPython shows of an error that was not caught."""
        return "ObdError: " + str(self)
