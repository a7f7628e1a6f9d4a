"""The PC's wishes about keeping a session alive."""


class KeepAlive:
    """interval_ms: after so long without requests, 0 = never; frame: without checksum, b"" = the protocol's own."""

    def __init__(self, interval_ms, frame=b""):
        self.interval_ms = interval_ms
        self.frame = frame

    def steps(self, tester):
        """Send it, if it is due; returns whether the session lives."""
        if not self.interval_ms or not tester.alive() or tester.idle_ms() < self.interval_ms:
            return tester.initialized
        if not self.frame:
            return (yield from tester.keep_alive_steps(self.interval_ms))
        from kline.device.obd.chip import keep_alive_steps

        yield from keep_alive_steps(tester, self.frame)
        return True
