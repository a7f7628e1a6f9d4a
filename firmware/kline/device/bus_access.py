"""When may we speak? The one place that decides it, on a bus with many talkers.

Gaps between frames last 2 to 3 ms, and handing a frame to the PC takes longer. So nothing else lies between the end of
a frame and the last look at the line:

- That the frame is over shows in the RX ring (IbusScanner.missing) before anything is delivered.
- Near its end only the UART is drained, while a message waits.
- What can be asked earlier has been asked by then (Transmitter.ask).
- After a collision TX goes back to the UART right behind a frame, where nobody begins.

turn() comes back when there is time for other work: all of it, or a piece of some 5 ms while a message waits.
"""

from time import sleep_us, ticks_diff, ticks_us

# Other work may take as long as so many bytes, so it isn't begun when fewer are missing.
_NEAR = 5
_STEP_US = 50
# No character shows a recessive level for longer: at most 9 bits (7 data bits, parity, stop) of 104 us, and with the
# stop bit it is in any(). So a window of this length, with any() == 0 at its end, lies outside of characters, and the
# newest byte tells how long the silence has been before it.
_CHARACTER_US = 940
# The newest byte is the last sign of life only for so long: a line that is silent for longer is watched for all of
# the time, since what is no character leaves no byte.
_RECENT_US = 5_000


class BusAccess:
    """Sends the messages of the transport's Transmitter; one for each IbusHandler."""

    def __init__(self, handler):
        transport = handler.transport
        self._transport = transport
        self._transmitter = transport.transmitter
        self._scanner = handler.scanner
        self._idle_us = transport.config.idle_timeout_us
        self._least_us = min(self._idle_us, _CHARACTER_US)
        self._patience_us = 3 * transport.config.byte_us
        self._half = transport.rx_ring.size // 2

    def turn(self, hurry=False, full=False):
        """Drain the UART; when a message waits, see a frame that is nearly over to its end, and send.

        hurry: other work must not wait now, whatever it costs us of chances to send. full: there is no room for a
        result, so nothing is sent. True: there is time for all other work, else for a piece of it.
        """
        transport = self._transport
        transmitter = self._transmitter
        if transport.drain_uart():
            transmitter.quiet_car.heard()
        transmitter.held = full
        if transmitter.idle() and not transport.sender.detached:
            transmitter.ask(transport.rx_bytes)
            return True
        hurry = hurry or transport.rx_available() > self._half
        missing = self._scanner.missing(transport.last_byte_us)
        if missing and not transport.idle.clear_to_send:
            if hurry or not transmitter.ready or self._age_us() >= self._patience_us:
                transmitter.ask(transport.rx_bytes)
            if hurry or missing > _NEAR or not (transmitter.ready or transport.sender.detached):
                return hurry
            missing = self._await_end(missing)
            if missing == 1 and self._may_speak():
                transmitter.send(self._idle_us, 1)
            if missing:
                return False
        self._speak(not missing)
        return hurry or transmitter.idle()

    def _await_end(self, missing):
        """Do nothing but drain until one byte is missing, none when we may not send; or else bytes don't come."""
        transport = self._transport
        transmitter = self._transmitter
        while 0 < missing <= _NEAR and self._age_us() < self._patience_us:
            if missing == 1 and self._may_speak():
                break
            sleep_us(_STEP_US)
            if transport.drain_uart():
                before = missing
                missing = self._scanner.missing(transport.last_byte_us)
                if missing > before:
                    break  # the next frame has begun
                if missing > 1 and not transmitter.ready:
                    transmitter.ask(transport.rx_bytes)
        return missing

    def _may_speak(self):
        transmitter = self._transmitter
        return transmitter.ready and not self._transport.sender.detached and not transmitter.pausing()

    def _age_us(self):
        """Time since the newest byte was fetched, at most _RECENT_US."""
        age_us = ticks_diff(ticks_us(), self._transport.last_byte_us)
        return age_us if 0 <= age_us < _RECENT_US else _RECENT_US

    def _speak(self, behind_a_frame):
        """Nothing is under way, as far as it is known."""
        transmitter = self._transmitter
        transport = self._transport
        if transport.sender.detached and not transport.sender.reattach(0 if behind_a_frame else self._idle_us):
            transmitter.ask(transport.rx_bytes)
        elif (transmitter.ready or transmitter.ask(transport.rx_bytes)) and not transmitter.pausing():
            transmitter.send(self._gate_us() if behind_a_frame else self._idle_us)

    def _gate_us(self):
        """How long the line must still be silent, when the newest byte was the last of a frame."""
        age_us = self._age_us()
        return self._idle_us if age_us == _RECENT_US else max(self._least_us, self._idle_us - age_us)
