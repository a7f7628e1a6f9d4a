"""Count the messages of each sender in a log, of whatever format."""

from collections import Counter
from pathlib import Path

import openkline

LOG = Path("ibus.log")

with LOG.open("rb") as log:
    count = Counter(frame.data[0] for frame in openkline.read_frames(log, print))  # print: what can't be read
for source, messages in count.most_common():
    print(f"{source:02X}: {messages}")
