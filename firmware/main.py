"""Start of the board: a second in which Ctrl-C leads to the REPL, then openkline's application.

The application hands the board back to the REPL when the host says QUIT, or when no host has spoken for some minutes.
"""

from time import sleep_ms

_BOOT_WINDOW_MS = 1000


def main():
    print("openkline starts in %d ms; Ctrl-C leads to the REPL instead" % _BOOT_WINDOW_MS)
    try:
        sleep_ms(_BOOT_WINDOW_MS)
    except KeyboardInterrupt:
        print("openkline not started: from kline.device.app import run; run()")
        return
    from kline.device.app import run

    run()


main()
