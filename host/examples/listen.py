"""Print every message on the bus, until Ctrl-C. A bridge has to run: `openkline bridge`."""

import openkline

HOST, PORT = "127.0.0.1", 4287

with openkline.connect(HOST, PORT) as bus:
    for message in bus:
        print(f"{message.source:02X} -> {message.destination:02X}  {message.data.hex(' ').upper()}", flush=True)
