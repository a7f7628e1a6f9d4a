"""The stage between the board's pads and the wire: inversion, delay, faults."""


class Stage:
    """TX pad -> driver on the wire, wire -> RX pad. A floating TX pad is pulled to the recessive level.

    Delays are numbers of us, or pairs (to dominant, to recessive). fault is one of
      None, "tx_open" (drives nothing), "tx_stuck" (drives dominant for ever), "tx_inverted" (wrong polarity),
      "rx_open" (RX sees recessive), "rx_stuck" (RX sees dominant), "rx_inverted".
    """

    FAULTS = (None, "tx_open", "tx_stuck", "tx_inverted", "rx_open", "rx_stuck", "rx_inverted")

    def __init__(self, world, tx_pad, rx_pad, tx_invert=True, rx_invert=False, tx_delay_us=0, rx_delay_us=0):
        self.world = world
        self.tx_pad = tx_pad
        self.rx_pad = rx_pad
        self.tx_invert = bool(tx_invert)
        self.rx_invert = bool(rx_invert)
        self.fault = None
        self.driver = world.wire.driver("board")
        self._tx = _Delay(world, tx_delay_us, self.driver.set)
        self._rx = _Delay(world, rx_delay_us, self._to_rx)
        tx_pad.net.listeners.append(self._tx_changed)
        world.wire.listeners.append(self._wire_changed)
        tx_pad.external(1 ^ self.tx_invert)
        self._to_rx(world.wire.level)

    def set_delays(self, tx_us=0, rx_us=0):
        self._tx.delays = _pair(tx_us)
        self._rx.delays = _pair(rx_us)

    def set_fault(self, fault):
        if fault not in self.FAULTS:
            raise ValueError("fault: one of " + str(self.FAULTS))
        self.fault = fault
        self._tx_changed(self.tx_pad.net.level)
        self._wire_changed(self.world.wire.level)

    def _tx_changed(self, level):
        level ^= self.tx_invert
        fault = self.fault
        if fault is not None:
            if fault == "tx_open":
                level = 1
            elif fault == "tx_stuck":
                level = 0
            elif fault == "tx_inverted":
                level ^= 1
        self._tx.change(level)

    def _wire_changed(self, level):
        fault = self.fault
        if fault is not None:
            if fault == "rx_open":
                level = 1
            elif fault == "rx_stuck":
                level = 0
            elif fault == "rx_inverted":
                level ^= 1
        self._rx.change(level)

    def _to_rx(self, level):
        self.rx_pad.external(level ^ self.rx_invert)


def _pair(us):
    return us if isinstance(us, tuple) else (us, us)


class _Delay:
    """Passes levels on after delays[level]; a later change never overtakes an earlier one, it cancels it."""

    def __init__(self, world, us, out):
        self.world = world
        self.delays = _pair(us)
        self.out = out
        self._last = 0  # number of the newest change taken in
        self._done = 0  # number of the newest change passed on

    def change(self, level):
        self._last += 1
        d = self.delays[level]
        if d == 0:
            self._done = self._last
            self.out(level)
        else:
            self.world.at(self.world.now + d, self._pass, self._last << 1 | level)

    def _pass(self, tagged):
        n = tagged >> 1
        if n > self._done:
            self._done = n
            self.out(tagged & 1)
