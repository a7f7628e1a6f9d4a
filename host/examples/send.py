"""Send one message, and wait until it has been on the bus: the gateway gives every client a copy of what was."""

import sys

import openkline

HOST, PORT = "127.0.0.1", 4287
SOURCE, DESTINATION, DATA = 0x68, 0x18, b"\x01"  # the radio asks the CD changer whether it is there

with openkline.connect(HOST, PORT) as bus:
    bus.send(SOURCE, DESTINATION, DATA)
    while message := bus.receive(timeout_s=5):
        if (message.source, message.destination, message.data) == (SOURCE, DESTINATION, DATA):
            sys.exit(0)
sys.exit("not seen on the bus within 5 s")
