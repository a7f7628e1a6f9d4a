"""Write what is on the bus into a log, until Ctrl-C."""

import time
from pathlib import Path

import openkline

HOST, PORT = "127.0.0.1", 4287
LOG = Path("ibus.log")
as_line = openkline.FORMATS["gateway"]().write  # or "json", "navcoder", "raw"

with openkline.connect(HOST, PORT) as bus, LOG.open("ab", buffering=0) as log:
    for message in bus:
        frame = openkline.encode(message.source, message.destination, message.data)
        log.write(as_line(openkline.BusFrame(time.time(), frame)))
