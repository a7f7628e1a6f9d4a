"""The stage between the board's pads and the wire: inversion, delay, faults."""

# Wires of the pads that are off, by fault.
_TX_OFF = ("tx_loose", "unwired")
_RX_OFF = ("rx_loose", "unwired")
# What the TX side makes of the level that it should put on the wire, and the RX side of the level that it should pass.
_TX_LEVEL = {"tx_open": 1, "tx_stuck": 0}
_RX_LEVEL = {"rx_open": 1, "rx_stuck": 0}
_TX_FLIP = ("tx_inverted", "both_inverted")
_RX_FLIP = ("rx_inverted", "both_inverted")
# us from the wire's edge to RX (to dominant, to recessive). At 9600 baud a bit has 104 us, a receiver forgives half.
_RX_DELAYS = {"slow": (8, 75), "weak": (60, 8), "no_pull_up": (8, 2500)}


class Stage:
    """TX pad -> driver on the wire, wire -> RX pad. A floating TX pad is pulled to the recessive level.

    Delays are numbers of us, or pairs (to dominant, to recessive). faults are none, one or several of
      "tx_open" (drives nothing), "tx_stuck" (drives dominant for ever), "tx_inverted" (the stage is not what
      the board believes, its pull included), "rx_open" (RX sees recessive), "rx_stuck" (RX sees dominant),
      "rx_inverted", "both_inverted",
      "tx_loose", "rx_loose" (that pad's wire is off), "unwired" (both), "swapped" (exchanged),
      "tx_pull_missing" (TX, let go, drifts to dominant), "rx_pull_missing" (RX is only ever pulled to dominant),
      "slow" (edges to recessive late), "weak" (edges to dominant late), "no_pull_up" (the wire rises in ms).
    """

    FAULTS = (
        "tx_open", "tx_stuck", "tx_inverted", "rx_open", "rx_stuck", "rx_inverted", "both_inverted", "tx_loose",
        "rx_loose", "unwired", "swapped", "tx_pull_missing", "rx_pull_missing", "slow", "weak", "no_pull_up",
    )  # fmt: skip

    def __init__(self, world, tx_pad, rx_pad, tx_invert=True, rx_invert=False, tx_delay_us=0, rx_delay_us=0):
        self.world = world
        self.tx_pad = tx_pad
        self.rx_pad = rx_pad
        self.tx_invert = bool(tx_invert)
        self.rx_invert = bool(rx_invert)
        self.faults = ()
        self.driver = world.wire.driver("board")
        self._tx = _Delay(world, tx_delay_us, self.driver.set)
        self._rx = _Delay(world, rx_delay_us, self._to_rx)
        self._rx_delays = self._rx.delays
        self._hear_tx = self._tx_changed  # bound once: it is looked for in a list
        self._out_pad = rx_pad
        world.wire.listeners.append(self._wire_changed)
        self._connect()
        self._to_rx(world.wire.level)

    def set_fault(self, *faults):
        """These it has from now on, and no others."""
        for fault in faults:
            if fault not in self.FAULTS:
                raise ValueError("fault: one of " + str(self.FAULTS))
        self.faults = faults
        delays = [_RX_DELAYS[fault] for fault in faults if fault in _RX_DELAYS] or [self._rx_delays]
        self._rx.delays = (max([down for down, _ in delays]), max([up for _, up in delays]))
        self._connect()
        self._wire_changed(self.world.wire.level)

    def _connect(self):
        """Ties the pads to the stage's two sides as the fault leaves them."""
        self._tx_flips = self.tx_invert ^ self._has(_TX_FLIP)
        self._rx_flips = self.rx_invert ^ self._has(_RX_FLIP)
        self._tx_fixed = self._fixed(_TX_LEVEL)
        self._rx_fixed = self._fixed(_RX_LEVEL)
        self._rx_pull_missing = "rx_pull_missing" in self.faults
        pads = (self.tx_pad, self.rx_pad)
        for pad in pads:
            pad.net.listeners = [fn for fn in pad.net.listeners if fn != self._hear_tx]
            pad.drift = 0
            pad.external(None)
        in_pad, self._out_pad = (pads[1], pads[0]) if "swapped" in self.faults else pads
        if self._has(_RX_OFF):
            self._out_pad = None
        if self._has(_TX_OFF):
            self._tx_changed(1 ^ self._tx_flips)
            return
        in_pad.net.listeners.append(self._hear_tx)
        if "tx_pull_missing" in self.faults:
            in_pad.drift = 0 ^ self._tx_flips
            in_pad.update()
        else:
            in_pad.external(1 ^ self._tx_flips)
        self._tx_changed(in_pad.net.level)

    def _tx_changed(self, level):
        self._tx.change(level ^ self._tx_flips if self._tx_fixed is None else self._tx_fixed)

    def _wire_changed(self, level):
        self._rx.change(level if self._rx_fixed is None else self._rx_fixed)

    def _has(self, some):
        """One of these faults."""
        return any(fault in some for fault in self.faults)

    def _fixed(self, levels):
        """The level that a fault leaves, None: either. A transistor that is always on wins against an open one."""
        left = [levels[fault] for fault in self.faults if fault in levels]
        return min(left) if left else None

    def _to_rx(self, level):
        pad = self._out_pad
        if pad is None:
            return
        if level and self._rx_pull_missing:
            pad.external(None)
        else:
            pad.external(level ^ self._rx_flips)


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
