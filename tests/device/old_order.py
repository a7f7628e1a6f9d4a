"""The application's turn as it was in November 2026: a witness for the model's prices, not a way to do it.

What the bus carried is delivered and encoded for the PC before anybody looks whether we may speak. On the emulated chip
this sent 0 of 10 messages among four talkers at 80 % load.
"""

from time import sleep_us, ticks_diff, ticks_us

from kline.device.app import Application

_POLL_MS = 10
_PENDING_US = 100
_RESERVE = 96


def run(transport):
    """One turn of the transmitter as it was: True when a message ended."""
    transmitter = transport.transmitter
    idle_us = transport.config.idle_timeout_us
    between_bursts = transport.idle.clear_to_send or not transport.rx_available()
    if transmitter.ask(transport.rx_bytes):
        if not transmitter.pausing() and between_bursts and transport.sender.reattach(idle_us):
            transmitter.send(idle_us)
    elif transport.sender.detached and between_bursts:
        transport.sender.reattach(idle_us)
    return not transmitter._loaded


class OldOrder(Application):
    def turn(self):
        transport = self.transport
        if transport.tx_idle():
            for _ in self._poll.ipoll(_POLL_MS):
                pass
        else:
            sleep_us(_PENDING_US)
        begun_us = ticks_us()
        self.pc.read()
        if transport.drain_uart():
            transport.transmitter.quiet_car.heard()
        self.ibus.handler.process()
        if self.updater is not None:
            self.updater.step()
        self.usb.pump()
        if self.link.room() >= _RESERVE and run(transport):
            self.usb.pump()
        self.look_at_the_clock()
        took_us = ticks_diff(ticks_us(), begun_us)
        if took_us > self.loop_max_us:
            self.loop_max_us = took_us
