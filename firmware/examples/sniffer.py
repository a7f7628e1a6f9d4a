"""Every frame on the bus, on the terminal, until Ctrl-C.

openkline repl      (the application quits; Ctrl-] leaves the prompt)
mpremote resume run --no-follow firmware/examples/sniffer.py repl
"""

from kline import IbusEsp32
from kline.protocol.ibus.names import describe

ibus = IbusEsp32().begin()  # the pins are those of board.json
ibus.on_packet(lambda buffer, length: print(buffer[:length].hex(" "), "", describe(buffer)))
ibus.listen()
ibus.close()
