"""Live values of an OBD-II car on the K-line, for the board alone. Ctrl-C ends it.

    openkline repl      (the application quits; Ctrl-] leaves the prompt)
    mpremote resume run --no-follow firmware/examples/obd2_scanner.py repl

One line a second; after a failure (ignition off, cable pulled) it initialises again by itself, less and less often, so
that a parked car can sleep.
"""

from time import sleep_ms

from kline import KLineConfig, KLineObd2, KLineTransport
from kline.device import board
from kline.device.obd.diagnostics import Diagnostics
from kline.device.obd.errors import ObdError
from kline.protocol.obd import pids

WANTED = (pids.RPM, pids.SPEED, pids.COOLANT, pids.THROTTLE, pids.VOLTAGE)


def line(diagnostics):
    """One value after the other, as text; what the ECU refuses is left out."""
    words = []
    wanted = [pid for pid in WANTED if pid in diagnostics.tester.session.supported]
    values = diagnostics.live_all(wanted)
    for pid in wanted:
        value = values[pid][0]
        if value.value is not None:
            words.append("%s %.1f %s" % (value.name.lower(), value.value, value.unit))
    return "  ".join(words)


def main():
    pins = board.load()
    config = KLineConfig.obd2(tx_invert=pins.tx_invert, rx_invert=pins.rx_invert)
    transport = KLineTransport(pins, config).begin()
    tester = KLineObd2(transport, print)
    diagnostics = Diagnostics(tester)
    pause_s = 2
    try:
        while True:
            try:
                if tester.session is None:
                    tester.connect()
                    diagnostics.supported()
                    print("connected:", tester.session, " VIN:", diagnostics.vin() or "unknown")
                    pause_s = 2
                print(line(diagnostics))
            except ObdError as error:
                print(error)
                sleep_ms(pause_s * 1000)
                if tester.session is None:  # nothing found yet; a session once found is sought again by the tester
                    pause_s = min(60, 2 * pause_s)
            sleep_ms(500)
    except KeyboardInterrupt:
        transport.close()


main()
