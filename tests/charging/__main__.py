"""python -m tests.charging FOLDER: makes the copy there, and says where."""

import sys
from pathlib import Path

from tests.charging import charged_firmware

print(charged_firmware(Path(sys.argv[1])))
